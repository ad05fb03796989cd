"""A team's house: a registry with a base, a repository with a commit, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from buildkit.testing.registry import InProcessRegistry, Recorded
from buildkit.testing.repositories import File, ThrowAwayRepository
from tests.end_to_end.helpers import Json, Treeship, build_words

FILES: dict[str, bytes | File] = {
    "train.py": b"print('train')\n",
    "data.csv": b"1,2\n",
    "lib/a.py": b"A = 1\n",
    "lib/b.py": b"B = 2\n",
    "docs/guide.md": b"# Guide\n",
}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REFUSED = 3
Edit = Callable[[Json], object]


class House(NamedTuple):
    """A registry with a base, a repository with a commit, and the command."""

    registry: InProcessRegistry
    repository: ThrowAwayRepository
    treeship: Treeship
    base: str

    def at(self, name: str) -> str:
        return f"docker://{self.registry.host}/{name}"

    def words(self, verb: str = "build") -> tuple[str, ...]:
        """The command line of a build on the base, to where all builds go here."""
        return build_words(self.repository, verb=verb, base=self.base, to=self.at("team/app:main"))

    def build(self, *words: str, to: str = "team/app:main", **options: Any) -> Json:
        where = ["--base", self.base, "--to", self.at(to)]
        return self.treeship.build(self.repository.directory, *words, *where, **options)

    def check(self, image: str, *words: str, code: int = 0) -> Json:
        """What `check` says, of the image named."""
        return self.treeship(
            "check", self.at(image), "--repo", self.repository.directory, "--json", *words, code=code
        ).json

    def manifest(self, tag: str, name: str = "team/app") -> Json:
        found = self.registry.store.repository(name).manifest(tag)
        assert found is not None
        return found.fields

    def fresh(self, tmp_path: Path, name: str = "fresh") -> House:
        """The same with a machine that has built nothing."""
        return self._replace(treeship=Treeship(tmp_path / name))

    def forge(self, tag: str, edit: Edit, name: str = "team/app") -> str:
        """Put a changed copy of a manifest in its place, as anybody with the right to push may; its digest."""
        fields = self.manifest(tag, name)
        edit(fields)
        raw = json.dumps(fields).encode()
        return self.registry.store.add_manifest(name, raw, MANIFEST, tag)

    def config(self, tag: str, name: str = "team/app") -> Json:
        """The config of an image, by tag or digest."""
        value = json.loads(self.config_bytes(tag, name))
        assert isinstance(value, dict)
        return value

    def config_bytes(self, tag: str, name: str = "team/app") -> bytes:
        """The same as it is stored."""
        return self.registry.store.blobs[self.manifest(tag, name)["config"]["digest"]]


def writes(requests: list[Recorded]) -> list[str]:
    return [f"{entry.method} {entry.path}" for entry in requests if entry.method not in ("GET", "HEAD")]
