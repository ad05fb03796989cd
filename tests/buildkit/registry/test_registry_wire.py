"""HTTP/1.1 as peers speak it, well and badly: framing, connections, proxies, TLS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from buildkit.endpoints import Traffic
from buildkit.errors import InvalidInput
from buildkit.registry import Registries
from buildkit.registry.errors import ConnectionLost
from buildkit.registry.meter import Meter
from buildkit.registry.wire import BadAnswer, Connection, content_length, parse_head
from buildkit.testing.registry import Exchange, InProcessRegistry, Reply, Store
from buildkit.testing.registry.faults import Fault
from tests.buildkit.registry.support import IMAGE, ONE, TWO, Client, Serve, at, pulled
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import Start

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


# Proxies


class Proxy:
    """Notes what it is asked for and passes it on to one place, whatever the name."""

    def __init__(self, target: str, refusal: bytes = b"") -> None:
        self.heads: list[bytes] = []
        self._target = target
        self._refusal = refusal
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
        self._stack.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._stack.enter_context(connection)
            threading.Thread(target=self._pass_on, args=(connection,), daemon=True).start()

    def _pass_on(self, connection: socket.socket) -> None:
        head = connection.recv(65536)
        self.heads.append(head)
        if self._refusal:
            connection.sendall(self._refusal)
            return
        host, _, port = self._target.partition(":")
        upstream = self._stack.enter_context(socket.create_connection((host, int(port))))
        if head.startswith(b"CONNECT "):
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            upstream.sendall(head)
        threading.Thread(target=_copy, args=(upstream, connection), daemon=True).start()
        _copy(connection, upstream, self.heads)


def _copy(source: socket.socket, target: socket.socket, seen: list[bytes] | None = None) -> None:
    try:
        while data := source.recv(65536):
            if seen is not None:
                seen.append(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_plain_requests_go_through_the_proxy_whole(client: Client, registry: InProcessRegistry) -> None:
    with Proxy(registry.host) as proxy:
        environ = {"http_proxy": f"http://sam:p%40ss@{proxy.host}"}
        registries = client(environ=environ, insecure=frozenset({"registry.test"}), parallel=1)

        with registries:
            registries.sink(at("registry.test")).publish(IMAGE)

    assert b" http://registry.test/v2/team/app/" in proxy.heads[0]
    assert b"Proxy-Authorization: Basic c2FtOnBAc3M=\r\n" in proxy.heads[0]
    assert "host" in registry.log[0].headers


@pytest.mark.parametrize(
    "rule", ["registry.test", ".test", "*", "*.test", "a,registry.test:80", "x registry.test"]
)
def test_no_proxy_is_obeyed(client: Client, registry: InProcessRegistry, rule: str) -> None:
    environ = {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": rule}

    registries = client(environ=environ, insecure=frozenset({"registry.test"}), connect=to(registry.host))

    assert registries.sink(at("registry.test")).lookup("v1") is None


def test_loopback_is_never_proxied(client: Client, registry: InProcessRegistry) -> None:
    environ = {"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}

    assert client(environ=environ).sink(at(registry.host)).lookup("v1") is None


def test_tls_goes_through_a_tunnel(client: Client) -> None:
    with Proxy("", b"HTTP/1.1 407 Who\r\n\r\n") as proxy:
        environ = {"HTTPS_PROXY": f"http://sam:secret-7@{proxy.host}"}
        with pytest.raises(InvalidInput, match="wants other credentials") as caught:
            client(environ=environ).sink(at("registry.test")).lookup("v1")

    assert proxy.heads[0].startswith(b"CONNECT registry.test:443 HTTP/1.1\r\nHost: registry.test:443\r\n")
    assert b"Proxy-Authorization: Basic " in proxy.heads[0]
    assert "secret-7" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "https://sam:secret-7@127.0.0.1:1"])
def test_other_proxies_are_refused(client: Client, proxy: str) -> None:
    with pytest.raises(InvalidInput, match="not an http:// proxy") as caught:
        client(environ={"HTTPS_PROXY": proxy}).sink(at("registry.test")).lookup("v1")

    assert "secret-7" not in str(caught.value)


def to(host: str) -> Callable[[str, int, float], socket.socket]:
    """A dial that leads everywhere to one place."""

    def dial(_hostname: str, _port: int, timeout: float) -> socket.socket:
        name, _, port = host.partition(":")
        return socket.create_connection((name, int(port)), timeout)

    return dial


# TLS


@pytest.mark.rig
def test_tls_on_loopback_is_found_and_checked(client: Client, start: Start) -> None:
    registry = start(DockerRegistry(tls=True))
    trusting = client(ca_file=str(registry.ca_file))

    trusting.sink(at(registry.host)).publish(IMAGE)

    assert pulled(trusting, at(registry.host))[1:] == [ONE, TWO]
    with pytest.raises(InvalidInput, match=r"certificate .* is not trusted"):
        client().sink(at(registry.host)).lookup("v1")
    by_environment = client(environ={"SSL_CERT_FILE": str(registry.ca_file)})
    assert by_environment.sink(at(registry.host)).lookup("v1") is not None


def test_a_plain_registry_elsewhere_needs_the_flag(client: Client, registry: InProcessRegistry) -> None:
    with pytest.raises(InvalidInput, match="does not speak TLS") as caught:
        client(connect=to(registry.host), retries=0).sink(at("registry.test")).lookup("v1")

    assert "--insecure registry.test" in caught.value.remedy


def test_an_unreadable_ca_file_is_named_as_such(
    client: Client, registry: InProcessRegistry, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="CA file"):
        client(connect=to(registry.host), ca_file=str(tmp_path / "absent")).sink(at("registry.test")).lookup(
            "v1"
        )


def test_a_name_that_leads_to_a_link_local_address_is_refused(client: Client) -> None:
    class There(socket.socket):
        def getpeername(self) -> object:
            return ("169.254.169.254", 443)

    def dial(_hostname: str, _port: int, _timeout: float) -> socket.socket:
        return There()

    with pytest.raises(InvalidInput, match="link-local"):
        client(connect=dial, retries=0).sink(at("registry.test")).lookup("v1")


def test_unknown_names_are_unavailable(client: Client) -> None:
    def dial(_hostname: str, _port: int, _timeout: float) -> socket.socket:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(ConnectionLost, match="not known"):
        client(connect=dial).sink(at("registry.test")).lookup("v1")


def test_a_registries_closes_itself(registry: InProcessRegistry) -> None:
    with Registries(environ={}) as registries:
        registries.sink(at(registry.host)).publish(IMAGE)
