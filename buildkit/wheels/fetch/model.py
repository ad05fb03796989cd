"""The nouns of fetching: where a wheel is, what has become of it, and what may be set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import BinaryIO, NamedTuple, Protocol

from buildkit.errors import InvalidInput, NotFound
from buildkit.wheels.locks import checks
from buildkit.wheels.locks.model import LockedWheel

LARGEST = 16 << 30
"""Bytes of a wheel whose size nobody has said; the largest on PyPI have 3 GB."""


class Place(StrEnum):
    """Where a wheel comes from."""

    STORE = "store"
    WHEELHOUSE = "wheelhouse"
    COMMIT = "commit"
    INDEX = "index"
    URL = "url"


class Stamp(NamedTuple):
    """What the system says of a file and cannot say again after a change: times are in nanoseconds since 1970."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Of a file that is open."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class FetchedWheel(NamedTuple):
    """A file that had this sha256 (hex) when it had this stamp; `size` is in bytes. Read it by `verified.opened`."""

    wheel: LockedWheel
    path: str
    sha256: str
    size: int
    stamp: Stamp
    place: Place


class Network(NamedTuple):
    """What may be set about fetching; it never comes from the commit that is being built.

    `hosts` are those that wheels are taken from (none: PyPI's, unless `index_url` is another); `index_url` is a simple
    API that stands in for all other places, and may have credentials. `insecure` may be spoken to over plain HTTP.
    """

    hosts: tuple[str, ...] = ()
    index_url: str = ""
    insecure: frozenset[str] = frozenset()
    ca_file: str = ""
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    retries: int = 4
    jobs: int = 4

    def __repr__(self) -> str:
        return "Network(...)"


class Local(Protocol):
    """The commit, for wheels that are files of it. Paths are relative to its root."""

    def open(self, path: str) -> BinaryIO:
        """The content of a file. Raises NotFound."""

    def names(self, folder: str) -> Sequence[str]:
        """The names of the files in a folder; none where there is no such folder."""


class NoFiles:
    """A commit without files."""

    def open(self, path: str) -> BinaryIO:
        """None is there."""
        raise NotFound(f"the commit has no {path[:200]!r}", "commit the wheel, or lock again")

    def names(self, folder: str) -> Sequence[str]:  # noqa: ARG002
        """None."""
        return ()


def title(wheel: LockedWheel) -> str:
    """A wheel, for a message."""
    return f"{wheel.name} {wheel.version} ({wheel.filename})"


def checked(wheel: LockedWheel) -> LockedWheel:
    """The wheel with its strong hashes alone. Raises InvalidInput for what is no wheel's name, or has none of them."""
    try:
        checks.check_filename(wheel.filename)
    except ValueError as error:
        raise InvalidInput(f"{wheel.name[:80]!r}: {error}", "lock it again") from None
    return wheel._replace(hashes=checks.check_hashes(wheel.hashes, title(wheel)))


def algorithms(wheel: LockedWheel) -> frozenset[str]:
    """Those to hash its bytes by: sha256, by which it is kept, and those of the lock."""
    return frozenset({"sha256", *(each.partition(":")[0] for each in wheel.hashes)})


def sha256s(hashes: Sequence[str] | frozenset[str]) -> list[str]:
    """The sha256 digests among "algorithm:hex", without their algorithm."""
    return sorted(each[7:] for each in hashes if each.startswith("sha256:"))
