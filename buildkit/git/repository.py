"""One repository as a source of commits, listings and blobs.

A work tree, a bare repository, a partial or shallow clone: all the same here. Nothing is written to it, except
blobs that a partial clone lacks, which come in one batched fetch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Self

from buildkit.errors import InvalidInput, NotFound
from buildkit.git import process
from buildkit.git.commit import Commit, parse_commit
from buildkit.git.objects import Header, ObjectReader
from buildkit.git.tree import SYMLINK, Change, Entry, differences, parse_listing

# Far above any that people write; a larger one is an attack on memory.
COMMIT_LIMIT = 1 << 20
TREE_LIMIT = 64 << 20


class Repository:
    """Reads one repository. Close it, or use it in a `with` statement."""

    def __init__(self, directory: str | os.PathLike[str], settings: process.Settings = ()) -> None:
        """`settings` are git's, for what is fetched: credentials of the remote, for instance."""
        self.directory = os.fspath(directory)
        self._settings = settings
        self._reader = ObjectReader(self.directory, settings)
        self._config: dict[str, list[str]] | None = None
        self._cut_off: frozenset[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the git process behind it."""
        self._reader.close()

    def run(self, arguments: Sequence[str], stdin: bytes = b"", timeout: float = 900.0) -> bytes:
        """The output of a git command in this repository; `timeout` in seconds."""
        return process.run(self.directory, arguments, stdin=stdin, timeout=timeout, settings=self._settings)

    def commit(self, name: str) -> Commit:
        """The commit behind any commit-ish. Raises NotFound, or InvalidInput where the directory is no repository."""
        commit = self.find_commit(name)
        if commit is None:
            raise NotFound(
                f"no commit {process.redact(name)!r} in {process.redact(self.directory)}",
                "check the spelling; in a shallow clone, `git fetch --unshallow` or fetch that commit",
            )
        return commit

    def find_commit(self, name: str) -> Commit | None:
        """As `commit`, None where there is none (beyond the edge of a shallow clone, for instance)."""
        header = self._reader.header(f"{name}^{{commit}}")
        if header is None or header.kind != "commit":  # `HEAD:path` may be a file with such a name
            return None
        if header.size > COMMIT_LIMIT:
            self.close()
            raise InvalidInput(f"commit {header.oid} has {header.size} bytes", "no such commit is read")
        return parse_commit(header.oid, b"".join(self._reader.chunks()))

    def listing(self, tree: str) -> list[Entry]:
        """All files below a tree, sorted by path."""
        return parse_listing(self.run(["ls-tree", "-r", "-z", "--full-tree", tree]))

    def changes(self, old: str, new: str) -> Iterator[Change]:
        """What differs between two trees; NotFound where one of them is not here."""
        return differences(self._tree, old, new)

    def small_file(self, tree: str, path: str, limit: int) -> bytes | None:
        """A file of a tree, None where there is none; InvalidInput above `limit` bytes, before it is read, and for a
        symbolic link. No link is followed on the way to it."""
        if self._file_header(tree, path, limit) is None:
            return None
        content = b"".join(self._reader.chunks())
        self._refuse_link(tree, path)
        return content

    def large_file(self, tree: str, path: str, limit: int) -> Iterator[bytes] | None:
        """The same in parts, which are to be read before anything else is asked for."""
        header = self._file_header(tree, path, limit)
        if header is None:
            return None
        self._refuse_link(tree, path)
        self._reader.header(header.oid)  # again: its content made way for the folder's
        return self._reader.chunks()

    def _file_header(self, tree: str, path: str, limit: int) -> Header | None:
        header = self._reader.header(f"{tree}:{path}")
        if header is not None and (header.kind != "blob" or header.size > limit):
            self.close()
            raise InvalidInput(
                f"{path} in the commit is a {header.kind} of {header.size} bytes",
                f"it must be a file of at most {limit} bytes",
            )
        return header

    def _refuse_link(self, tree: str, path: str) -> None:
        """git hands out a link's target as if it were the content of a file."""
        folder, _, name = path.rpartition("/")
        if b"%s %s\0" % (SYMLINK, name.encode()) in self._tree(f"{tree}:{folder}" if folder else tree):
            raise InvalidInput(f"{path} in the commit is a symbolic link", "put the file itself there")

    def blobs(self, oids: Sequence[str]) -> Iterator[tuple[Header, Iterator[bytes]]]:
        """Blobs in this order, each to be read to its end before the next."""
        return self._reader.stream(oids)

    def is_cut_off(self, commit: Commit) -> bool:
        """Whether this is where a shallow partial clone ends: to ask for one of its parents would fetch that,
        and all of its history with it. In other clones asking costs nothing, and this is not answered."""
        if not self.promisor_remote():
            return False
        if self._cut_off is None:
            try:
                self._cut_off = frozenset(self._shallow_ids())
            except (OSError, ValueError):
                self._cut_off = frozenset()
        return commit.oid in self._cut_off

    def _shallow_ids(self) -> list[str]:
        with open(os.path.join(self.git_directory(), "shallow"), encoding="ascii") as file:
            return file.read().split()

    def hydrate(self, tree: str, oids: Sequence[str]) -> int:
        """Bring the blobs that a partial clone lacks in one fetch; their number. Nothing to do in a full clone.

        One by one (which is what git does by itself) they cost 30 ms each even from a local remote.
        """
        remote = self.promisor_remote()
        if not remote or not oids:
            return 0
        listed = self.run(
            ["rev-list", "--objects", "--no-object-names", "--missing=print", "--no-walk", tree]
        )
        missing = {line[1:].decode() for line in listed.splitlines() if line.startswith(b"?")}
        wanted = sorted(missing.intersection(oids))
        if wanted:
            self._fetch_objects(remote, wanted)
        return len(wanted)

    def config(self, name: str) -> list[str]:
        """The values of one git setting, by its full name in lower case (sub-section as written)."""
        if self._config is None:
            output = self.run(["config", "--list", "-z"])
            pairs = (item.partition("\n") for item in output.decode(errors="replace").split("\0") if item)
            self._config = {}
            for key, _, value in pairs:
                self._config.setdefault(key, []).append(value)
        return self._config.get(name, [])

    def promisor_remote(self) -> str:
        """The remote that has promised the objects a partial clone lacks; empty in a full clone."""
        if not self._may_be_partial():
            return ""
        named = self.config("extensions.partialclone")
        flagged = [
            key[len("remote.") : -len(".promisor")]
            for key, values in (self._config or {}).items()
            if key.startswith("remote.") and key.endswith(".promisor") and values[-1] == "true"
        ]
        return next(iter(named + flagged), "")

    def git_directory(self) -> str:
        """The repository's common directory, where objects and LFS content are kept."""
        output = self.run(["rev-parse", "--path-format=absolute", "--git-common-dir"])
        return os.fsdecode(output.rstrip(b"\n"))

    def _may_be_partial(self) -> bool:
        """Without a process where the answer is plain to see: most repositories say nothing of promisors."""
        for candidate in (".git/config", "config"):  # in this order: a work tree may hold a file `config`
            try:
                with open(os.path.join(self.directory, candidate), "rb") as file:
                    text = file.read().lower()
            except OSError:
                continue
            if b"[core]" in text:
                return b"promisor" in text or b"partialclone" in text
        return True

    def _fetch_objects(self, remote: str, oids: Sequence[str]) -> None:
        arguments = ["-c", "fetch.negotiationAlgorithm=noop", "fetch", "-q", remote, "--no-tags", "--no-auto-gc",
                     "--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin"]  # fmt: skip
        self.run(arguments, "".join(f"{oid}\n" for oid in oids).encode())

    def _tree(self, oid: str) -> bytes:
        return self._reader.read(oid, kind="tree", limit=TREE_LIMIT)[1]
