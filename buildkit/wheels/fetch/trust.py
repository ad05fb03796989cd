"""Which hosts are asked for wheels. The lock has no say here: whoever wrote a pull request wrote its URLs.

A URL of the lock is followed where its host is named by the settings. Else the trusted index, where one is set,
is asked for a file of that name and hash, and the lock's URL is never contacted. Else PyPI's own hosts are
followed, and all others refused.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from buildkit.errors import InvalidInput, Refused
from buildkit.registry.secret import Secret
from buildkit.registry.url import Url, may_be_plain
from buildkit.wheels.fetch.model import title
from buildkit.wheels.locks import checks
from buildkit.wheels.locks.model import LockedWheel

PYPI = "https://pypi.org/simple/"
PYPI_HOSTS = frozenset({"pypi.org", "files.pythonhosted.org"})


class Login(NamedTuple):
    """A user of one origin, as a trusted URL names it; the password may be somewhere else."""

    user: str
    password: Secret


class Trust(NamedTuple):
    """`named`: hosts of the settings. `index_url`: the trusted index, without its credentials, which are `login`."""

    named: frozenset[str]
    index_url: Url | None = None
    login: Login | None = None
    insecure: frozenset[str] = frozenset()

    @classmethod
    def of(cls, hosts: tuple[str, ...], index: str, insecure: frozenset[str]) -> Trust:
        """From the settings. Raises InvalidInput, which does not repeat an index's credentials."""
        plain, login = split_login(index)
        named = frozenset(host.lower() for host in hosts)
        return cls(named, parse_url(plain, "wheels.index") if index else None, login, insecure)

    def is_named(self, url: Url) -> bool:
        """Whether somebody who is trusted has named this host."""
        return _among(url, self.named)

    def allows(self, url: Url) -> bool:
        """Whether this host may be asked at all."""
        if self.is_named(url) or (self.index_url is not None and url.host == self.index_url.host):
            return True
        ours = not self.named and (self.index_url is None or _among(self.index_url, PYPI_HOSTS))
        return ours and _among(url, PYPI_HOSTS)

    def route(self, wheel: LockedWheel) -> Url | None:
        """The lock's URL, where it is to be followed; None where the trusted index is to be asked.

        Raises Refused where neither is so, InvalidInput where the lock has no usable URL.
        """
        what = title(wheel)
        url = parse_url(wheel.url, what) if wheel.url else None
        if self.index_url is not None and not (url and self.is_named(url)):
            return None
        if url is None:
            raise InvalidInput(
                f"{what}: the lock does not say where it is", "name an index with wheels.index"
            )
        self.check(url, what)
        return url

    def pages(self, indexes: tuple[str, ...], what: str) -> tuple[Url, ...]:
        """The lock's indexes, each replaced by the trusted one where the settings do not name its host."""
        parsed = (parse_url(each, what) for each in indexes)
        found = [each if self.is_named(each) else self.index_url or each for each in parsed]
        for each in found:
            self.check(each, what)
        return tuple(dict.fromkeys(found))

    def links(self, pages: tuple[str, ...], what: str) -> tuple[Url, ...]:
        """The lock's pages of links. Raises Refused for a host that is not to be asked."""
        found = tuple(parse_url(each, what) for each in pages)
        for each in found:
            self.check(each, what)
        return found

    def check(self, url: Url, what: str) -> None:
        """Raises Refused for a host that is not to be asked for `what`."""
        if not self.allows(url):
            raise Refused(
                f"{what} is at {url.host}, and wheels are not taken from there",
                f'if it is meant, put "{url.host}" into wheels.hosts, or name an index that has it with wheels.index',
            )
        if url.scheme == "http" and not may_be_plain(url, self.insecure):
            raise Refused(
                f"{what} is to be fetched from {url.host} over plain HTTP",
                f"use https; or, if it is meant: --insecure {url.host}",
            )


def parse_url(text: str, what: str) -> Url:
    """An http(s) URL without credentials. Raises InvalidInput, which does not repeat it."""
    checks.check_url(text, what)
    try:
        return Url.parse(text)
    except InvalidInput:
        raise InvalidInput(f"{what}: not an https:// URL", "correct the address") from None


def split_login(url: str) -> tuple[str, Login | None]:
    """A URL of the settings without its credentials, and these."""
    scheme, separator, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    userinfo, at, host = netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return f"{scheme}{separator}{host}{slash}{path}", Login(unquote(user), Secret(unquote(password)))


def _among(url: Url, hosts: frozenset[str]) -> bool:
    """A host without port means the scheme's own port."""
    name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return url.host in hosts or f"{name}:{url.port}" in hosts
