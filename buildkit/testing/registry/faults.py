"""The misbehaving half: what real registries, proxies and networks do, one class each.

`before` may answer (or drop the connection) in place of the registry; `after` may change its answer. `times`
limits how often; a fault that is used up does nothing. Sources: the issues of registries and clients named in
each class.
"""

from __future__ import annotations

import threading

from buildkit.testing.registry.exchange import Drop, Exchange, Reply, error_reply
from buildkit.testing.registry.store import Store

ALWAYS = 1_000_000


class Fault:
    """Does nothing: the base of those that do. `verb` is what it acts on (`PUT upload`); empty for all."""

    def __init__(self, verb: str = "", *, times: int = ALWAYS, skip: int = 0) -> None:
        self.verb = verb
        self._skip = skip
        self._left = times
        self._lock = threading.Lock()

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        """An answer in place of the registry's."""
        return None

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        """The registry's answer, or another one."""
        return reply

    def strikes(self, exchange: Exchange) -> bool:
        """Whether this request is one of those; counts it."""
        if self.verb and exchange.verb != self.verb:
            return False
        with self._lock:
            if self._skip:
                self._skip -= 1
                return False
            self._left -= 1
            return self._left >= 0


class Status(Fault):
    """Answers `status` instead of doing anything: 429, 500, 502, 503, 405 and others."""

    def __init__(
        self,
        status: int,
        verb: str = "",
        *,
        times: int = ALWAYS,
        skip: int = 0,
        retry_after: str = "",
        body: bytes = b"",
    ) -> None:
        super().__init__(verb, times=times, skip=skip)
        self._status = status
        self._retry_after = retry_after
        self._body = body

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if not self.strikes(exchange):
            return None
        exchange.body()
        reply = error_reply(self._status, "TOOMANYREQUESTS" if self._status == 429 else "UNKNOWN")
        reply = reply._replace(body=self._body or reply.body)
        return reply.with_headers(Retry_After=self._retry_after or None)


class DropBefore(Fault):
    """Closes the connection instead of reading the request's body."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if self.strikes(exchange):
            raise Drop
        return None


class DropInBody(Fault):
    """Keeps `count` bytes of an upload, as registries do, and closes the connection."""

    def __init__(self, count: int, verb: str = "PUT upload", *, times: int = 1, keeps: bool = True) -> None:
        super().__init__(verb, times=times)
        self._bytes = count
        self._keeps = keeps

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if not self.strikes(exchange):
            return None
        kept = b""
        while len(kept) < self._bytes and (data := exchange.read(self._bytes - len(kept))):
            kept += data
        if self._keeps and exchange.name in store.uploads:
            store.uploads[exchange.name] += kept
        raise Drop


class DropAfterBody(Fault):
    """Does what was asked and closes the connection before it says so."""

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        if self.strikes(exchange):
            raise Drop
        return reply


class SessionExpired(Fault):
    """The upload session is unknown by the time its bytes come (purged by Harbor or distribution)."""

    def __init__(self, *, times: int = 1) -> None:
        super().__init__("PUT upload", times=times)

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if self.strikes(exchange):
            store.uploads.pop(exchange.name, None)
        return None


class TooLarge(Fault):
    """413 for bodies above `limit`, before they are read: nginx, Cloudflare."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        too_large = int(exchange.headers.get("content-length") or 0) > self._limit
        return Reply(413, {"content-type": "text/html"}, b"<h1>413</h1>") if too_large else None


