"""Wheels that were fetched, by sha256: `aa/SHA256/FILENAME` below one folder, shared by any number of processes.

A wheel is hashed on its way in, and trusted for as long as its stamp stays (see `verified.py`). It gets its name when
it is whole and right; until then it is a locked temporary file, which the next process removes when its writer is dead.
The time of a wheel's folder says when it was last used.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from types import TracebackType

from buildkit import files
from buildkit.cache import Cache, is_due
from buildkit.errors import CorruptContent, NotFound
from buildkit.files import explained
from buildkit.wheels.fetch.model import FetchedWheel, Place, Stamp, algorithms, sha256s, title
from buildkit.wheels.fetch.verified import Hashes
from buildkit.wheels.locks.model import LockedWheel

_ALIASES = "wheelnames"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DAY = 86400.0
_UNUSED_DAYS = 30


class Landing:
    """A wheel on its way into the store, hashed as it comes; left without `keep`, nothing of it stays."""

    def __init__(self, folder: str, wheel: LockedWheel) -> None:
        self.wheel = wheel
        self._folder = folder
        self._begin()

    def restart(self) -> None:
        """Drop what came so far."""
        self.close()
        self._begin()

    def write(self, data: bytes) -> None:
        """More of it. Raises Unavailable where the disk is full."""
        with explained(f"write to {self._folder}"):
            self.temporary.write(data)
        for state in self._states:
            state.update(data)
        if len(self.head) < 4:
            self.head += data[:4]
        self.count += len(data)

    @property
    def hashes(self) -> frozenset[str]:
        """Of what came, as "algorithm:hex"."""
        return frozenset(f"{state.name}:{state.hexdigest()}" for state in self._states)

    def close(self) -> None:
        """Drop the file, unless it was kept."""
        self.temporary.close()

    def _begin(self) -> None:
        with explained(f"write to {self._folder}"):
            self.temporary = files.Temporary(self._folder)
        self._states = [hashlib.new(each) for each in sorted(algorithms(self.wheel))]
        self.count = 0
        self.head = b""

    def __enter__(self) -> Landing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WheelStore:
    """Wheels below `directory`, which need not exist; what is known of them is in `cache`."""

    def __init__(self, directory: str, cache: Cache) -> None:
        self.directory = os.path.abspath(directory)
        self.hashes = Hashes(cache)
        self._cache = cache
        self._incoming = f"{self.directory}/incoming"

    def find(self, wheel: LockedWheel) -> FetchedWheel | None:
        """The wheel, verified. One that is damaged is removed, and reported as absent.

        So is one of another size than the lock says: wherever it is fetched from then, that will be the error, as it
        is for those who have no store.
        """
        for path in self._paths(wheel):
            found = self._sound(path, wheel)
            if found and wheel.size in (None, found.size):
                try:
                    os.utime(os.path.dirname(path))
                except OSError:
                    pass  # somebody else's folder: they will renew it
                return found
        return None

    def landing(self, wheel: LockedWheel) -> Landing:
        """To write a wheel to, of which the rest of this store's readers see nothing before `keep`."""
        with explained(f"write to {self.directory}"):
            for folder in (self.directory, self._incoming):  # who writes here chooses what is in images
                os.makedirs(folder, mode=0o700, exist_ok=True)
            files.sweep(self._incoming)
        return Landing(self._incoming, wheel)

    def keep(self, landing: Landing, source: str, place: Place) -> FetchedWheel:
        """Give the wheel its name. Raises CorruptContent where it has none of the lock's hashes, or another size;
        `source` is whose bytes these are, for the message."""
        wheel, hashes = landing.wheel, landing.hashes
        if not hashes & set(wheel.hashes):
            raise CorruptContent(
                f"{title(wheel)} from {source} has {_listed(hashes, wheel)}, and {_expected(wheel)} is locked",
                "whoever serves it has another file than the one that was locked: find out why, or lock again",
            )
        if wheel.size not in (None, landing.count):
            raise CorruptContent(
                f"{title(wheel)} from {source} has {landing.count} bytes, and {wheel.size} are locked",
                "lock again: the hash is right, and the size is not",
            )
        path = self._path(sha256s(hashes)[0], wheel.filename)
        with explained(f"write {path}"):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            landing.temporary.sync()
            with files.locked(f"{self.directory}/lock"):
                kept = self._sound(path, wheel) if os.path.lexists(path) else None
                if kept is None:
                    landing.temporary.keep(path)
            landing.close()
        # Not for all that the lock names: nothing is known of the others.
        for each in hashes.intersection(wheel.hashes):
            self._cache.put(_ALIASES, each.partition(":")[2], sha256s(hashes)[0].encode())
        return kept or self._kept(path, wheel, hashes, place)

    def sweep(self, now: float | None = None) -> None:
        """Once a day, remove what nobody has used for 30 days. `now` in seconds since 1970."""
        now = time.time() if now is None else now
        try:
            if not is_due(f"{self.directory}/swept", now):
                return
            files.sweep(self._incoming)
            for name in os.listdir(self.directory):
                if len(name) == 2:
                    self._sweep_folder(f"{self.directory}/{name}", now - _UNUSED_DAYS * _DAY)
        except OSError:
            return

    def _sweep_folder(self, folder: str, oldest: float) -> None:
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            if os.lstat(path).st_mtime < oldest:
                for file in os.listdir(path):
                    files.remove(f"{path}/{file}")
                os.rmdir(path)

    def _kept(self, path: str, wheel: LockedWheel, hashes: frozenset[str], place: Place) -> FetchedWheel:
        with files.open_plain(path) as file:
            stamp = Stamp.of(os.fstat(file.fileno()))
        self.hashes.remember(path, stamp, hashes)
        return FetchedWheel(wheel, path, sha256s(hashes)[0], stamp.size, stamp, place)

    def _sound(self, path: str, wheel: LockedWheel) -> FetchedWheel | None:
        """The file where it has one of the lock's hashes. It goes where it is not what its own path says."""
        try:
            with files.open_plain(path) as file:
                stamp, hashes = self.hashes.of(file.fileno(), path, algorithms(wheel))
        except NotFound:
            return None
        except CorruptContent:
            _remove(path)
            return None
        if f"/{sha256s(hashes)[0]}/" not in path:
            self._discard(path, stamp)
            return None
        if not hashes & set(wheel.hashes):
            return None
        return FetchedWheel(wheel, path, sha256s(hashes)[0], stamp.size, stamp, Place.STORE)

    def _discard(self, path: str, stamp: Stamp) -> None:
        """Remove this file, but not one that another process has put in its place meanwhile."""
        try:
            if Stamp.of(os.lstat(path)) == stamp:
                os.unlink(path)
        except OSError:
            return

    def _paths(self, wheel: LockedWheel) -> list[str]:
        return [self._path(each, wheel.filename) for each in self._names(wheel)]

    def _names(self, wheel: LockedWheel) -> list[str]:
        """The sha256 that it may have: the lock's, or those that were seen with the lock's other hashes."""
        others = [each.partition(":")[2] for each in wheel.hashes if not each.startswith("sha256:")]
        said = [(self._cache.get(_ALIASES, each) or b"").decode("ascii", "replace") for each in others]
        return [*sha256s(wheel.hashes), *(each for each in said if _SHA256.fullmatch(each))]

    def _path(self, sha256: str, filename: str) -> str:
        return f"{self.directory}/{sha256[:2]}/{sha256}/{filename}"


def _remove(path: str) -> None:
    """Something that is no file. What cannot be removed is in the way, which writing will say."""
    for remove in (os.unlink, os.rmdir):
        try:
            remove(path)
        except OSError:
            continue


def _listed(hashes: frozenset[str], wheel: LockedWheel) -> str:
    kinds = {each.partition(":")[0] for each in wheel.hashes}
    return ", ".join(sorted(each for each in hashes if each.partition(":")[0] in kinds))


def _expected(wheel: LockedWheel) -> str:
    more = f" (or {len(wheel.hashes) - 3} others)" if len(wheel.hashes) > 3 else ""
    return " or ".join(wheel.hashes[:3]) + more
