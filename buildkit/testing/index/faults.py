"""What goes wrong at an index; each beside those of the registry, which work here too (`GET page`, `GET file`)."""

from __future__ import annotations

from buildkit.testing.registry import Exchange, Reply, Store
from buildkit.testing.registry.faults import DropBefore, NoContentLength, Slow, Status
from buildkit.testing.registry.faults.base import ALWAYS, Fault

__all__ = [
    "ALWAYS", "Cut", "DropBefore", "Instead", "Moved", "NoContentLength", "NoRange", "OtherHeaders", "Slow", "Status",
    "WrongPart",
]  # fmt: skip


class Cut(Fault):
    """The connection is closed after `count` bytes of a body."""

    def __init__(self, count: int, verb: str = "GET file", *, times: int = 1) -> None:
        super().__init__(verb, times=times)
        self._count = count

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply._replace(cut=self._count) if self.strikes(exchange) else reply


class NoRange(Fault):
    """Range is ignored: the whole file again, with 200."""

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        exchange.headers.pop("range", None)
        return None


class WrongPart(Fault):
    """A 206 that begins somewhere else than was asked for."""

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        if reply.status != 206 or not self.strikes(exchange):
            return reply
        return reply.with_headers(Content_Range="bytes 1-2/3")


class Instead(Fault):
    """A complete answer with another body: a page to log in at, another file, a longer one."""

    def __init__(
        self, body: bytes, verb: str = "GET file", *, kind: str = "", times: int = ALWAYS, length: bool = True
    ) -> None:
        super().__init__(verb, times=times)
        self._body = body
        self._kind = kind
        self._length = length

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        if not self.strikes(exchange):
            return reply
        reply = reply._replace(status=200, body=self._body, length=self._length)
        return reply.with_headers(Content_Type=self._kind) if self._kind else reply


class OtherHeaders(Fault):
    """Headers of a file's answer changed, by name with `_` for `-`; None takes one away."""

    def __init__(self, **changes: str | None) -> None:
        super().__init__("GET file")
        self._changes = changes

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        return reply.with_headers(**self._changes) if self.strikes(exchange) else reply


class Moved(Fault):
    """Files are at another origin, by a redirect."""

    def __init__(self, to: str, verb: str = "GET file", *, status: int = 302) -> None:
        super().__init__(verb)
        self._to = to
        self._status = status

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if not self.strikes(exchange):
            return None
        return Reply(self._status, {"location": f"{self._to}{exchange.target}"}, b"elsewhere")
