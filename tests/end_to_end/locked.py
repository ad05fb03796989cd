"""Locks of wheels that were made for a test, an index that has them, and a yard in which they are built into images."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from buildkit.testing.index import InProcessIndex
from buildkit.testing.registry import InProcessRegistry, Recorded
from buildkit.testing.repositories import File, ThrowAwayRepository
from tests.buildkit.bases_facts.support import LIBC, distribution, file, python_files, tar
from tests.buildkit.dependencies.support import layout_base
from tests.buildkit.wheels.support import Part, wheel_bytes
from tests.end_to_end.helpers import Json, Ran, Treeship, build_words, snapshot

PURE = "py3-none-any"
CODE: dict[str, bytes | File] = {
    "treeship.toml": b'exclude = ["pylock.toml", "uv.lock", "requirements.txt", "pyproject.toml", "treeship.toml"]\n',
    "train.py": b"print('train')\n",
    "data.csv": b"1,2\n",
}
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
SITE = "usr/local/lib/python3.12/site-packages"
SIZE = 5 << 20
"""Bytes of a wheel that has a layer of its own."""


class Wheel(NamedTuple):
    """A file of an index."""

    filename: str
    data: bytes

    @property
    def name(self) -> str:
        """The project's normal name."""
        return self.filename.partition("-")[0].replace("_", "-").lower()

    @property
    def version(self) -> str:
        """As the file name has it."""
        return self.filename.split("-")[1]

    @property
    def sha256(self) -> str:
        """In hex."""
        return hashlib.sha256(self.data).hexdigest()


def wheel(
    name: str,
    version: str = "1.0",
    files: Mapping[str, bytes | Part] | None = None,
    *,
    tag: str = PURE,
    commands: str | None = None,
    size: int = 0,
) -> Wheel:
    """A wheel of these files, else of one module that knows its version; with `size` it has as many bytes more."""
    module = name.replace("-", "_")
    content: dict[str, bytes | Part] = {f"{module}.py": b"VERSION = %r\n" % version, **(files or {})}
    if size:
        content[f"{module}_data.bin"] = random.Random(f"{name} {version}").randbytes(size)
    data = wheel_bytes(content, name=module, version=version, entry_points=commands, purelib=tag == PURE)
    return Wheel(f"{module}-{version}-{tag}.whl", data)


def small_lock(**versions: str) -> list[Wheel]:
    """Two large wheels and four small ones, one of them with a command; versions by name, else 1.0."""
    return [_small(name, versions.get(name, "1.0")) for name in NAMES]


@lru_cache
def _small(name: str, version: str) -> Wheel:
    """To compress noise takes long."""
    commands = "[console_scripts]\nzeta = zeta:main\n" if name == "zeta" else None
    return wheel(name, version, commands=commands, size=SIZE if name in ("alpha", "beta") else 0)


def pylock(
    url: str,
    wheels: Iterable[Wheel],
    *,
    head: str = "",
    markers: Mapping[str, str] | None = None,
    requires: Mapping[str, Sequence[str]] | None = None,
    hashes: Mapping[str, str] | None = None,
) -> bytes:
    """PEP 751, with files below `url`; wheels of one name are one package. `hashes` by file name stand for the real
    sha256."""
    packages: dict[str, list[Wheel]] = {}
    for each in wheels:
        packages.setdefault(each.name, []).append(each)
    lines = ['lock-version = "1.0"', 'created-by = "a test"', head]
    for name, group in packages.items():
        lines += ["[[packages]]", f'name = "{name}"', f'version = "{group[0].version}"']
        lines += [f'marker = "{markers[name]}"'] if markers and name in markers else []
        below = ", ".join(f'{{ name = "{each}" }}' for each in (requires or {}).get(name, ()))
        lines += [f"dependencies = [{below}]"] if below else []
        for each in group:
            sha256 = (hashes or {}).get(each.filename, each.sha256)
            lines += ["[[packages.wheels]]", f'name = "{each.filename}"', f'url = "{url}{each.filename}"']
            lines += [f"size = {len(each.data)}", f'hashes = {{ sha256 = "{sha256}" }}']
    return "\n".join([*lines, ""]).encode()


def requirements(url: str, wheels: Iterable[Wheel]) -> bytes:
    """A file of requirements with hashes, of an index at `url`."""
    found: dict[str, list[str]] = {}
    for each in wheels:
        found.setdefault(f"{each.name}=={each.version}", []).append(f"--hash=sha256:{each.sha256}")
    lines = [f"{name} {' '.join(hashes)}" for name, hashes in found.items()]
    return "\n".join([f"--index-url {url}", *lines, ""]).encode()


