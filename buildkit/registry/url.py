"""URLs as registries hand them out: Location, realm, redirect. Small, since urllib.parse costs start-up time.

Userinfo is dropped wherever it appears, and a message shows a URL without its query, where signatures live.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.registry.errors import clean

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_PLAIN = re.compile(r"[\x21-\x7e]*")
_LOOPBACK = re.compile(r"127(?:\.[0-9]{1,3}){3}")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535
# Cloud metadata services; link-local addresses (169.254.0.0/16, fe80::/10) cover the others.
_METADATA_NAMES = frozenset({"metadata.google.internal"})
_METADATA = (bytes.fromhex("fd000ec2" + "0" * 20 + "0254"), bytes.fromhex("fd2000ce" + "0" * 20 + "0254"))
_LINK_LOCAL = b"\xa9\xfe"
# IPv4 in IPv6 (RFC 4291, 2.5.5) and NAT64 (RFC 6052).
_EMBEDDING = (bytes(10) + b"\xff\xff", bytes.fromhex("0064ff9b") + bytes(8))


class Url(NamedTuple):
    """`host` is a lower-case name or address with the port unless it is the scheme's own."""

    scheme: str
    host: str
    target: str

    @classmethod
    def parse(cls, text: str) -> Url:
        """Raises InvalidInput, which does not repeat the text: it may hold a signature."""
        match = _URL.fullmatch(text)
        netloc = match[2].rpartition("@")[2] if match else ""
        host = _HOST.fullmatch(netloc)
        if match is None or host is None or int(host[2] or 0) > _LAST_PORT:
            raise InvalidInput(
                "the registry named an address that is no http(s) URL", "ask its administrator"
            )
        target = _ascii(match[3])
        scheme = match[1].lower()
        suffix = f":{_DEFAULT_PORTS[scheme]}"
        return cls(scheme, netloc.lower().removesuffix(suffix), target if target[:1] == "/" else "/" + target)

    @property
    def hostname(self) -> str:
        """The host without port and brackets."""
        match = _HOST.fullmatch(self.host)
        return match[1].strip("[]") if match else self.host

    @property
    def port(self) -> int:
        """The port, written or implied."""
        match = _HOST.fullmatch(self.host)
        return int(match[2]) if match and match[2] else _DEFAULT_PORTS[self.scheme]

    @property
    def origin(self) -> tuple[str, str]:
        """Scheme and host: what credentials are bound to."""
        return (self.scheme, self.host)

    def join(self, location: str) -> Url:
        """Where a Location seen at this URL leads.

        A registry behind a TLS proxy often calls itself http: its own name stays with https. Any other way
        from https to http is refused.
        """
        if location.startswith("//"):
            location = f"{self.scheme}:{location}"
        if not _URL.match(location):
            return self._relative(location)
        found = Url.parse(location)
        if self.scheme == "https" and found.scheme == "http":
            if found.hostname != self.hostname:
                raise InvalidInput(f"{self.host} leads from https to plain http at {found.host}",
                                   "this is refused: tell the registry's administrator")  # fmt: skip
            return found._replace(scheme="https", host=self.host)
        return found

    def _relative(self, location: str) -> Url:
        location = location.partition("#")[0]
        if not location.startswith("/"):
            from urllib.parse import urljoin

            location = urljoin(self.target, location)
        return self._replace(target=_ascii(location) or "/")

    def with_query(self, query: str) -> Url:
        """The query joined with & where there is one already, as upload locations have."""
        return self._replace(target=f"{self.target}{'&' if '?' in self.target else '?'}{query}")

    def __str__(self) -> str:
        path, question, _ = self.target.partition("?")
        return clean(f"{self.scheme}://{self.host}{path}{question and '?...'}")


def origin_of(host: str, insecure: frozenset[str]) -> Url:
    """Where a registry's API lives. Plain HTTP only on this machine and where the user said so."""
    if host == "docker.io":
        return Url("https", "registry-1.docker.io", "/")
    url = Url("https", host.lower(), "/")
    plain = is_loopback(url.hostname) or host in insecure or url.host in insecure
    return (
        Url("http", url.host.removesuffix(":80"), "/")
        if plain
        else url._replace(host=url.host.removesuffix(":443"))
    )


def may_be_plain(url: Url, insecure: frozenset[str]) -> bool:
    """Whether plain HTTP to this host is allowed."""
    return is_loopback(url.hostname) or url.host in insecure or f"{url.hostname}:{url.port}" in insecure


def is_loopback(hostname: str) -> bool:
    """By name alone, never by a look-up: DNS is not ours."""
    return hostname in ("localhost", "::1") or bool(_LOOPBACK.fullmatch(hostname))


def is_forbidden(hostname: str) -> bool:
    """Link-local and metadata addresses, in any spelling of an address: no registry lives there."""
    if hostname in _METADATA_NAMES:
        return True
    import socket

    text = hostname.partition("%")[0]
    try:
        if ":" not in text:
            # inet_aton reads what resolvers read too: 0xa9fea9fe, 2852039166, 169.254.43518.
            return socket.inet_aton(text).startswith(_LINK_LOCAL)
        address = socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        return False
    if address.startswith(_EMBEDDING):
        return address[12:].startswith(_LINK_LOCAL)
    return address in _METADATA or (address[0] == 0xFE and address[1] & 0xC0 == 0x80)


def _ascii(target: str) -> str:
    if _PLAIN.fullmatch(target):
        return target
    from urllib.parse import quote

    return quote(target, safe="/?&=%:;,+@!$'()*~-._")
