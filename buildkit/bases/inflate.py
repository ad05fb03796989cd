"""Layers as they are stored, to the bytes of their tar: gzip of any number of members, plain tar, zstd where it can be.

The first bytes decide, not the media type: registries hold layers under wrong ones. Memory is bounded whatever
the compressed bytes say. ISA-L's inflate is used where `isal` is installed, zlib's otherwise.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, BinaryIO

from buildkit.errors import CorruptContent, InvalidInput

_CHUNK = 256 * 1024
_FIRST = 8 * 1024
_OUTPUT = 4 * 1024 * 1024
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BROKEN = "the layer is broken at its source; fetch or build it again"


def inflated(stream: BinaryIO, what: str) -> Iterator[bytes]:
    """The tar of a layer in pieces of 4 MiB at most; `what` names it in errors.

    Reads `stream` to its end, so that one that verifies does so. CorruptContent for broken or truncated
    compression, InvalidInput for zstd without a library.
    """
    start = _read_exactly(stream, 4)
    if start.startswith(_GZIP):
        yield from _gunzipped(stream, start, what)
    elif start == _ZSTD:
        yield from _unzstd(_Rejoined(start, stream), what)
    else:
        yield start
        yield from iter(lambda: stream.read(_CHUNK), b"")


def _gunzipped(stream: BinaryIO, start: bytes, what: str) -> Iterator[bytes]:
    """A member's first slice is small: what follows its end is copied, and members may be as small as 20 bytes."""
    new, error = _inflater()
    state, data, position, step = new(), start, 0, _FIRST
    while True:
        if position >= len(data):
            data, position = stream.read(_CHUNK), 0
            if not data:
                break
        if state.eof:
            if not data.startswith(b"\x1f", position):
                return _drain(stream)  # zeros or other padding: gzip ignores it too
            state, step = new(), _FIRST
        fed = data[position : position + step]
        position += len(fed)
        step = min(2 * step, _CHUNK)
        try:
            yield state.decompress(fed, _OUTPUT)
            while state.unconsumed_tail:
                yield state.decompress(state.unconsumed_tail, _OUTPUT)
        except error as reason:
            raise CorruptContent(f"{what} is no gzip: {reason}", _BROKEN) from None
        position -= len(state.unused_data)
    if not state.eof:
        raise CorruptContent(f"{what} is cut off within its gzip", _BROKEN)
    return None


def _inflater() -> tuple[Callable[[], Any], type[Exception]]:
    try:
        isal: Any = import_module("isal.isal_zlib")
    except ImportError:
        return lambda: zlib.decompressobj(31), zlib.error
    return lambda: isal.decompressobj(31), isal.error


def _unzstd(stream: _Rejoined, what: str) -> Iterator[bytes]:
    try:
        library: Any = import_module("zstandard")
    except ImportError:
        raise InvalidInput(
            f"{what} is compressed with zstd, which needs a library to read",
            "install it (pip install zstandard), or take a base with gzip layers",
        ) from None
    reader = library.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    try:
        yield from iter(lambda: reader.read(_OUTPUT), b"")
    except library.ZstdError as reason:
        raise CorruptContent(f"{what} is no zstd: {reason}", _BROKEN) from None


class _Rejoined:
    """A stream with the bytes that were taken to look at put back."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start, self._stream = start, stream

    def read(self, size: int = -1) -> bytes:
        """The start alone first."""
        start, self._start = self._start, b""
        return start or self._stream.read(size)


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def _drain(stream: BinaryIO) -> None:
    while stream.read(_CHUNK):
        pass
