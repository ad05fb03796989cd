"""What is sent with a request: bytes of known size, opened anew for each attempt."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import BinaryIO, NamedTuple

CHUNK = 256 * 1024


class BodyUnreadable(Exception):
    """What was to be sent could not be read; the cause says why."""


class Body(NamedTuple):
    """A body of known size, opened anew for each attempt, from the byte `start`."""

    size: int
    open: Callable[[], BinaryIO]
    start: int = 0
    told: Callable[[int], None] | None = None

    def chunks(self) -> Generator[bytes, None, None]:
        """Exactly `size - start` bytes, or BodyUnreadable."""
        left = self.size
        try:
            with self.open() as stream:
                left -= self._skip(stream)
                while left and (chunk := stream.read(min(left, CHUNK))):
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise BodyUnreadable(error.strerror or type(error).__name__) from error
        if left:
            raise BodyUnreadable(f"it ends {left} bytes early")

    def _skip(self, stream: BinaryIO) -> int:
        if self.start and stream.seekable():
            return stream.seek(self.start)
        skipped = 0
        while skipped < self.start and (chunk := stream.read(min(self.start - skipped, CHUNK))):
            skipped += len(chunk)
        return skipped
