"""A blob as a stream that checks itself: size and digest, before its last byte is handed out."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from buildkit.errors import CorruptContent
from buildkit.image.descriptor import Descriptor
from buildkit.registry import errors
from buildkit.registry.body import CHUNK
from buildkit.registry.transport import Answer, Request
from buildkit.registry.wire import content_length

if TYPE_CHECKING:
    from buildkit.registry.client import Repository

_RESUMES = 5


def open_blob(repository: Repository, wanted: Descriptor) -> BinaryIO:
    """Asks for it at once, so that NotFound and AccessDenied come from here and not from a read."""
    return cast(BinaryIO, io.BufferedReader(BlobStream(repository, wanted), CHUNK))


class BlobStream(io.RawIOBase):
    """Goes on with a Range request after a lost connection, up to five times without progress."""

    def __init__(self, repository: Repository, wanted: Descriptor) -> None:
        super().__init__()
        self._repository = repository
        self._wanted = wanted
        self._state = hashlib.sha256()
        self._count = 0
        self._failures = 0
        self._answer: Answer | None = None
        self._answer = self._ask()

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: object) -> int:
        """Some bytes. Raises CorruptContent rather than hand out the last byte of something else."""
        view = memoryview(cast(bytearray, buffer)).cast("B")
        data = self._read(min(len(view), CHUNK))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Give the connection back (or up, where the body was not read to its end)."""
        if not self.closed and self._answer is not None:
            self._answer.close()
            self._answer = None
        super().close()

    def _read(self, limit: int) -> bytes:
        data = self._next(limit)
        self._failures = self._failures if not data else 0
        self._state.update(data)
        self._count += len(data)
        if self._count >= self._wanted.size or not data:
            self._verify()
        return data

    def _next(self, limit: int) -> bytes:
        while True:
            if self._answer is None:
                self._answer = self._ask()
            try:
                return self._answer.read(limit)
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._failures += 1
        if self._answer is not None:
            self._answer.close()
            self._answer = None
        if self._failures > _RESUMES:
            raise errors.lost(error, self._repository.host)

    def _ask(self) -> Answer:
        headers = (("Range", f"bytes={self._count}-"),) if self._count else ()
        url = self._repository.url(f"blobs/{self._wanted.digest}")
        answer = self._repository.send(Request("GET", url, headers, stream=True))
        if answer.status not in (200, 206):
            raise self._repository.refused(answer, f"reading {self._wanted.digest} of")
        try:
            self._align(answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _align(self, answer: Answer) -> None:
        """Make sure that what comes next is the byte we are at."""
        whole = answer.status == 200
        if not whole and not answer.headers.get("content-range", "").startswith(f"bytes {self._count}-"):
            raise self._corrupt("a part that was not asked for")
        length = answer.headers.get("content-length")
        expected = self._wanted.size if whole else self._wanted.size - self._count
        if length is not None and content_length(length) != expected:
            raise self._corrupt(f"{length} bytes where {expected} were due")
        skip = self._count if whole else 0
        while skip:
            data = answer.read(min(skip, CHUNK))
            if not data:
                raise self._corrupt("fewer bytes than before")
            skip -= len(data)

    def _verify(self) -> None:
        if self._count != self._wanted.size:
            raise self._corrupt(f"{self._count} bytes where {self._wanted.size} were due")
        if self._state.hexdigest() != self._wanted.digest.hex:
            raise self._corrupt("other content")
        # One read more shows whether it goes on; where it does not, the connection can serve again.
        extra = b""
        if self._answer is not None:
            with suppress(OSError):
                extra = self._answer.read(1)
        if extra:
            raise self._corrupt("more bytes than were due")

    def _corrupt(self, found: str) -> CorruptContent:
        where = f"{self._repository.host}/{self._repository.name}"
        return CorruptContent(f"{where} gave {found} for {self._wanted.digest}",
                              "the registry or a proxy before it is broken, or worse")  # fmt: skip
