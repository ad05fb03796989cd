"""Gzip members (RFC 1952) whose bytes depend neither on the zlib installed nor on the CPU.

The stream is cut into members of 1 MiB of input. Each is deflated by libdeflate at level 1, whose bytes were equal
over all of its releases, wheels and CPU models tried (zlib's, zlib-ng's and isal's were not), or stored where a
probe of its beginning says that deflating is in vain. A known answer is asked for first: a libdeflate that gives
another one is not used, and then every member is stored, under another recipe and so under other layer keys.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from functools import cache

MEMBER = 1 << 20
_PROBE = 16 << 10
_LEVEL = 1
_STORED_BLOCK = 65535
# Flags 0, time 0, no extra flags, operating system unknown: nothing about the machine that wrote it.
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_KNOWN_CRC = 0x9BE7C9B6

LIBDEFLATE = "libdeflate-1/1MiB/probe-16KiB"
STORED = "stored/1MiB"


@cache
def recipe() -> str:
    """The identity of the encoder, a part of every layer key."""
    return LIBDEFLATE if _answers_as_known() else STORED


def member(data: bytes | bytearray | memoryview) -> bytes:
    """One gzip member that holds `data`: `MEMBER` bytes or less, unless a format wants one member of more."""
    body = _deflate(data) if recipe() == LIBDEFLATE and _shrinks(data) else store(data)
    return b"".join((_HEAD, body, struct.pack("<II", zlib.crc32(data), len(data))))


def content(member: bytes) -> bytes | bytearray:
    """What a member made here holds. Raises ValueError where it is damaged."""
    crc, size = struct.unpack("<II", member[-8:])
    try:
        data = _inflate(member[len(_HEAD) : -8], size)
    except ValueError:
        raise ValueError("a damaged gzip member") from None
    if len(data) != size or zlib.crc32(data) != crc:
        raise ValueError("a damaged gzip member: its checksum does not agree")
    return data


def _inflate(body: bytes, size: int) -> bytes | bytearray:
    """By libdeflate, three times as fast as zlib, whose word on plain contents is as good."""
    if recipe() == LIBDEFLATE:
        import deflate

        try:
            return deflate.deflate_decompress(body, size)
        except deflate.DeflateError as error:
            raise ValueError(str(error)) from None
    try:
        return zlib.decompress(body, -15)
    except zlib.error as error:
        raise ValueError(str(error)) from None


def store(data: bytes | bytearray | memoryview) -> bytes:
    """`data` as stored deflate blocks (RFC 1951, 3.2.4): five bytes for each 64 KiB, and no encoder at all."""
    view = memoryview(data)
    blocks: list[bytes | memoryview] = []
    for start in range(0, len(view) or 1, _STORED_BLOCK):
        part = view[start : start + _STORED_BLOCK]
        final = start + _STORED_BLOCK >= len(view)
        blocks += [struct.pack("<BHH", final, len(part), len(part) ^ 0xFFFF), part]
    return b"".join(blocks)


def _deflate(data: bytes | bytearray | memoryview) -> bytes:
    import deflate

    return bytes(deflate.deflate_compress(data, _LEVEL))


def _shrinks(data: bytes | bytearray | memoryview) -> bool:
    """Whether deflating the beginning saves at least a sixteenth of it."""
    probe = memoryview(data)[:_PROBE]
    return len(_deflate(probe)) < len(probe) - len(probe) // 16


def _answers_as_known() -> bool:
    """Whether this libdeflate gives the bytes that all others gave for one sample."""
    try:
        return zlib.crc32(_deflate(_sample())) == _KNOWN_CRC
    except (ImportError, AttributeError):
        return False


def _sample() -> bytes:
    """Text without matches, matches near and far, runs, and every byte value."""
    text = "".join(hashlib.sha256(b"%d" % i).hexdigest() for i in range(256)).encode()
    return b"".join(
        (text, text[::3], text[5000:9000], text[1:40] * 50, bytes(range(256)) * 4, bytes(3000), text[:77])
    )
