"""What comes back is not what was asked for, or is elsewhere."""

from __future__ import annotations

from buildkit.testing.registry.exchange import Exchange, Reply, error_reply
from buildkit.testing.registry.faults.base import ALWAYS, Fault
from buildkit.testing.registry.store import Store


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


class NoReferrers(Fault):
    """The referrers API is unknown (GHCR, distribution 2)."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        return error_reply(404, "MANIFEST_UNKNOWN") if exchange.kind == "referrers" else None

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply.with_headers(OCI_Subject=None)
