"""The index itself, on the server that the registry for tests has: its hooks, log, access modes and faults too."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import quote, unquote

from buildkit.testing.registry import Exchange, InProcessRegistry, Reply
from buildkit.testing.registry.access import OPEN, Mode
from buildkit.testing.registry.faults.base import Fault

_JSON = "application/vnd.pypi.simple.v1+json"
_PAGE = re.compile(r"/simple/([a-z0-9-]+)/")
_FILE = re.compile(r"/files/([^/]+)")
_RANGE = re.compile(r"bytes=([0-9]+)-")


class InProcessIndex(InProcessRegistry):
    """An index for tests, in a `with` block. `files` (by name) and `yanked` (reasons by name) may be changed any time.

    Requests for pages have the verb `GET page`, those for files `GET file`. `hashes`: whether pages give them;
    `html_only`: whether JSON is unknown; `elsewhere`: the origin that pages name files at, if not this one.
    """

    def __init__(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        access: Mode = OPEN,
        faults: Iterable[Fault] = (),
        html_only: bool = False,
        hashes: bool = True,
        elsewhere: str = "",
    ) -> None:
        super().__init__(access=access, faults=faults)
        self.files = dict(files or {})
        self.yanked: dict[str, str] = {}
        self.html_only = html_only
        self.hashes = hashes
        self.elsewhere = elsewhere
        self.url = f"http://{self.host}/simple/"

    def file_url(self, filename: str) -> str:
        """Where a file is, as a lock would say it."""
        return f"http://{self.host}/files/{quote(filename)}"

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [entry.path for entry in self.log]

    def answer(self, exchange: Exchange) -> Reply:
        """As a registry does, with the kinds of an index."""
        kinds = (("page", _PAGE), ("file", _FILE))
        exchange.kind = next((kind for kind, pattern in kinds if pattern.fullmatch(exchange.path)), "unknown")
        return super().answer(exchange)

    def __enter__(self) -> InProcessIndex:
        super().__enter__()
        return self

    def _well_behaved(self, exchange: Exchange) -> Reply:
        refusal = self.door.refusal(exchange)
        if refusal is not None:
            return refusal
        page, file = _PAGE.fullmatch(exchange.path), _FILE.fullmatch(exchange.path)
        if page:
            return self._page(exchange, page[1])
        data = self.files.get(unquote(file[1])) if file else None
        return (
            _file(exchange, data) if data is not None else Reply(404, {"content-type": "text/plain"}, b"no\n")
        )

    def _page(self, exchange: Exchange, project: str) -> Reply:
        names = [name for name in sorted(self.files) if _normal(name.partition("-")[0]) == project]
        if not names:
            return Reply(404, {"content-type": "text/plain"}, b"no\n")
        if _JSON in exchange.headers.get("accept", "") and not self.html_only:
            value = {
                "meta": {"api-version": "1.1"},
                "name": project,
                "files": [self._entry(each) for each in names],
            }
            return Reply(200, {"content-type": _JSON}, json.dumps(value).encode())
        links = "<br/>\n".join(self._anchor(each) for each in names)
        html = f"<!DOCTYPE html>\n<html><body>\n{links}\n</body></html>\n"
        return Reply(200, {"content-type": "text/html"}, html.encode())

    def _entry(self, name: str) -> dict[str, object]:
        entry: dict[str, object] = {"filename": name, "url": self._link(name), "size": len(self.files[name])}
        entry["hashes"] = {"sha256": hashlib.sha256(self.files[name]).hexdigest()} if self.hashes else {}
        return entry | ({"yanked": self.yanked[name] or True} if name in self.yanked else {})

    def _anchor(self, name: str) -> str:
        fragment = f"#sha256={hashlib.sha256(self.files[name]).hexdigest()}" if self.hashes else ""
        yanked = f' data-yanked="{escape(self.yanked[name])}"' if name in self.yanked else ""
        return f'<a href="{escape(self._link(name) + fragment)}"{yanked}>{escape(name)}</a>'

    def _link(self, name: str) -> str:
        return f"{self.elsewhere or '../..'}/files/{quote(name)}"


def _file(exchange: Exchange, data: bytes) -> Reply:
    """A file, or the rest of it for those who have this version's beginning (RFC 9110, 13.1.5 and 14.2)."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
    headers = {"content-type": "application/octet-stream", "etag": tag, "accept-ranges": "bytes"}
    wanted = _RANGE.fullmatch(exchange.headers.get("range", ""))
    if wanted is None or exchange.headers.get("if-range", tag) != tag:
        return Reply(200, headers, data)
    first = int(wanted[1])
    if first >= len(data):
        return Reply(416, headers, b"")
    return Reply(
        206, {**headers, "content-range": f"bytes {first}-{len(data) - 1}/{len(data)}"}, data[first:]
    )


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