def python_base(folder: Path, installed: Mapping[str, str] | None = None, *, note: bytes = b"") -> Path:
    """An OCI layout whose `latest` looks to base facts like docker's python image, in a few kB."""
    entries = [*python_files(), file("usr/lib/x86_64-linux-gnu/libc.so.6", LIBC), file("etc/note", note)]
    for name, version in (installed or {}).items():
        entries += distribution(SITE, name, version)
    layout_base(folder, tar(*entries))
    return folder


@dataclass(frozen=True)
class Yard:
    """An index, a registry with a base that has Python, a repository, and the command."""

    index: InProcessIndex
    registry: InProcessRegistry
    repository: ThrowAwayRepository
    treeship: Treeship
    base: str

    def offer(self, wheels: Iterable[Wheel]) -> list[Wheel]:
        """Put wheels on the index."""
        offered = list(wheels)
        self.index.files.update({each.filename: each.data for each in offered})
        return offered

    def commit(
        self, wheels: Iterable[Wheel], files: Mapping[str, bytes | File] | None = None, **head: Any
    ) -> str:
        """A commit whose pylock.toml names these wheels, which the index has."""
        lock = pylock(f"http://{self.index.host}/files/", self.offer(wheels), **head)
        return self.repository.commit({**CODE, "pylock.toml": lock, **(files or {})})

    def at(self, name: str) -> str:
        """An image of the registry."""
        return f"docker://{self.registry.host}/{name}"

    def words(
        self, verb: str = "build", *more: str, to: str = "team/app:main", base: str = "", named: bool = True
    ) -> tuple[str, ...]:
        """A command line that may fetch from the index, where its host is `named`."""
        hosts = ("--wheel-host", self.index.host) if named else ()
        return build_words(
            self.repository, "--json", *hosts, *more, verb=verb, base=base or self.base, to=self.at(to)
        )

    def build(self, *more: str, **options: Any) -> Json:
        """What a build prints."""
        return self.treeship(*self.words("build", *more, **options)).json

    def explain(self, *more: str, **options: Any) -> Json:
        """What `explain` prints."""
        return self.treeship(*self.words("explain", *more, **options)).json

    def fails(self, *more: str, env: Mapping[str, str] | None = None, **options: Any) -> Ran:
        """A build that is to fail; whatever its exit code."""
        return self.treeship(*self.words("build", *more, **options), code=None, env=env)

    def check(self, image: str, *more: str) -> Json:
        """What `check` says, with the same cache; the image is to be equal."""
        words = ("--repo", self.repository.directory, "--wheel-host", self.index.host, "--json")
        found = self.treeship("check", self.at(image), *words, *more).json
        assert found["verdict"] == "equal", found
        return found

    def elsewhere(self, home: Path) -> Yard:
        """The same with a machine that has built nothing."""
        return replace(self, treeship=Treeship(home))

    def stored(self) -> dict[str, list[str]]:
        """Manifests of every repository with their tags, other than the bases'."""
        return {
            name: sorted([*repository.manifests, *repository.tags])
            for name, repository in self.registry.store.repositories.items()
            if repository.manifests and not name.startswith("bases/")
        }


class Watched:
    """The requests to a registry or an index while the block lasts."""

    def __init__(self, server: InProcessRegistry) -> None:
        self._server = server

    def __enter__(self) -> Watched:
        self._before = len(self._server.log)
        return self

    def __exit__(self, *_: object) -> None:
        self.requests: list[Recorded] = self._server.log[self._before :]

    @property
    def uploaded(self) -> set[str]:
        """The digests of blobs whose bytes came."""
        carried = (
            entry
            for entry in self.requests
            if entry.verb in ("PUT upload", "PATCH upload", "POST uploads") and entry.body_bytes
        )
        return {entry.path.partition("digest=")[2].replace("%3A", ":") for entry in carried}

    @property
    def mounted(self) -> set[str]:
        """The digests that were mounted, or asked to be."""
        asked = (entry.path.partition("mount=")[2] for entry in self.requests if "mount=" in entry.path)
        return {each.partition("&")[0].replace("%3A", ":") for each in asked}

    @property
    def files(self) -> list[str]:
        """The wheels that an index was asked for, sorted."""
        asked = (entry.path.partition("?")[0] for entry in self.requests)
        return sorted(path.removeprefix("/files/") for path in asked if path.startswith("/files/"))


def of_wheels(result: Json) -> dict[str, Json]:
    """The layers of wheels by name."""
    return {layer["name"]: layer for layer in result["layers"] if layer["wheels"]}


def digests(layers: Mapping[str, Json] | Sequence[Json]) -> set[str]:
    """Of these layers."""
    listed = layers.values() if isinstance(layers, Mapping) else layers
    return {layer["digest"] for layer in listed}


def everything(folder: Path) -> dict[str, bytes]:
    """`snapshot` of a folder that may not be there."""
    return snapshot(folder) if folder.exists() else {}
