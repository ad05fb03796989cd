"""One blob to one repository: POST, then a single PUT of known length, and what to do when that breaks.

Chunked uploads lose data on ECR, are refused by GHCR, and Debian's registry accepts gaps: so the default is
one PUT. Only a large blob whose connection was lost is continued, and only while the registry proves that it
has advanced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from buildkit.endpoints import Blob, Progress
from buildkit.errors import InvalidInput, Unavailable
from buildkit.registry import errors
from buildkit.registry.body import Body
from buildkit.registry.client import Repository
from buildkit.registry.options import RegistryOptions
from buildkit.registry.transport import Answer
from buildkit.registry.url import Url

# The session is unknown, over, or elsewhere than we think: a new one may do better.
_STORED = frozenset({200, 201, 204})
_START_OVER = frozenset({400, 404, 409, 416})


class Uploader(NamedTuple):
    """Sends blobs; shared by the threads of a push. `stop` raises where the push has failed elsewhere."""

    repository: Repository
    options: RegistryOptions
    progress: Progress
    stop: Callable[[], None]

    def send(self, blob: Blob, location: Url | None = None) -> None:
        """Returns when the registry has confirmed the digest; starts over where that helps."""
        label = f"push {blob.digest.hex[:12]}"
        self.progress.start(label, blob.descriptor.size)
        try:
            self._attempts(blob, location, label)
        finally:
            self.progress.finish(label)

    def _attempts(self, blob: Blob, location: Url | None, label: str) -> None:
        for attempt in range(self.options.retries + 1):
            final = attempt == self.options.retries
            started = location or self.repository.start_upload()
            location = None
            answer = None
            try:
                answer = self.repository.put_upload(started, blob.digest, self._body(blob, label))
            except errors.ConnectionLost:
                # The bytes may all have arrived, and only the answer not.
                if self.repository.has_blob(blob.descriptor) or self._resumed(blob, started, label):
                    return
                if final:
                    raise
            else:
                if answer.status in _STORED:
                    self._check(blob, answer)
                    return
                if final or not self._worth_another(answer, attempt):
                    raise self.repository.refused(answer, f"uploading {blob.digest} to")
            self.repository.pause(attempt, answer)

    def _body(self, blob: Blob, label: str, start: int = 0) -> Body:
        def told(count: int) -> None:
            self.stop()
            self.progress.advance(label, count)

        return Body(blob.descriptor.size, blob.open, start, told)

    def _worth_another(self, answer: Answer, attempt: int) -> bool:
        said = errors.parse_errors(answer.body).codes
        if answer.status in errors.RETRYABLE:
            return True
        # A digest that does not fit is our content's fault, unless the session held a part of another try.
        return answer.status in _START_OVER and attempt == 0 and "DIGEST_INVALID" not in said

    def _check(self, blob: Blob, answer: Answer) -> None:
        claimed = answer.headers.get("docker-content-digest", blob.digest)
        if claimed.startswith("sha256:") and claimed != blob.digest:
            raise InvalidInput(f"{self.repository.host} stored {blob.digest} as another blob", "it is broken")

    def _resumed(self, blob: Blob, location: Url, label: str) -> bool:
        """Whether the rest of a large blob could be sent after all."""
        size = blob.descriptor.size
        if size <= self.options.resume_above:
            return False
        before = 0
        for _ in range(self.options.retries):
            try:
                location, offset = self.repository.upload_status(location)
                if not before < offset <= size:
                    return False
                before = offset
                if offset < size:
                    location, offset = self.repository.patch_upload(location, self._body(blob, label, offset))
                if offset != size:
                    return False
                answer = self.repository.put_upload(location, blob.digest, b"")
            except errors.ConnectionLost:
                continue
            except (InvalidInput, Unavailable):
                return False
            if answer.status in _STORED:
                self._check(blob, answer)
            return answer.status in _STORED
        return False
