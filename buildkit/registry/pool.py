"""Connections: made (directly, through a proxy, with TLS), kept, handed out again, closed at the end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from buildkit.errors import InvalidInput
from buildkit.registry.meter import Meter
from buildkit.registry.options import RegistryOptions
from buildkit.registry.url import Url, is_forbidden, is_loopback
from buildkit.registry.wire import BadAnswer, Connection

if TYPE_CHECKING:
    import ssl

    from buildkit.registry.proxy import Proxy

Dial = Callable[[str, int, float], socket.socket]


def dial(hostname: str, port: int, timeout_seconds: float) -> socket.socket:
    """A TCP connection to wherever the name leads."""
    # As bytes, which getaddrinfo takes too: text would load the IDNA tables, 3 ms of start-up.
    name: Any = hostname.encode("ascii")
    return socket.create_connection((name, port), timeout_seconds)


class Pool:
    """Keep-alive connections for each (scheme, host); one thread owns one until it is given back."""

    def __init__(
        self,
        options: RegistryOptions,
        meter: Meter,
        environ: Mapping[str, str],
        connect: Dial = dial,
    ) -> None:
        self._options = options
        self._meter = meter
        self._environ = environ
        self._dial = connect
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str], list[Connection]] = {}
        self._open: set[Connection] = set()
        self._closed = False
        self._tls: ssl.SSLContext | None = None

    def take(self, url: Url, *, fresh: bool = False) -> Connection:
        """An idle connection that still lives, or a new one (always, where `fresh`)."""
        while not fresh:
            with self._lock:
                waiting = self._idle.get(url.origin)
                connection = waiting.pop() if waiting else None
            if connection is None:
                break
            if connection.idle:
                connection.reused = True
                return connection
            self.drop(connection)
        connection = Connection(self._connect(url), url.origin, self._meter)
        with self._lock:
            if not self._closed:
                self._open.add(connection)
                return connection
        connection.close()
        raise OSError("the run has ended")

    def give(self, connection: Connection) -> None:
        """Back, for another request."""
        with self._lock:
            if connection in self._open:
                self._idle.setdefault(connection.key, []).append(connection)

    def drop(self, connection: Connection) -> None:
        """Not to be used again."""
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def close(self) -> None:
        """All of them, also those in use: their threads get an OSError."""
        with self._lock:
            connections, self._open, self._closed = self._open, set(), True
            self._idle.clear()
        for connection in connections:
            connection.close()

    def proxy(self, url: Url) -> Proxy | None:
        """The proxy before this host; none is before loopback."""
        if is_loopback(url.hostname):
            return None
        from buildkit.registry.proxy import proxy_for

        return proxy_for(url, self._environ)

    def _connect(self, url: Url) -> socket.socket:
        proxy = self.proxy(url)
        target = proxy.url if proxy else url
        sock = self._dial(target.hostname, target.port, self._options.connect_seconds)
        try:
            # Names may lead to link-local addresses too: this looks at where we really are.
            if not proxy and is_forbidden(_peer(sock)):
                raise InvalidInput(f"{url.host} is at a link-local address", "no registry is reached there")
            sock.settimeout(self._options.timeout_seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if url.scheme == "https":
                if proxy:
                    self._tunnel(sock, url, proxy)
                return self._context().wrap_socket(sock, server_hostname=url.hostname)
        except BaseException:
            sock.close()
            raise
        return sock

    def _tunnel(self, sock: socket.socket, url: Url, proxy: Proxy) -> None:
        name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        head = f"CONNECT {name}:{url.port} HTTP/1.1\r\nHost: {name}:{url.port}\r\n"
        if proxy.authorization:
            head += f"Proxy-Authorization: {proxy.authorization.reveal()}\r\n"
        tunnel = Connection(sock, url.origin, self._meter)
        tunnel.send(head.encode() + b"\r\n", b"")
        status = tunnel.answer(bodyless=True).status
        if status == 407:
            raise InvalidInput(f"the proxy {proxy.url.host} wants other credentials",
                               "put them into HTTPS_PROXY as http://user:password@host")  # fmt: skip
        if status != 200:
            raise BadAnswer(f"the proxy {proxy.url.host} answered {status}")

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = _tls_context(self._options, self._environ)
            return self._tls


def _tls_context(options: RegistryOptions, environ: Mapping[str, str]) -> ssl.SSLContext:
    import ssl  # 10 ms that registries on loopback do not need

    context = ssl.create_default_context()
    try:
        for file in filter(None, (environ.get("SSL_CERT_FILE"), options.ca_file)):
            context.load_verify_locations(file)
        if options.certificate:
            context.load_cert_chain(options.certificate, options.key or None)
    except (OSError, ValueError):
        raise InvalidInput("a CA file or client certificate cannot be read",
                           "check the ca_file, certificate and key settings") from None  # fmt: skip
    return context


def _peer(sock: socket.socket) -> str:
    peer = sock.getpeername()
    return str(peer[0]) if isinstance(peer, tuple) else ""
