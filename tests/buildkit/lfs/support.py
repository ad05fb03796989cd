"""What tests of LFS share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from buildkit.lfs.store import ObjectStore
from tests.rigs.web import QuietHandler, serving


class File(NamedTuple):
    """A wanted file; fits `Wanted`."""

    path: bytes
    oid: str
    size: int


def file_of(content: bytes, path: bytes = b"models/a.bin") -> File:
    """The file that has this content."""
    return File(path, hashlib.sha256(content).hexdigest(), len(content))


def put(store: ObjectStore, content: bytes, *, instead: bytes | None = None) -> File:
    """Put content into a store; with `instead` other bytes under its name."""
    wanted = file_of(content)
    path = Path(store.file(wanted))
    os.makedirs(path.parent, exist_ok=True)
    path.write_bytes(content if instead is None else instead)
    return wanted


class Call(NamedTuple):
    """A request as a server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What it says; `cut` leaves so many bytes of the content out."""

    status: int = 200
    content: bytes = b""
    headers: Mapping[str, str] = {}
    cut: int = 0


class Scripted:
    """A server on loopback whose every answer a test decides: `reply` gets each call."""

    def __init__(self, reply: Callable[[Call], Answer]) -> None:
        self.calls: list[Call] = []
        self.reply = reply
        self.url = ""

    def __enter__(self) -> Scripted:
        self._serving = serving(partial(_Handler, self))
        self.url = f"http://{self._serving.__enter__()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.__exit__(None, None, None)


class _Handler(QuietHandler):
    def __init__(self, script: Scripted, *connection: Any) -> None:
        self.script = script
        super().__init__(*connection)

    def do_GET(self) -> None:
        call = Call(self.command, self.path, dict(self.headers), self.body())
        self.script.calls.append(call)
        answer = self.script.reply(call)
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.content)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content[: len(answer.content) - answer.cut])
        self.close_connection = self.close_connection or answer.cut > 0

    do_POST = do_GET
