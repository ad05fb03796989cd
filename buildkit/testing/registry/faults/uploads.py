"""Uploads and mounts as some registries understand them."""

from __future__ import annotations

from buildkit.testing.registry.exchange import Exchange, Reply, error_reply
from buildkit.testing.registry.faults.base import Fault
from buildkit.testing.registry.store import Store


class SessionExpired(Fault):
    """The upload session is unknown by the time its bytes come (purged by Harbor or distribution)."""

    def __init__(self, *, times: int = 1) -> None:
        super().__init__("PUT upload", times=times)

    def before(self, exchange: Exchange, store: Store) -> Reply | None:
        if self.strikes(exchange):
            store.uploads.pop(exchange.name, None)
        return None


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
