"""What a member holds: inflated a block at a time, and held against its size, its CRC and its hash in RECORD."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Any

from buildkit.wheels.archive import BLOCK, DEFLATED, Archive, Member, corrupt, invalid
from buildkit.wheels.record import Hash

# Fed at a time: with more, the inflater copies what it has not taken yet for each block that it gives.
_FED = 256 << 10

_inflate: Any
try:
    from isal import isal_zlib

    _inflate = isal_zlib
except ImportError:
    _inflate = zlib


class Reader:
    """Takes a member's payload and gives its content, as bytes that are checked when `finish` has returned."""

    def __init__(self, wheel: str, member: Member, expected: Hash | None = None) -> None:
        self._wheel = wheel
        self._member = member
        self._expected = expected
        self._hash = hashlib.new(expected.algorithm) if expected else None
        self._inflater: Any = _inflate.decompressobj(-15) if member.method == DEFLATED else None
        self._crc = 0
        self._size = 0

    def feed(self, block: bytes) -> Iterator[bytes]:
        """The content that this block of the payload gives, at most 1 MiB at a time. Raises CorruptContent."""
        if self._inflater is None:
            yield self._checked(block)
            return
        for start in range(0, len(block), _FED):
            yield from self._content(block[start : start + _FED])

    def finish(self) -> None:
        """CorruptContent where size, CRC, hash, or the end of the stream are not what they were said to be."""
        if self._size != self._member.size or (self._inflater is not None and not self._inflater.eof):
            raise corrupt(self._wheel, "it is cut off, or shorter than it says", self._member.name)
        if self._crc != self._member.crc:
            raise corrupt(self._wheel, "its CRC is not that of its content", self._member.name)
        if self._expected and self._hash and self._hash.digest() != self._expected.digest:
            raise corrupt(self._wheel, "its hash is not the one in RECORD", self._member.name)

    def _content(self, block: bytes) -> Iterator[bytes]:
        content = b""
        while (
            block or len(content) == BLOCK
        ):  # A full one: more may be held back, although all input is taken.
            content = self._inflated(block)
            block = self._inflater.unconsumed_tail
            if self._inflater.unused_data:
                raise corrupt(self._wheel, "its deflate stream ends early", self._member.name)
            if content:
                yield self._checked(content)

    def _inflated(self, block: bytes) -> bytes:
        try:
            return bytes(self._inflater.decompress(block, BLOCK))
        except _inflate.error as error:
            raise corrupt(
                self._wheel, f"its deflate stream is damaged ({error})", self._member.name
            ) from None

    def _checked(self, content: bytes) -> bytes:
        self._size += len(content)
        if self._size > self._member.size:
            raise corrupt(self._wheel, "it holds more than it says", self._member.name)
        self._crc = _inflate.crc32(content, self._crc)
        if self._hash:
            self._hash.update(content)
        return content


def contents(archive: Archive, member: Member, expected: Hash | None = None) -> Iterator[bytes]:
    """The content of a member, checked when the last block was taken. Raises CorruptContent."""
    reader = Reader(archive.wheel, member, expected)
    for block in archive.payload(member):
        yield from reader.feed(block)
    reader.finish()


def whole(archive: Archive, member: Member, expected: Hash | None = None, *, most: int) -> bytes:
    """All of a member of at most so many bytes. InvalidInput where it is larger, CorruptContent as above."""
    if member.size > most:
        raise invalid(
            archive.wheel, f"it has {member.size} bytes, and no more than {most} are read", member.name
        )
    return b"".join(contents(archive, member, expected))


def begins_with(archive: Archive, member: Member, prefix: bytes) -> bool:
    """Whether the content begins with these bytes. Only they are read, so nothing else is checked."""
    if member.size < len(prefix):
        return False
    start = archive.read_at(member.offset, min(member.compressed, 4096))
    if member.method == DEFLATED:
        try:
            start = _inflate.decompressobj(-15).decompress(start, len(prefix))
        except _inflate.error as error:
            raise corrupt(archive.wheel, f"its deflate stream is damaged ({error})", member.name) from None
    return bool(start[: len(prefix)] == prefix)
