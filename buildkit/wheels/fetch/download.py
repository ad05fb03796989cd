"""One wheel from an address into the store: bounded, resumed where it broke off, hashed as it comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from buildkit.endpoints import Progress
from buildkit.errors import CorruptContent
from buildkit.registry.body import CHUNK
from buildkit.registry.transport import Answer
from buildkit.registry.url import Url
from buildkit.registry.wire import BadAnswer, content_length
from buildkit.wheels.fetch.model import LARGEST, title
from buildkit.wheels.fetch.store import Landing
from buildkit.wheels.fetch.web import Headers, Web, lost

_FAILURES = 5
# Fewer bytes than this in an attempt are no progress: a host may send one at a time for ever.
_PROGRESS = 64 << 10
_PART = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:[0-9]{1,18}|\*)")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_REMEDY = "the host or a proxy before it is broken, or has another file; name another index with wheels.index"
Proceed = Callable[[], None]


class Source(NamedTuple):
    """Where a wheel is, and its size in bytes where the lock or the index says it."""

    url: Url
    size: int | None


def download(web: Web, source: Source, landing: Landing, progress: Progress, proceed: Proceed) -> None:
    """All of the wheel, into the landing, whose hash is still to be compared.

    `proceed` raises where the work is no longer wanted. Raises what `Web.get` does, CorruptContent for a body that is
    too long or no wheel, Unavailable for one that breaks off five times without progress.
    """
    transfer = _Transfer(web, source, landing, progress, proceed)
    failures = 0
    try:
        while True:
            before = landing.count
            try:
                transfer.run()
                return
            except OSError as error:
                if landing.count == source.size:
                    return  # only the end of the framing was lost
                failures = 1 if landing.count - before >= _PROGRESS else failures + 1
                if failures > _FAILURES:
                    raise lost(error, source.url, title(landing.wheel)) from None
                web.pause(failures - 1)
    finally:
        transfer.end()


class _Transfer:
    """What is known between two attempts: how far it came, and how to ask for the rest of the same file."""

    def __init__(
        self, web: Web, source: Source, landing: Landing, progress: Progress, proceed: Proceed
    ) -> None:
        self._web = web
        self._source = source
        self._landing = landing
        self._progress = progress
        self._proceed = proceed
        self._validator = ""
        self._shown = 0
        self._begun = False

    def run(self) -> None:
        """One attempt. OSError where the network failed."""
        landing, what = self._landing, title(self._landing.wheel)
        answer = self._web.get(self._source.url, what, self._rest())
        try:
            self._align(answer)
            total = self._total(answer)
            self._show(total)
            while data := answer.read(CHUNK):
                self._proceed()
                landing.write(data)
                self._check(answer, total)
                self._show(total)
            if total is not None and landing.count < total:
                raise BadAnswer(f"{landing.count} bytes of {total}")
        finally:
            answer.close()

    def end(self) -> None:
        """The bar goes."""
        if self._begun:
            self._progress.finish(self._landing.wheel.filename)

    def _rest(self) -> Headers:
        if not self._landing.count:
            return ()
        if not self._validator:
            # Without a name for this version of the file, a part may be that of another one.
            self._landing.restart()
            return ()
        return ("Range", f"bytes={self._landing.count}-"), ("If-Range", self._validator)

    def _align(self, answer: Answer) -> None:
        """Make sure that the next byte is the one we are at."""
        part = _PART.fullmatch(answer.headers.get("content-range", ""))
        fits = answer.status == 206 and part is not None and int(part[1]) == self._landing.count
        if answer.status == 200:
            if self._landing.count:
                self._landing.restart()
            self._validator = _validator(answer)
        elif not fits:
            self._landing.restart()
            self._validator = ""
            raise BadAnswer("a part that was not asked for")

    def _total(self, answer: Answer) -> int | None:
        """The size that the whole will have. CorruptContent where the answer's is not the one that is known."""
        length = answer.headers.get("content-length")
        said = None if length is None else self._landing.count + content_length(length)
        known = self._source.size
        if None not in (said, known) and said != known:
            raise self._corrupt(answer, f"{said} bytes, where {known} are locked")
        total = known if said is None else said
        if total is not None and total > LARGEST:
            raise self._corrupt(answer, f"{total} bytes, and no wheel is as large")
        return total

    def _check(self, answer: Answer, total: int | None) -> None:
        landing = self._landing
        if landing.count > (LARGEST if total is None else total):
            raise self._corrupt(answer, f"more than {total or LARGEST} bytes")
        if landing.count >= 4 and len(landing.head) >= 4 and not landing.head.startswith(_ZIP):
            kind = answer.headers.get("content-type", "").partition(";")[0][:60] or "something else"
            raise self._corrupt(answer, f"no wheel but {kind} (a page to log in at, or a proxy's?)")

    def _show(self, total: int | None) -> None:
        """Bars do not go back: what comes again is not counted again."""
        name = self._landing.wheel.filename
        if not self._begun:
            self._progress.start(name, total or 0)
            self._begun = True
        if self._landing.count > self._shown:
            self._progress.advance(name, self._landing.count - self._shown)
            self._shown = self._landing.count

    def _corrupt(self, answer: Answer, found: str) -> CorruptContent:
        return CorruptContent(f"{title(self._landing.wheel)}: {answer.url.host} gave {found}", _REMEDY)


def _validator(answer: Answer) -> str:
    """What If-Range takes (RFC 9110, 13.1.5): a strong ETag, else the date of the last change."""
    tag = answer.headers.get("etag", "")
    found = tag if tag.startswith('"') else answer.headers.get("last-modified", "")
    return found if found.isprintable() and len(found) < 1024 else ""
