"""What stands between: proxies, TLS, and names that lead elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from buildkit.errors import InvalidInput
from buildkit.registry import Registries
from buildkit.registry.errors import ConnectionLost
from buildkit.testing.registry import InProcessRegistry
from tests.buildkit.registry.support import IMAGE, ONE, TWO, Client, at, pulled
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import Start

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
