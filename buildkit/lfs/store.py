"""LFS objects on disk as git-lfs keeps them, `objects/aa/bb/<oid>`. What is read is verified on the way."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from typing import BinaryIO, Protocol, cast

from buildkit import files
from buildkit.errors import CorruptContent, NotFound
from buildkit.git.tree import show

_CHUNK = 1 << 20
_DAMAGED = "fetch it again (`git lfs fsck` there tells more), or leave it out of lfs.include"


class Wanted(Protocol):
    """A file of a commit whose LFS content is wanted: `oid` is the content's sha256 in hex."""

    @property
    def path(self) -> bytes:
        """Where the pointer is in the tree."""

    @property
    def oid(self) -> str:
        """What the content is."""

    @property
    def size(self) -> int:
        """Its size in bytes."""


def name_of(wanted: Wanted) -> str:
    """The file and its object, for a message."""
    return f"{show(wanted.path)} (LFS object {wanted.oid})"


class ObjectStore:
    """One folder of objects; it need not exist."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def file(self, wanted: Wanted) -> str:
        """Where the object is, if it is here."""
        return os.path.join(self.directory, wanted.oid[:2], wanted.oid[2:4], wanted.oid)

    def has(self, wanted: Wanted) -> bool:
        """Whether there is a file for the object; what is in it was not looked at."""
        return os.path.isfile(self.file(wanted))

    def open(self, wanted: Wanted) -> BinaryIO:
        """The content. Raises CorruptContent, at the latest with the last byte, for any other content."""
        path = self.file(wanted)
        raw = files.open_plain(path)
        found = os.fstat(raw.fileno()).st_size
        if found != wanted.size:
            raw.close()
            fault = f"{path} has {found} bytes, its pointer says {wanted.size}"
            raise CorruptContent(f"{name_of(wanted)}: {fault}", _DAMAGED)
        return cast(BinaryIO, io.BufferedReader(_Verified(raw, wanted, path), _CHUNK))

    def is_sound(self, wanted: Wanted) -> bool:
        """Whether the object is here, whole and right; all of it is read."""
        try:
            with self.open(wanted) as stream:
                while stream.read(_CHUNK):
                    pass
        except (CorruptContent, NotFound):
            return False
        return True

    def receive(self, wanted: Wanted, chunks: Iterable[bytes]) -> None:
        """Store content as it arrives; what is not the object is dropped, with CorruptContent."""
        path = self.file(wanted)
        with files.explained(f"write {path}"):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with files.Temporary(os.path.dirname(path)) as temporary:
                check = Check(wanted, "what was received")
                for chunk in chunks:
                    check.update(chunk)
                    temporary.write(chunk)
                check.finish()
                temporary.keep(path)

    def discard(self, wanted: Wanted) -> None:
        """Forget a damaged object."""
        with files.explained(f"remove {self.file(wanted)}"):
            files.remove(self.file(wanted))


class Check:
    """Compares a stream with what its pointer says."""

    def __init__(self, wanted: Wanted, source: str) -> None:
        self._wanted = wanted
        self._source = source
        self._hash = hashlib.sha256()
        self.count = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """The next bytes; CorruptContent as soon as there are too many."""
        self._hash.update(chunk)
        self.count += len(chunk)
        if self.count > self._wanted.size:
            raise self._fault(f"has more than {self._wanted.size} bytes")

    def finish(self) -> None:
        """That was all."""
        if self.count != self._wanted.size:
            raise self._fault(f"has {self.count} bytes, its pointer says {self._wanted.size}")
        if self._hash.hexdigest() != self._wanted.oid:
            raise self._fault(f"has the sha256 {self._hash.hexdigest()}")

    def _fault(self, fault: str) -> CorruptContent:
        return CorruptContent(f"{name_of(self._wanted)}: {self._source} {fault}", _DAMAGED)


class _Verified(io.RawIOBase):
    """A file that is checked while it is read: the last bytes are handed out only if all were right."""

    def __init__(self, raw: io.FileIO, wanted: Wanted, path: str) -> None:
        self._raw = raw
        self._check = Check(wanted, path)
        self._size = wanted.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        count = self._raw.readinto(buffer)
        if count:
            self._check.update(buffer[:count])
        if not count or self._check.count == self._size:
            self._check.finish()
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def stores_of(git_directory: str, storage: str = "") -> tuple[ObjectStore, ...]:
    """The stores of a repository, and of those it borrows objects from (objects/info/alternates).

    `storage` is the repository's `lfs.storage` setting, relative to `git_directory`, the common one.
    """
    own = os.path.join(git_directory, storage or "lfs")
    stores = [ObjectStore(os.path.join(own, "objects"))]
    objects = os.path.join(git_directory, "objects")
    try:
        with open(os.path.join(objects, "info", "alternates"), errors="surrogateescape") as listed:
            lines = [line.rstrip("\n") for line in listed]
    except OSError:
        return tuple(stores)
    folders = (os.path.normpath(os.path.join(objects, line, "..", "lfs", "objects")) for line in lines
               if line and not line.startswith("#"))  # fmt: skip
    return (*stores, *map(ObjectStore, folders))
