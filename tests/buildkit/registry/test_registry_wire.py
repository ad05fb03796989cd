"""HTTP/1.1 as peers speak it, well and badly: framing and connections."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from buildkit.endpoints import Traffic
from buildkit.errors import InvalidInput
from buildkit.registry.body import Body
from buildkit.registry.errors import ConnectionLost
from buildkit.registry.meter import Meter
from buildkit.registry.wire import BadAnswer, Connection, content_length, parse_head
from buildkit.testing.registry import Exchange, InProcessRegistry, Reply, Store
from buildkit.testing.registry.faults import Fault
from tests.buildkit.registry.support import IMAGE, Client, Serve, at

HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def peer(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answers the n-th connection's first request with these bytes and closes it; gives host and what it got."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    got.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", got
        thread.join(5)


def answered(raw: bytes, limit: int = 10_000) -> bytes:
    """The body that the client reads from these bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(1)
        theirs.sendall(raw)
        theirs.shutdown(socket.SHUT_WR)
        return Connection(ours, ("http", "x"), Meter(Traffic())).answer(bodyless=False).read_all(limit)


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\nokmore", b"ok"),
        (HEAD + b"content-length:2\r\n\r\nok", b"ok"),
        (HEAD + b"Content-Length: 2, 2\r\n\r\nok", b"ok"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: t\r\n\r\n", b"ok"),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.0 200 OK\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200\n\nok", b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok", b""),
        (HEAD + b"X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    ],
)  # fmt: skip
def test_bodies_are_framed_in_many_ways(raw: bytes, body: bytes) -> None:
    assert answered(raw) == body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1, 2\r\n\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nok",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nokay\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nok",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000,
        HEAD + b"X: " + b"y" * 70_000,
    ],
)
def test_what_is_not_http_is_a_bad_answer(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        answered(raw)


def test_an_unasked_continue_does_not_end_an_upload() -> None:
    ours, theirs = socket.socketpair()
    size = 5_000_000

    def serve() -> None:
        theirs.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = size + len(b"PUT / HTTP/1.1\r\n\r\n")
        while left:
            left -= len(theirs.recv(65536))
        theirs.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    with ours, theirs:
        ours.settimeout(5)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        connection = Connection(ours, ("http", "x"), Meter(Traffic()))
        assert connection.send(b"PUT / HTTP/1.1\r\n\r\n", Body(size, lambda: io.BytesIO(bytes(size))))
        assert connection.answer(bodyless=False).status == 201
        thread.join(5)


def test_reading_stops_past_the_limit() -> None:
    assert answered(HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000, limit=10) == b"x" * 11


def test_repeated_headers_are_joined() -> None:
    _, status, headers = parse_head(
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nwww-authenticate: Bearer\r\n\r\n"
    )

    assert (status, headers) == (401, {"www-authenticate": "Basic, Bearer"})


@pytest.mark.parametrize("text", ["", "x", "1 2", "1.0", "²", "9" * 30])
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(BadAnswer):
        content_length(text)


def test_a_peer_that_speaks_something_else_is_unavailable(client: Client) -> None:
    with peer(b"220 mail ready\r\n\r\n") as (host, _), pytest.raises(ConnectionLost, match="not HTTP"):
        client(retries=0).source(at(host)).document()


def test_a_location_cannot_smuggle_a_request(client: Client, serve: Serve) -> None:
    class Odd(Fault):
        def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
            location = reply.headers.get("location", "")
            return reply.with_headers(Location=f"{location}?state=a b\xe9") if reply.status == 202 else reply

    registry = serve(faults=[Odd()])

    client().sink(at(registry.host)).publish(IMAGE)

    assert all(
        "?state=a%20b%C3%A9&digest=" in entry.path for entry in registry.log if entry.verb == "PUT upload"
    )


def test_a_user_agent_with_a_line_break_is_refused(client: Client, registry: InProcessRegistry) -> None:
    with pytest.raises(InvalidInput, match="line break"):
        client(user_agent="x\r\nEvil: yes").sink(at(registry.host)).publish(IMAGE)


def test_a_connection_that_was_closed_while_idle_is_replaced(client: Client) -> None:
    answer = b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n"
    with peer(answer, answer) as (host, got):
        sink = client(retries=0).sink(at(host))
        assert sink.lookup("a") is None
        assert sink.lookup("b") is None

    assert len(got) == 2


def test_connections_are_kept(client: Client, registry: InProcessRegistry) -> None:
    client(parallel=1).sink(at(registry.host)).publish(IMAGE)

    assert len({entry.connection for entry in registry.log}) == 1


def test_a_small_upload_is_one_segment(client: Client, registry: InProcessRegistry) -> None:
    sizes: list[int] = []

    class Watched(socket.socket):
        def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
            sizes.append(len(data))
            super().sendall(data, flags)

    def dial(hostname: str, port: int, timeout: float) -> socket.socket:
        sock = Watched(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect((hostname, port))
        return sock

    client(parallel=1, connect=dial).sink(at(registry.host)).publish(IMAGE)

    assert len(sizes) == len(registry.log)


def test_closing_ends_what_is_still_open(client: Client, registry: InProcessRegistry) -> None:
    registries = client()
    registries.sink(at(registry.host)).publish(IMAGE)
    stream = registries.source(at(registry.host)).blob(IMAGE.blobs[0].descriptor)

    registries.close()

    stream.close()
