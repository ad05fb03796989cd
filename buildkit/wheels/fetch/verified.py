"""When the hash of a file is known: it was read since the file last changed, by all that the system says of it.

Hashing 3 GB takes 2 s, so a hash that was taken is remembered with the file's stamp: device, inode, size, and the
times of the last change to content and entry. A program can set back the first of these times, not the second.
Whoever reads a wheel reads it through `opened`, which looks at the stamp after each read; where it differs, the file
is hashed again. So a change between check and use is noticed, and is an error only where the bytes differ.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from buildkit.cache import Cache
from buildkit.errors import CorruptContent
from buildkit.files import explain, explained
from buildkit.wheels import archive
from buildkit.wheels.archive import Archive
from buildkit.wheels.fetch.model import FetchedWheel, Stamp, sha256s

_KIND = "wheelsums"
_BLOCK = 1 << 20
# A file that changed less than this ago may change again without its times doing so (git's "racy" entries).
_SETTLED_NS = 2_000_000_000


class Hashes:
    """The hashes of files, as "algorithm:hex". What is remembered in `cache` is hashed once."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def known(self, path: str, stamp: Stamp) -> frozenset[str]:
        """What is remembered of this file, which may be nothing."""
        said = self._cache.get(_KIND, _name(path, stamp)) or b""
        return frozenset(said.decode("ascii", "replace").split())

    def of(self, file: int, path: str, wanted: Iterable[str]) -> tuple[Stamp, frozenset[str]]:
        """The hashes of a file that is open, by these algorithms. Raises CorruptContent where it is being changed."""
        stamp = Stamp.of(os.fstat(file))
        found = self.known(path, stamp)
        if set(wanted) <= {each.partition(":")[0] for each in found}:
            return stamp, found
        with explained(f"read {path}"):
            found = _hashed(file, wanted)
        if Stamp.of(os.fstat(file)) != stamp:
            raise CorruptContent(
                f"{path} was changed while it was read", "wait for whoever writes it, and try again"
            )
        if time.time_ns() - max(stamp.modified, stamp.changed) > _SETTLED_NS:
            self.remember(path, stamp, found)
        return stamp, found

    def remember(self, path: str, stamp: Stamp, hashes: Iterable[str]) -> None:
        """What is known of a file that nobody but us writes to."""
        self._cache.put(_KIND, _name(path, stamp), " ".join(sorted(hashes)).encode())


@contextmanager
def opened(wheel: FetchedWheel) -> Iterator[Archive]:
    """The wheel's archive, to be read until the block is left.

    Each read raises CorruptContent where the file is no longer what it was when it was fetched.
    """
    with _file(wheel) as file:
        yield archive.parse(wheel.wheel.filename, wheel.size, _Watched(file, wheel).read_at)


def reopened(wheel: FetchedWheel) -> Archive:
    """The same, without an open file between reads: for a process that has too many."""

    def read_at(offset: int, length: int) -> bytes:
        with _file(wheel) as file:
            return _Watched(file, wheel).read_at(offset, length)

    return archive.parse(wheel.wheel.filename, wheel.size, read_at)


@contextmanager
def _file(wheel: FetchedWheel) -> Iterator[int]:
    try:
        # A FIFO in its place would be waited for.
        file = os.open(wheel.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise explain(error, f"read {wheel.path}") from error
    try:
        yield file
    finally:
        os.close(file)


class _Watched:
    """A file whose time of change is looked at after each read, which takes microseconds: so what was read was a part
    of the bytes that were hashed."""

    def __init__(self, file: int, wheel: FetchedWheel) -> None:
        self._file = file
        self._wheel = wheel
        self._changed = wheel.stamp.changed
        if Stamp.of(os.fstat(file)) != wheel.stamp:
            self._hash_again()

    def read_at(self, offset: int, length: int) -> bytes:
        """So many bytes, or those up to the end. Raises CorruptContent."""
        while True:
            data = os.pread(self._file, length, offset)
            if os.fstat(self._file).st_ctime_ns == self._changed:
                return data
            self._hash_again()

    def _hash_again(self) -> None:
        stamp = Stamp.of(os.fstat(self._file))
        with explained(f"read {self._wheel.path}"):
            found = _hashed(self._file, ("sha256",))
        if sha256s(found) != [self._wheel.sha256]:
            raise CorruptContent(
                f"{self._wheel.path} was changed after its hash was checked",
                "run it again, and leave the file alone meanwhile",
            )
        self._changed = stamp.changed


def _hashed(file: int, wanted: Iterable[str]) -> frozenset[str]:
    states = [hashlib.new(each) for each in sorted(set(wanted))]
    at = 0
    while block := os.pread(file, _BLOCK, at):
        at += len(block)
        for state in states:
            state.update(block)
    return frozenset(f"{state.name}:{state.hexdigest()}" for state in states)


def _name(path: str, stamp: Stamp) -> str:
    return hashlib.sha256(repr((os.path.abspath(path), *stamp)).encode(errors="surrogateescape")).hexdigest()
