"""Wheels, locks of them, and bases to put them on; all of them small."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from buildkit.bases.base import Base, resolve
from buildkit.bases.facts import Facts, Libc, Python
from buildkit.cache import NoCache
from buildkit.dependencies.interpreter import Interpreter
from buildkit.image import media
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform
from buildkit.image.reference import LayoutReference, Scratch
from buildkit.layout import LayoutSource
from buildkit.wheels.fetch.model import FetchedWheel, Place, Stamp
from buildkit.wheels.locks.model import LockedWheel
from buildkit.wheels.locks.select import Selection
from buildkit.wheels.scheme import Scheme
from buildkit.wheels.target import Target
from tests.buildkit import images
from tests.buildkit.bases_facts.support import LIBC, distribution, file, python_files, tar
from tests.buildkit.wheels.support import wheel_bytes

SITE = "usr/local/lib/python3.12/site-packages"
SLIM = Scheme(
    purelib=f"/{SITE}",
    platlib=f"/{SITE}",
    scripts="/usr/local/bin",
    data="/usr/local",
    headers="/usr/local/include/python3.12",
    interpreter="/usr/local/bin/python3.12",
)
OTHER = SLIM._replace(interpreter="/usr/bin/python3")
AMD64 = Platform("linux", "amd64")
GLIBC = Libc("glibc", "2.36", "test")


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


def locked(
    name: str, version: str = "1.0", *, size: int | None = 1000, hashes: Sequence[str] = ()
) -> LockedWheel:
    """A wheel that a lock names, and that nobody has made."""
    filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    known = tuple(hashes) or (f"sha256:{sha256(filename.encode())}",)
    return LockedWheel(name, version, filename, f"https://files.example/{filename}", size=size, hashes=known)


def python(site: str = f"/{SITE}", *, version: str = "3.12.4", **fields: object) -> Python:
    """Facts of an interpreter, those of docker's python image unless they are given."""
    made = Python(
        "/usr/local/bin/python3.12", version, "test", "cpython-312-x86_64-linux-gnu", "/usr/local", (site,),
        venv=False, externally_managed=False, installed=(), modules=(), lacks=(),
    )  # fmt: skip
    return made._replace(**fields)  # type: ignore[arg-type]


def facts(found: Python | None, libc: Libc | None = GLIBC) -> Facts:
    """Facts of a base with this interpreter alone."""
    return Facts(libc=libc, pythons=(found,), python=found.path) if found else Facts(libc=libc)


def interpreter(carried: Mapping[str, tuple[str, str]] | None = None) -> Interpreter:
    """What dependencies know of docker's python image that has these distributions."""
    return Interpreter(Target("3.12.4", AMD64, (2, 36)), SLIM, dict(carried or {}))


def scratch() -> Base:
    """A base without anything."""
    return resolve(Scratch(), None, (AMD64,), NoCache())[0]


def slim_base(folder: Path, installed: Mapping[str, str] | None = None, *, site: str = SITE) -> Base:
    """Docker's python image, as far as facts see it, with these distributions."""
    entries = [*python_files(), file("usr/lib/x86_64-linux-gnu/libc.so.6", LIBC)]
    for name, version in (installed or {}).items():
        entries += distribution(site, name, version)
    return layout_base(folder, tar(*entries))


def layout_base(folder: Path, layer: bytes) -> Base:
    """A base of one layer, a tar."""
    made = images.image(images.Layer(layer, Digest.of(layer), media.OCI_LAYER))
    reference = LayoutReference(str(images.publish(folder, made, "latest")), "latest")
    return resolve(reference, LayoutSource(reference), (), NoCache())[0]


class Shelf:
    """Wheels that were made for a test, in a folder; it notes what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.fetched: list[str] = []
        self.resolved: list[str] = []

    def add(
        self,
        name: str,
        files: Mapping[str, bytes] | None = None,
        version: str = "1.0",
        commands: str | None = None,
    ) -> LockedWheel:
        """A wheel of these files (else of one module); what a lock says of it."""
        data = wheel_bytes(
            files or {f"{name}.py": b"NAME = %r\n" % name}, name=name, version=version, entry_points=commands
        )
        return self.put(f"{name}-{version}-py3-none-any.whl", data)

    def put(self, filename: str, data: bytes) -> LockedWheel:
        """This file."""
        (self.folder / filename).write_bytes(data)
        name, version = filename.split("-")[:2]
        url = f"https://files.example/{filename}"
        return LockedWheel(name, version, filename, url, size=len(data), hashes=(f"sha256:{sha256(data)}",))

    def resolve(self, selection: Selection, target: Target) -> list[LockedWheel]:
        """Each wanted package by the file on the shelf that has one of its hashes."""
        self.resolved += [wanted.name for wanted in selection.wanted]
        found = [
            self._with_hash(wanted.name, set(wanted.hashes))._replace(hashes=wanted.hashes)
            for wanted in selection.wanted
        ]
        return sorted((*selection.wheels, *found))

    def fetch(self, wheels: Sequence[LockedWheel]) -> list[FetchedWheel]:
        """Files with one of the hashes that are locked."""
        self.fetched += [wheel.name for wheel in wheels]
        return [self._fetch(wheel) for wheel in wheels]

    def _fetch(self, wheel: LockedWheel) -> FetchedWheel:
        path = self.folder / wheel.filename
        data = path.read_bytes()
        assert {f"{each}:{hashlib.new(each, data).hexdigest()}" for each in ("sha256", "sha512")} & set(
            wheel.hashes
        )
        return FetchedWheel(
            wheel, str(path), sha256(data), len(data), Stamp.of(path.stat()), Place.WHEELHOUSE
        )

    def _with_hash(self, name: str, hashes: set[str]) -> LockedWheel:
        for path in sorted(self.folder.glob(f"{name}-*.whl")):
            wheel = self.put(path.name, path.read_bytes())
            if set(wheel.hashes) & hashes:
                return wheel._replace(size=None)
        raise AssertionError(f"nothing like {name} on the shelf")


class Notes(list[str]):
    """What a person was told."""

    def __call__(self, text: str) -> None:
        self.append(text)


def pylock(*wheels: LockedWheel, head: str = "", markers: Mapping[str, str] | None = None) -> bytes:
    """A lock of these wheels, with a marker for some of them by name or version."""
    said = markers or {}
    lines = ['lock-version = "1.0"', 'created-by = "test"', head]
    for wheel in wheels:
        lines += ["[[packages]]", f'name = "{wheel.name}"', f'version = "{wheel.version}"']
        lines += [f'marker = "{said[key]}"' for key in (wheel.name, wheel.version) if key in said]
        pairs = ", ".join("{} = '{}'".format(*each.split(":")) for each in wheel.hashes)
        lines += ["[[packages.wheels]]", f'name = "{wheel.filename}"', f'url = "{wheel.url}"']
        lines += [f"size = {wheel.size}"] if wheel.size is not None else []
        lines += [f"hashes = {{ {pairs} }}"]
    return "\n".join([*lines, *([] if wheels else ["packages = []"])]).encode()
