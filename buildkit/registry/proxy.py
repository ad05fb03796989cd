"""Which proxy, if any, stands before a host: HTTP(S)_PROXY, ALL_PROXY and NO_PROXY as curl reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.registry.secret import Secret, basic
from buildkit.registry.url import Url


class Proxy(NamedTuple):
    """An HTTP proxy and what it wants to know about us."""

    url: Url
    authorization: Secret | None


def proxy_for(url: Url, environ: Mapping[str, str]) -> Proxy | None:
    """Raises InvalidInput for kinds of proxies that are not spoken."""
    name = f"{url.scheme}_proxy"
    text = _either(environ, name) or _either(environ, "all_proxy")
    if not text or _is_excluded(url, _either(environ, "no_proxy")):
        return None
    if "://" not in text:
        text = f"http://{text}"
    if not text.lower().startswith("http://"):
        raise InvalidInput(
            f"{name.upper()} is not an http:// proxy", "other kinds are not supported; see NO_PROXY"
        )
    return Proxy(Url.parse(text), _authorization(text))


def _either(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def _authorization(text: str) -> Secret | None:
    netloc = text.partition("://")[2].partition("/")[0]
    userinfo, at, _ = netloc.rpartition("@")
    if not at:
        return None
    from urllib.parse import unquote

    user, _, password = userinfo.partition(":")
    return basic(unquote(user), unquote(password))


def _is_excluded(url: Url, rules: str) -> bool:
    return any(_matches(url, rule) for rule in rules.replace(",", " ").lower().split())


def _matches(url: Url, rule: str) -> bool:
    if rule == "*":
        return True
    if "/" in rule:
        return _in_network(url.hostname, rule)
    if rule.count(":") == 1:
        rule, _, port = rule.partition(":")
        if port != str(url.port):
            return False
    name = rule.strip("[]").removeprefix("*").removeprefix(".")
    return bool(name) and (url.hostname == name or url.hostname.endswith("." + name))


def _in_network(hostname: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(hostname) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
