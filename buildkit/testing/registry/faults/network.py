"""Trouble that passes, or does not: refusals, broken connections, slowness."""

from __future__ import annotations

from buildkit.testing.registry.exchange import Drop, Exchange, Reply, error_reply
from buildkit.testing.registry.faults.base import ALWAYS, Fault
from buildkit.testing.registry.store import Store


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


class TooLarge(Fault):
    """413 for bodies above `limit`, before they are read: nginx, Cloudflare."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        too_large = int(exchange.headers.get("content-length") or 0) > self._limit
        return Reply(413, {"content-type": "text/html"}, b"<h1>413</h1>") if too_large else None


class Slow(Fault):
    """One byte of the answer in each `seconds` (slow-loris)."""

    def __init__(self, seconds: float, verb: str = "", *, times: int = ALWAYS) -> None:
        super().__init__(verb, times=times)
        self._seconds = seconds

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply._replace(pace=self._seconds) if self.strikes(exchange) else reply


class EmptyError(Fault):
    """An error whose promised body never comes (distribution 2.8, 416)."""

    def __init__(self, status: int, verb: str, *, times: int = ALWAYS) -> None:
        super().__init__(verb, times=times)
        self._status = status

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if not self.strikes(exchange):
            return None
        exchange.body()
        return Reply(self._status, {"content-length": "10"}, b"", cut=0)


class NoContentLength(Fault):
    """The answer ends where the connection does."""

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply._replace(length=False) if self.strikes(exchange) else reply
