"""HTTP/1.1 on one socket (RFC 9112). http.client costs 15 ms of every start, a tenth of a whole build.

Whatever goes wrong here is an OSError, so that one `except` knows that the network failed.
"""

from __future__ import annotations

import re
import select
import socket
import time
from contextlib import suppress

from buildkit.registry.body import CHUNK, Body
from buildkit.registry.meter import Meter

_HEAD_LIMIT = 64 * 1024
_JOINT_SEND = 32 * 1024
# Fewer bytes a second than this, over a whole time-out, is a peer that only keeps us waiting.
_SLOWEST = 64
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_SIZE = re.compile(rb"\s*([0-9A-Fa-f]{1,15})\s*(?:;.*)?")


class BadAnswer(OSError):
    """Not HTTP, or less of it than was promised."""


class Connection:
    """One keep-alive connection, used by one thread at a time."""

    __slots__ = (
        "_buffer",
        "_meter",
        "_patience",
        "_slow_bytes",
        "_slow_since",
        "heard",
        "key",
        "reused",
        "sock",
    )

    def __init__(self, sock: socket.socket, key: tuple[str, str], meter: Meter) -> None:
        """`sock` has its time-out set."""
        self.sock = sock
        self.key = key
        self.reused = False
        self.heard = False
        self._buffer = b""
        self._meter = meter
        self._patience = sock.gettimeout() or 60.0
        self._slow_since = 0.0
        self._slow_bytes = 0

    def send(self, head: bytes, body: bytes | Body) -> bool:
        """Head and small body in one segment. False where an answer came before everything was sent."""
        self.heard = False
        if isinstance(body, bytes):
            self._send(head + body)
            return True
        chunks = body.chunks()
        first = next(chunks, b"")
        if len(first) <= _JOINT_SEND:
            self._send(head + first)
        else:
            self._send(head)
            self._send(first)
        if body.told:
            body.told(len(first))
        for chunk in chunks:
            if self._answered():
                chunks.close()
                return False
            self._send(chunk)
            if body.told:
                body.told(len(chunk))
        return True

    def _send(self, data: bytes) -> None:
        self.sock.sendall(data)
        self._meter.sent(len(data))

    def _answered(self) -> bool:
        # A TLS socket may be readable without an answer in it (session tickets): there only an error tells.
        if type(self.sock) is not socket.socket or not is_readable(self.sock):
            return False
        # "100 Continue", though nobody asked for it, is no answer.
        return not self.sock.recv(10, socket.MSG_PEEK).startswith(b"HTTP/1.1 1")

    def answer(self, *, bodyless: bool, wait_seconds: float = 0.0) -> Response:
        """The next final answer; 1xx ones are skipped. `wait_seconds` more than usual for its first byte."""
        self._slow_since = time.monotonic()
        self._slow_bytes = 0
        if wait_seconds and not self._buffer:
            self.sock.settimeout(self._patience + wait_seconds)
            try:
                self._fill()
            finally:
                self.sock.settimeout(self._patience)
            self._slow_since = time.monotonic()
        while True:
            version, status, headers = parse_head(self._head())
            if status >= 200:
                return Response(self, version, status, headers, bodyless)
            if status == 101:
                raise BadAnswer("the peer switched protocols unasked")

    def _head(self) -> bytes:
        while True:
            # A head ends with an empty line; bare line feeds are accepted (RFC 9112, 2.2).
            ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := self._buffer.find(mark)) >= 0]
            if ends:
                head, self._buffer = self._buffer[: min(ends)], self._buffer[min(ends) :]
                return head
            if len(self._buffer) > _HEAD_LIMIT:
                raise BadAnswer("the answer's head has no end")
            self._fill()

    def _fill(self, limit: int = 65536) -> None:
        data = self.sock.recv(limit)
        if not data:
            raise BadAnswer("it was closed before the answer was complete")
        self._buffer += data
        self._watch(len(data))

    def _watch(self, count: int) -> None:
        self.heard = True
        self._meter.received(count)
        self._slow_bytes += count
        passed = time.monotonic() - self._slow_since
        if passed > self._patience:
            if self._slow_bytes < _SLOWEST * passed:
                raise TimeoutError("the answer comes too slowly")
            self._slow_since += passed
            self._slow_bytes = 0

    def line(self) -> bytes:
        """One line of a chunked body's framing."""
        while (at := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise BadAnswer("a chunk's head has no end")
            self._fill()
        line, self._buffer = self._buffer[:at], self._buffer[at + 1 :]
        return line.rstrip(b"\r")

    def read(self, limit: int) -> bytes:
        """Some bytes, at most `limit`; closing is an error."""
        if not self._buffer:
            self._fill(min(limit, CHUNK))
        data, self._buffer = self._buffer[:limit], self._buffer[limit:]
        return data

    def read_to_close(self, limit: int) -> bytes:
        """Some bytes; none once the peer has closed."""
        if not self._buffer:
            data = self.sock.recv(min(limit, CHUNK))
            self._watch(len(data))
            return data
        return self.read(limit)

    @property
    def idle(self) -> bool:
        """Whether it may be used again: nothing unread, and the peer has not closed."""
        return not self._buffer and not is_readable(self.sock)

    def close(self) -> None:
        """Closed, also for a thread that waits on it."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Response:
    """Status and headers (lower case; repeated ones joined by commas), and a body that is read once."""

    __slots__ = ("_chunked", "_connection", "_left", "headers", "keep", "status")

    def __init__(
        self, connection: Connection, version: int, status: int, headers: dict[str, str], bodyless: bool
    ) -> None:
        """Framing as in RFC 9112, section 6.3."""
        self.status = status
        self.headers = headers
        self._connection = connection
        options = headers.get("connection", "").lower()
        self.keep = "close" not in options and (version == 1 or "keep-alive" in options)
        self._chunked = headers.get("transfer-encoding", "").lower().rpartition(",")[2].strip() == "chunked"
        self._left: int | None = None
        if bodyless or status in (204, 304):
            self._chunked, self._left = False, 0
        elif self._chunked:
            # Both framings at once is how requests are smuggled: this connection ends here.
            self.keep = self.keep and "content-length" not in headers
            self._left = -1
        elif "content-length" in headers:
            self._left = content_length(headers["content-length"])
        else:
            self.keep = False

    @property
    def complete(self) -> bool:
        """Whether the whole body has been read."""
        return self._left == 0

    def read(self, limit: int = CHUNK) -> bytes:
        """Some bytes of the body; none at its end. OSError where it ends too early."""
        if self._left == 0:
            return b""
        if self._left is None:
            data = self._connection.read_to_close(limit)
            if not data:
                self._left = 0
            return data
        if self._left < 0 and not self._next_chunk():
            return b""
        data = self._connection.read(min(limit, self._left))
        self._left -= len(data)
        if self._chunked and self._left == 0:
            if self._connection.line():
                raise BadAnswer("a chunk is longer than it said")
            self._left = -1
        return data

    def _next_chunk(self) -> bool:
        match = _SIZE.fullmatch(self._connection.line())
        if match is None:
            raise BadAnswer("malformed chunk")
        self._left = int(match[1], 16)
        if self._left == 0:
            while self._connection.line():
                pass  # trailers
        return self._left > 0

    def read_all(self, limit: int) -> bytes:
        """The body, or its first `limit` bytes and one more where it is longer."""
        parts, size = [], 0
        while size <= limit and (data := self.read(min(CHUNK, limit + 1 - size))):
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def detach(self) -> tuple[Connection, bool]:
        """The connection, and whether it may serve another request."""
        return self._connection, self.keep and self.complete


def parse_head(head: bytes) -> tuple[int, int, dict[str, str]]:
    """Minor version, status and headers; raises BadAnswer."""
    lines = head.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    match = _STATUS.fullmatch(lines[0])
    if match is None:
        raise BadAnswer("the answer is not HTTP")
    headers: dict[str, str] = {}
    name = ""
    for line in lines[1:]:
        text = line.decode("latin-1")
        if text[:1] in (" ", "\t") and name:
            headers[name] += " " + text.strip()  # folded, as old servers do
            continue
        name, colon, value = text.partition(":")
        name = name.strip().lower()
        if not colon or not name:
            raise BadAnswer("malformed header")
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return int(match[1]), int(match[2]), headers


def content_length(text: str) -> int:
    """Repeated equal values are one (RFC 9110, 8.6)."""
    values = {value.strip() for value in text.split(",")}
    value = values.pop()
    if values or not (value.isascii() and value.isdigit() and len(value) < 19):
        raise BadAnswer("malformed Content-Length")
    return int(value)


def is_readable(sock: socket.socket) -> bool:
    """Whether bytes, or the end, have arrived."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))
