"""What the tests of fetching share: small wheels, locks of them, and fetchers that do not wait."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from buildkit.cache import Cache
from buildkit.registry.options import Clock
from buildkit.testing.index import InProcessIndex
from buildkit.wheels.fetch.fetcher import Fetcher
from buildkit.wheels.fetch.house import Wheelhouse
from buildkit.wheels.fetch.model import Local, Network
from buildkit.wheels.fetch.store import WheelStore
from buildkit.wheels.locks.model import LockedWheel
from tests.buildkit.registry.support import FastClock
from tests.buildkit.wheels.support import Part, wheel_bytes

DEMO = "demo-1.0-py3-none-any.whl"


def content(name: str, version: str = "1.0", size: int = 3_000) -> bytes:
    """A wheel of about this many bytes; always the same."""
    noise = random.Random(f"{name} {version}").randbytes(size)
    return wheel_bytes({f"{name}/__init__.py": Part(noise)}, name=name, version=version)


def digest(data: bytes, algorithm: str = "sha256") -> str:
    """As locks say it."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def locked(filename: str, data: bytes, url: str = "", **fields: Any) -> LockedWheel:
    """The lock's word on this wheel."""
    name, version = filename.split("-")[:2]
    return LockedWheel(name, version, filename, url, **{"hashes": (digest(data),), **fields})


def of_index(index: InProcessIndex, **fields: Any) -> list[LockedWheel]:
    """A lock of all that an index has, with its URLs."""
    return [locked(name, data, index.file_url(name), **fields) for name, data in sorted(index.files.items())]


class Notes(list[str]):
    """What a person was told."""

    def __call__(self, text: str) -> None:
        self.append(text)


def fetcher(
    folder: Path,
    *,
    hosts: Sequence[str] = (),
    index: str = "",
    houses: Sequence[Path] = (),
    local: Local | None = None,
    notes: Notes | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    cache: Cache | None = None,
    **network: Any,
) -> Fetcher:
    """With its store and cache in a folder, and nothing of this machine's settings."""
    settings: dict[str, Any] = {"read_seconds": 5.0, "retries": 2, **network}
    return Fetcher(
        store_of(folder, cache),
        Wheelhouse(houses),
        Network(tuple(hosts), index, **settings),
        local=local,
        say=Notes() if notes is None else notes,
        environ=environ or {"PATH": ""},
        clock=clock or FastClock(),
    )


def store_of(folder: Path, cache: Cache | None = None) -> WheelStore:
    """The store that such a fetcher has."""
    return WheelStore(str(folder / "wheels"), cache or Cache(folder))


def leftovers(folder: Path) -> list[str]:
    """Files of a store that are no wheels, but for its lock and its stamp."""
    found = [path for path in (folder / "wheels").rglob("*") if path.is_file()]
    return [path.name for path in found if path.suffix != ".whl" and path.name not in ("lock", "swept")]