class GapsAccepted(Fault):
    """A PATCH that does not begin where the last one ended is appended, with 202 (distribution 2.8)."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        exchange.headers.pop("content-range", None)
        return None


class LosesLaterChunks(Fault):
    """PATCH answers 201, and what comes after the first chunk is gone (ECR, aws/containers-roadmap#2831)."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if exchange.verb != "PATCH upload" or not store.uploads.get(exchange.name):
            return None
        exchange.body()
        return Reply(201, {"location": exchange.path, "range": exchange.headers.get("content-range", "")})

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return (
            reply._replace(status=201) if exchange.verb == "PATCH upload" and reply.status == 202 else reply
        )


class StuckStatus(Fault):
    """The upload's status always shows the same `Range`, whatever has arrived."""

    def __init__(self, shown: str) -> None:
        super().__init__("GET upload")
        self._shown = shown

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply.with_headers(Range=self._shown) if self.strikes(exchange) else reply


class NoMounts(Fault):
    """A mount is answered like any other POST: 202, or with `status` (JFrog and simple registries)."""

    def __init__(self, status: int = 202) -> None:
        super().__init__("POST uploads")
        self._status = status

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if "mount" not in exchange.query:
            return None
        exchange.query.pop("mount")
        return None if self._status == 202 else error_reply(self._status, "UNSUPPORTED")


class MountNeedsFrom(Fault):
    """A mount without `from` is an error (Quay)."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        wrong = "mount" in exchange.query and "from" not in exchange.query
        return error_reply(500, "UNKNOWN") if wrong else None


class Locations(Fault):
    """How upload locations are written: `absolute`, `query` (a state that must come back), `relative`."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._style = style

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        stateless = (
            self._style == "query" and exchange.kind == "upload" and exchange.query.get("_state") != "a b&c"
        )
        return error_reply(400, "BLOB_UPLOAD_INVALID") if stateless else None

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        location = reply.headers.get("location", "")
        if "/blobs/uploads/" not in location:
            return reply
        host = exchange.headers.get("host", "")
        return reply.with_headers(Location={
            "absolute": f"http://{host}{location}",
            "query": f"http://{host}{location}?_state=a%20b%26c",
            "relative": location.rpartition("/")[2],
        }.get(self._style, location))  # fmt: skip


class BlobBytes(Fault):
    """The bytes of a blob are not those of its digest: `corrupt`, `short`, `long` (complete answers all)."""

    def __init__(self, how: str, *, times: int = ALWAYS) -> None:
        super().__init__("GET blob", times=times)
        self._how = how

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        if reply.status not in (200, 206) or not self.strikes(exchange):
            return reply
        other = {"corrupt": b"\xff" * 8 + reply.body[8:], "short": reply.body[:-1], "long": reply.body + b"?"}
        # Chunked or to the close: the length does not give it away.
        return reply._replace(body=other[self._how], length=False)


class BlobCut(Fault):
    """The connection is closed after `count` bytes of a blob."""

    def __init__(self, count: int, *, times: int = 1) -> None:
        super().__init__("GET blob", times=times)
        self._bytes = count

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return (
            reply._replace(cut=self._bytes)
            if reply.status in (200, 206) and self.strikes(exchange)
            else reply
        )


class NoRange(Fault):
    """Range is ignored: the whole blob again, with 200."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        exchange.headers.pop("range", None)
        return None


class NoContentLength(Fault):
    """The answer ends where the connection does."""

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply._replace(length=False) if self.strikes(exchange) else reply


class RedirectBlobs(Fault):
    """Blobs are elsewhere, at `host`, behind a signature in the query (S3, GCS)."""

    def __init__(self, host: str, *, status: int = 307, query: str = "signature=secret") -> None:
        super().__init__()
        self._to = f"http://{host}"
        self._status = status
        self._query = query

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        if exchange.kind != "blob" or reply.status not in (200, 206):
            return reply
        return Reply(self._status, {"location": f"{self._to}{exchange.path}?{self._query}"})


class DigestHeader(Fault):
    """`Docker-Content-Digest` is another one, or (empty) missing."""

    def __init__(self, verb: str, value: str = "") -> None:
        super().__init__(verb)
        self._value = value

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return (
            reply.with_headers(Docker_Content_Digest=self._value or None) if self.strikes(exchange) else reply
        )


class ManifestBytes(Fault):
    """GET of a manifest gives these bytes under the right headers: tampered, huge, or no JSON."""

    def __init__(self, raw: bytes, *, honest: bool = False) -> None:
        super().__init__("GET manifest")
        self._raw = raw
        self._honest = honest

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        if not self.strikes(exchange):
            return reply
        reply = reply._replace(status=200, body=self._raw)
        return reply.with_headers(Docker_Content_Digest=None) if self._honest else reply


class Vanishes(Fault):
    """A blob is collected right after HEAD said that it is there."""

    def __init__(self, digest: str) -> None:
        super().__init__("HEAD blob", times=1)
        self._digest = digest

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        if exchange.name == self._digest and self.strikes(exchange):
            store.drop_blob(self._digest)
        return reply


class Slow(Fault):
    """One byte of the answer in each `seconds` (slow-loris)."""

    def __init__(self, seconds: float, verb: str = "", *, times: int = ALWAYS) -> None:
        super().__init__(verb, times=times)
        self._seconds = seconds

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply._replace(pace=self._seconds) if self.strikes(exchange) else reply


class NoReferrers(Fault):
    """The referrers API is unknown (GHCR, distribution 2)."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        return error_reply(404, "MANIFEST_UNKNOWN") if exchange.kind == "referrers" else None

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply.with_headers(OCI_Subject=None)
