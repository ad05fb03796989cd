"""The folder `dockerfiles/` of a work tree: where definitions, locks and contexts are read from, and pins written."""

from __future__ import annotations

import os

from buildkit import files
from buildkit.bases.dockerfiles.context import Context, read_context
from buildkit.bases.dockerfiles.definitions import BASES_TOML, Definition, check_name, parse_definitions
from buildkit.bases.dockerfiles.lock import BASES_LOCK, Pin, dump_lock, parse_lock
from buildkit.config import toml
from buildkit.errors import InvalidInput, NotFound
from buildkit.git.address import is_url
from buildkit.git.repository import Repository

FOLDER = "dockerfiles"


class Dockerfiles:
    """One such folder. What it holds is read when it is asked for, and links in its place are refused."""

    def __init__(self, path: str) -> None:
        self.path = path
        if os.path.islink(path) or not os.path.isdir(path):
            raise NotFound(f"there is no folder {path}", f"bases are described in {FOLDER}/{BASES_TOML}")

    @classmethod
    def of(cls, repo: str) -> Dockerfiles:
        """That of the work tree around `repo` (default: around the working directory)."""
        if is_url(repo):
            raise InvalidInput(
                "bases are built from a work tree, not from a URL", "clone it, and name the clone"
            )
        with Repository(repo or ".") as repository:
            try:
                root = os.fsdecode(repository.run(["rev-parse", "--show-toplevel"]).rstrip(b"\n"))
            except InvalidInput as error:
                if "work tree" not in error.what:
                    raise
                raise InvalidInput(f"{repo or '.'} has no work tree", "name one with --repo") from None
        return cls(os.path.join(root, FOLDER))

    def definitions(self) -> dict[str, Definition]:
        """The bases by name."""
        return parse_definitions(self._read(BASES_TOML), self._place(BASES_TOML))

    def pins(self) -> dict[str, Pin]:
        """The lock's; none where there is no lock yet."""
        if not os.path.lexists(os.path.join(self.path, BASES_LOCK)):
            return {}
        return parse_lock(self._read(BASES_LOCK), self._place(BASES_LOCK))

    def context(self, name: str) -> Context:
        """The build context of a base."""
        return read_context(os.path.join(self.path, check_name(name)))

    def write_pins(self, pins: dict[str, Pin]) -> bool:
        """Put the lock in place as a whole; whether its bytes have changed."""
        data, path = dump_lock(pins), os.path.join(self.path, BASES_LOCK)
        if os.path.lexists(path) and self._read(BASES_LOCK) == data:
            return False
        with files.explained(f"write {path}"):
            files.replace(path, data)
            files.sync_directory(self.path)
        return True

    def _read(self, name: str) -> bytes:
        return files.read_small(os.path.join(self.path, name), toml.FILE_LIMIT)

    def _place(self, name: str) -> toml.Place:
        return toml.Place(os.path.join(self.path, name))
