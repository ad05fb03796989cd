"""The registry itself: stdlib http.server on a free loopback port, a thread for each connection."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from buildkit.testing.registry.access import OPEN, Doorkeeper, Mode
from buildkit.testing.registry.exchange import Drop, Exchange, Recorded, Reply, error_reply
from buildkit.testing.registry.faults import Fault
from buildkit.testing.registry.routes import route
from buildkit.testing.registry.store import Store

Hook = Callable[[int, Exchange], None]


class InProcessRegistry:
    """A registry for tests, in a `with` block.

    `host` is where it listens; `store` what it holds; `log` every request; `faults` how it misbehaves (they
    may be changed at any time). `on_request` functions are called with the number and the exchange of each
    request before anything is done about it: to count, to wait, to kill the client.
    """

    def __init__(
        self, *, access: Mode = OPEN, faults: Iterable[Fault] = (), store: Store | None = None
    ) -> None:
        self.store = store or Store()
        self.log: list[Recorded] = []
        self.faults = list(faults)
        self._hooks: list[Hook] = []
        self._lock = threading.Lock()
        self._count = 0
        self._ended = threading.Event()
        self._server = _Server(self)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.door = Doorkeeper(access, self.host)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def on_request(self, hook: Hook) -> None:
        """Call `hook(number, exchange)` at each request; the first one is number 1."""
        self._hooks.append(hook)

    def verbs(self) -> list[str]:
        """The log in short: `HEAD blob`, `POST uploads`, ..."""
        return [entry.verb for entry in self.log]

    def count(self, verb: str) -> int:
        """How many requests of this kind were answered or cut."""
        return self.verbs().count(verb)

    def wait(self, seconds: float) -> None:
        """As long, or until the registry ends."""
        self._ended.wait(seconds)

    def answer(self, exchange: Exchange) -> Reply:
        """Hooks, faults, access, the API, and faults again."""
        with self._lock:
            self._count += 1
            number = self._count
        for hook in self._hooks:
            hook(number, exchange)
        for fault in self.faults:
            if (early := fault.before(exchange, self.store)) is not None:
                return early
        reply = self._well_behaved(exchange)
        for fault in self.faults:
            reply = fault.after(exchange, reply, self.store)
        return reply

    def record(self, exchange: Exchange, status: int, port: int) -> None:
        """A line for the log."""
        entry = Recorded(exchange.method, exchange.target, status, exchange.received, exchange.sent, port)
        with self._lock:
            self.log.append(entry)

    def _well_behaved(self, exchange: Exchange) -> Reply:
        if exchange.kind == "token":
            return self.door.token(exchange)
        refusal = self.door.refusal(exchange)
        if refusal is not None:
            return refusal
        if exchange.query.get("from") and not self.door.may_read(exchange, exchange.query["from"]):
            exchange.query.pop("from")
        if exchange.method in ("PUT", "PATCH", "POST"):
            exchange.body()  # before the store's lock is taken
        return route(exchange, self.store)

    def __enter__(self) -> InProcessRegistry:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.end()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, registry: InProcessRegistry) -> None:
        self.registry = registry
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what many tests are about; anything else is shown as usual."""
        import sys

        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def end(self) -> None:
        """Close what clients keep open, so that no thread waits for them."""
        with self._guard:
            waiting = list(self._open)
        for connection in waiting:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        registry, port = self.server.registry, self.client_address[1]
        exchange = Exchange(self.command, self.path, dict(self.headers.items()), self._reader())
        try:
            reply = registry.answer(exchange)
        except Drop:
            registry.record(exchange, 0, port)
            self._reset()
            return
        except Exception:
            registry.record(exchange, 500, port)
            self._send(exchange, error_reply(500, "UNKNOWN", "a bug of the testing registry"))
            raise
        registry.record(exchange, reply.status, port)
        self._send(exchange, reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _reader(self) -> Callable[[int], bytes]:
        left = int(self.headers.get("Content-Length") or 0)
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self._chunked()

        def read(limit: int) -> bytes:
            nonlocal left
            data = self.rfile.read1(min(limit, left)) if left else b""
            if left and not data:
                raise Drop
            left -= len(data)
            self._left = left
            return bytes(data)

        self._left = left
        return read

    def _chunked(self) -> Callable[[int], bytes]:
        left, ended = 0, False
        self._left = 0

        def read(limit: int) -> bytes:
            nonlocal left, ended
            if not left and not ended:
                left = int(self.rfile.readline().split(b";")[0] or b"0", 16)
                ended = not left
                if ended:
                    self.rfile.readline()
            data = self.rfile.read(min(limit, left))
            left -= len(data)
            if data and not left:
                self.rfile.readline()
            return data

        return read

    def _send(self, exchange: Exchange, reply: Reply) -> None:
        # A body that nobody read cannot be told from the next request: the connection ends here.
        self.close_connection = (
            self.close_connection or bool(self._left) or not reply.length or reply.cut is not None
        )
        lines = [f"HTTP/1.1 {reply.status} -", *(f"{name}: {value}" for name, value in reply.headers.items())]
        if reply.length and "content-length" not in reply.headers and reply.status != 204:
            lines.append(f"Content-Length: {len(reply.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        body = b"" if exchange.method == "HEAD" else reply.body[: reply.cut]
        self._write(head + body, reply.pace)
        if reply.cut is not None:
            self._reset(linger=False)

    def _write(self, data: bytes, pace: float) -> None:
        step = 1 if pace else len(data) or 1
        for at in range(0, len(data), step):
            if pace:
                self.server.registry.wait(pace)
            self.wfile.write(data[at : at + step])
            self.wfile.flush()

    def _reset(self, *, linger: bool = True) -> None:
        """Close it, with a reset where `linger`: what the client still sends is refused."""
        self.close_connection = True
        with suppress(OSError):
            if linger:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Not to stderr: `InProcessRegistry.log` has it."""
