"""Small HTTP servers on loopback, inside this process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from threading import Thread
from typing import Any, NamedTuple, Protocol


class Request(NamedTuple):
    """One request that a rig has answered; `path` holds the query too."""

    method: str
    path: str
    status: int


class HandlerMaker(Protocol):
    """What makes a handler for one connection: a handler class, or a partial of one."""

    def __call__(self, request: Any, client: Any, server: BaseServer, /) -> BaseHTTPRequestHandler: ...


class _Server(ThreadingHTTPServer):
    # A client that keeps its connection open must not keep the rig from ending.
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up half-way is its own business; anything else is a fault of the rig."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(handler: HandlerMaker) -> Iterator[str]:
    """Answer requests with HANDLER until the end of the block; gives the host and port."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="rig-web", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class QuietHandler(BaseHTTPRequestHandler):
    """Keeps connections open and prints nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Rigs keep a list of requests instead."""

    def body(self) -> bytes:
        """What the client has sent."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(
        self, status: int, content: bytes = b"", kind: str = "application/json", **headers: str
    ) -> None:
        """Send a whole answer; the names of HEADERS have _ for -."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)
