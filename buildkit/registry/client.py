"""The verbs of the distribution API for one repository; each is one request (distribution-spec, "API").

Everything received is compared with the digest and size it was asked for, and raises CorruptContent.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, NotFound, TreeshipError
from buildkit.image import media
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, parse_document
from buildkit.registry import errors
from buildkit.registry.auth import Access
from buildkit.registry.blob import open_blob
from buildkit.registry.body import Body
from buildkit.registry.session import Session
from buildkit.registry.transport import Answer, Request
from buildkit.registry.url import Url

_ACCEPT = (("Accept", ", ".join(media.DOCUMENTS)),)
_BINARY = ("Content-Type", "application/octet-stream")
_RANGE = re.compile(r"(?:bytes[=\s])?0-([0-9]{1,18})")


class Repository:
    """`actions` is the scope that tokens are asked for: "pull" or "pull,push"."""

    def __init__(self, session: Session, host: str, name: str, actions: str) -> None:
        self.host = host
        self.name = name
        self._session = session
        self._actions = actions

    @property
    def _api(self) -> Url:
        return self._session.api(self.host)

    def url(self, path: str) -> Url:
        """An address below the repository."""
        return self._api._replace(target=f"/v2/{self.name}/{path}")

    def access(self, *more: str) -> Access:
        """Our own scope first, then those that a mount needs."""
        scope = f"repository:{self.name}:{self._actions}"
        return Access(self.host, self._api, self.name, (scope, *more))

    def send(self, request: Request, access: Access | None = None) -> Answer:
        """One request to this repository."""
        return self._session.send(access or self.access(), request)

    def pause(self, attempt: int, answer: Answer | None) -> None:
        """Before another try: as long as the registry wants, or a little longer each time."""
        self._session.transport.pause(attempt, answer)

    def refused(self, answer: Answer, doing: str) -> TreeshipError:
        """The error for an answer that does not fit."""
        return errors.refusal(answer.status, answer.body, doing=doing, host=self.host, repository=self.name)

    # Manifests

    def get_manifest(self, wanted: str | Digest) -> Document:
        """By tag or digest; the bytes are checked against either digest, ours and the registry's."""
        return parse_document(*self.fetch_manifest(wanted))

    def fetch_manifest(self, wanted: str | Digest) -> tuple[bytes, str]:
        """As `get_manifest`, whatever kind of manifest it is: the checked bytes, and their media type."""
        request = Request("GET", self.url(f"manifests/{wanted}"), _ACCEPT, limit=DOCUMENT_LIMIT)
        answer = self.send(request)
        if answer.status != 200:
            raise self.refused(answer, f"reading {wanted} of")
        if len(answer.body) > DOCUMENT_LIMIT:
            raise CorruptContent(
                f"{self._named(wanted)} is larger than {DOCUMENT_LIMIT} bytes", "it is no image"
            )
        expected = wanted if isinstance(wanted, Digest) else self._claimed(answer)
        if expected and Digest.of(answer.body) != expected:
            raise CorruptContent(f"{self._named(wanted)} does not have its digest {expected}",
                                 f"{self.host} or a proxy before it is broken, or worse")  # fmt: skip
        return answer.body, answer.headers.get("content-type", "")

    def find_manifest(self, wanted: str | Digest) -> Document | None:
        """`get_manifest`, with None for what is not there."""
        try:
            return self.get_manifest(wanted)
        except NotFound:
            return None

    def put_manifest(self, name: str, document: Document) -> Answer:
        """201, or the answer that refuses it for lack of a blob; other refusals are raised."""
        headers = (("Content-Type", document.media_type),)
        answer = self.send(Request("PUT", self.url(f"manifests/{name}"), headers, document.raw))
        if answer.status in (200, 201, 202):
            claimed = self._claimed(answer)
            if claimed and claimed != document.digest:
                raise CorruptContent(f"{self._named(name)} was stored as {claimed}, not as {document.digest}",
                                     f"{self.host} changes what it is given")  # fmt: skip
            return answer
        if errors.parse_errors(answer.body).codes & errors.MISSING_CONTENT:
            return answer
        raise self.refused(answer, f"writing {name} to")

    def _claimed(self, answer: Answer) -> Digest | None:
        text = answer.headers.get("docker-content-digest", "")
        try:
            return Digest(text) if text else None
        except InvalidInput:
            return None  # sha512, or rubbish: it says nothing that could be compared

    def _named(self, wanted: str) -> str:
        return f"{self.host}/{self.name}{'@' if ':' in wanted else ':'}{wanted}"

    # Blobs

    def has_blob(self, wanted: Descriptor) -> bool:
        """HEAD. A registry that cannot tell (405, a storage host for GET only) is taken to have nothing."""
        answer = self.send(Request("HEAD", self.url(f"blobs/{wanted.digest}")))
        if answer.status == 200:
            length = answer.headers.get("content-length", "")
            if length.isdigit() and int(length) not in (wanted.size, 0):
                raise CorruptContent(f"{self.host}/{self.name} has {wanted.digest} with {length} bytes, "
                                     f"not {wanted.size}", "tell its administrator")  # fmt: skip
            return True
        foreign = answer.url.origin != self._api.origin
        if answer.status in (404, 405, 501) or (foreign and answer.status in (400, 403)):
            return False
        raise self.refused(answer, f"looking for {wanted.digest} in")

    def open_blob(self, wanted: Descriptor) -> BinaryIO:
        """The checked bytes of a blob; a lost connection is taken up again where it broke."""
        return open_blob(self, wanted)

    # Uploads

    def start_upload(self) -> Url:
        """A location to send bytes to."""
        answer = self.send(Request("POST", self.url("blobs/uploads/")))
        if answer.status != 202:
            raise self.refused(answer, "starting an upload to")
        return self._location(answer)

    def mount(self, digest: Digest, origin: str) -> Url | None:
        """None where the blob of another repository is now here too; else where to upload it.

        `from` is never left out (Quay fails without it). A registry that does not mount, or may not let us
        read the other repository, is no error: the blob is sent instead.
        """
        url = self.url(f"blobs/uploads/?mount={digest}&from={origin}")
        try:
            answer = self.send(Request("POST", url), self.access(f"repository:{origin}:pull"))
        except AccessDenied:
            return self.start_upload()
        if answer.status == 201:
            return None
        return self._location(answer) if answer.status == 202 else self.start_upload()

    def put_upload(self, location: Url, digest: Digest, body: Body | bytes) -> Answer:
        """The bytes (or their rest) and the digest of all. Not repeated: the session may hold a part."""
        request = Request("PUT", location.with_query(f"digest={digest}"), (_BINARY,), body, again=False)
        return self.send(request)

    def patch_upload(self, location: Url, body: Body) -> tuple[Url, int]:
        """Where to go on, and how many bytes the registry says it has now."""
        headers = (_BINARY, ("Content-Range", f"{body.start}-{body.size - 1}"))
        answer = self.send(Request("PATCH", location, headers, body, again=False))
        if answer.status != 202:
            raise self.refused(answer, "continuing an upload to")
        return self._location(answer), received(answer)

    def upload_status(self, location: Url) -> tuple[Url, int]:
        """Where to go on, and how many bytes the registry says it has; NotFound where the session is over."""
        answer = self.send(Request("GET", location))
        if answer.status not in (200, 202, 204):
            raise self.refused(answer, "asking for an upload to")
        at = self._location(answer) if answer.headers.get("location") else location
        return at, received(answer)

    def _location(self, answer: Answer) -> Url:
        text = answer.headers.get("location", "")
        if not text:
            raise InvalidInput(f"{self.host} opened an upload without a Location", "tell its administrator")
        return answer.url.join(text)


def received(answer: Answer) -> int:
    """From `Range: 0-<last>`. `0-0` may mean nothing or one byte: it counts as nothing."""
    match = _RANGE.fullmatch(answer.headers.get("range", "").strip())
    last = int(match[1]) if match else 0
    return last + 1 if last else 0
