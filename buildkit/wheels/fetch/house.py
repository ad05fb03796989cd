"""Folders of wheels on this machine, used in place: nothing is copied."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence

from buildkit.errors import CorruptContent, TreeshipError
from buildkit.files import explain
from buildkit.wheels.fetch.model import FetchedWheel, Place, algorithms, sha256s
from buildkit.wheels.fetch.verified import Hashes
from buildkit.wheels.locks.model import LockedWheel

Say = Callable[[str], object]


class Wheelhouse:
    """Folders that the settings name, the first of which has the wheel wins. A wheel is found by its file name."""

    def __init__(self, folders: Sequence[str | os.PathLike[str]] = ()) -> None:
        self.folders = tuple(os.path.abspath(folder) for folder in folders)

    def find(self, wheel: LockedWheel, hashes: Hashes, say: Say) -> FetchedWheel | None:
        """The wheel, verified. One of its name with other bytes is left alone, and said."""
        for path, size in self._named(wheel):
            if wheel.size not in (None, size):
                say(f"{path} is not used: it has {size} bytes, and {wheel.size} are locked")
                continue
            try:
                found = _read(path, wheel, hashes)
            except TreeshipError as error:
                say(f"{path} is not used: {error.what}")
                continue
            if found:
                return found
            say(f"{path} is not used: its hash is none of those that are locked")
        return None

    def say_missing(self, say: Say) -> None:
        """Folders that are not there: often a typing error, and no more than slow."""
        for folder in self.folders:
            if not os.path.isdir(folder):
                say(f"the wheelhouse {folder} is not there")

    def of_version(self, name: str, version: str) -> Iterator[str]:
        """The file names of wheels of a package's version, sorted."""
        from buildkit.wheels.locks.checks import parse_wheel

        for folder in self.folders:
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                continue
            for each in names:
                try:
                    if parse_wheel(each)[:2] == (name, version):
                        yield each
                except ValueError:
                    continue

    def _named(self, wheel: LockedWheel) -> Iterator[tuple[str, int]]:
        for folder in self.folders:
            path = os.path.join(folder, wheel.filename)
            try:
                yield path, os.stat(path).st_size
            except OSError:
                continue


def _read(path: str, wheel: LockedWheel, hashes: Hashes) -> FetchedWheel | None:
    try:
        # Links are followed: the folder is the machine's own. O_NONBLOCK, because a FIFO would be waited for.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise explain(error, "read it") from error
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise CorruptContent("it is not a file", "put a wheel there")
        mark, found = hashes.of(file, path, algorithms(wheel))
    finally:
        os.close(file)
    if not found & set(wheel.hashes):
        return None
    return FetchedWheel(wheel, path, sha256s(found)[0], mark.size, mark, Place.WHEELHOUSE)
