"""One request and its answer, as routes and faults see them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

_PATHS = (
    ("uploads", re.compile(r"/v2/(.+)/blobs/uploads/?")),
    ("upload", re.compile(r"/v2/(.+)/blobs/uploads/([^/]+)")),
    ("blob", re.compile(r"/v2/(.+)/blobs/([^/]+)")),
    ("manifest", re.compile(r"/v2/(.+)/manifests/([^/]+)")),
    ("tags", re.compile(r"/v2/(.+)/tags/list")),
    ("referrers", re.compile(r"/v2/(.+)/referrers/([^/]+)")),
    ("token", re.compile(r"/token")),
    ("base", re.compile(r"/v2/?")),
)


class Drop(Exception):
    """Close the connection now, without (the rest of) an answer."""


class Recorded(NamedTuple):
    """A line of the request log. `status` is 0 for no answer; `body_bytes` were read; `connection` is a port."""

    method: str
    path: str
    status: int
    body_bytes: int
    headers: Mapping[str, str]
    connection: int = 0

    @property
    def verb(self) -> str:
        """Like `PUT manifest`: what faults and tests match on."""
        return f"{self.method} {classify(self.path)[0]}"

    @property
    def authorized(self) -> bool:
        """Whether it came with an Authorization."""
        return "authorization" in self.headers


class Reply(NamedTuple):
    """`length`: with Content-Length. `cut`: close after so many body bytes. `pace`: wait before each byte."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    length: bool = True
    cut: int | None = None
    pace: float = 0.0

    def with_headers(self, **changes: str | None) -> Reply:
        """Headers by name with `_` for `-`; None takes one away."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        for name, value in changes.items():
            key = name.replace("_", "-").lower()
            headers.pop(key, None)
            if value is not None:
                headers[key] = value
        return self._replace(headers=headers)


class Exchange:
    """A request whose body is read when somebody wants it."""

    def __init__(
        self, method: str, target: str, headers: Mapping[str, str], read: Callable[[int], bytes]
    ) -> None:
        parts = urlsplit(target)
        self.method = method
        self.target = target
        self.path = parts.path
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.scopes = tuple(parse_qs(parts.query).get("scope", ()))
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.sent = dict(self.headers)  # what faults do not change
        self.kind, self.repository, self.name = classify(parts.path)
        self.received = 0
        self._read = read
        self._body: bytes | None = None

    @property
    def verb(self) -> str:
        """Like `PUT manifest`."""
        return f"{self.method} {self.kind}"

    def body(self) -> bytes:
        """The whole body, read once. Drop where the client went away."""
        if self._body is None:
            parts = []
            while data := self.read(65536):
                parts.append(data)
            self._body = b"".join(parts)
        return self._body

    def read(self, limit: int) -> bytes:
        """Some of the body."""
        data = self._read(limit)
        self.received += len(data)
        return data


def classify(path: str) -> tuple[str, str, str]:
    """Kind, repository, and the digest, tag or session at the end."""
    path = path.partition("?")[0]
    for kind, pattern in _PATHS:
        if match := pattern.fullmatch(path):
            return kind, *(*match.groups(), "", "")[:2]  # type: ignore[return-value]
    return "unknown", "", ""


def json_reply(status: int, value: Any, media_type: str = "application/json", **headers: str) -> Reply:
    """A JSON body."""
    body = json.dumps(value).encode()
    return Reply(status, {"content-type": media_type}, body).with_headers(**headers)


def error_reply(status: int, code: str, message: str = "", detail: Any = None) -> Reply:
    """An error as the specification wants it."""
    return json_reply(
        status, {"errors": [{"code": code, "message": message or code.lower(), "detail": detail}]}
    )
