"""Who may do what: nobody asks, a password, or tokens that end or are used up."""

from __future__ import annotations

import base64
import secrets
import time
from typing import NamedTuple
from urllib.parse import parse_qs

from buildkit.testing.registry.exchange import Exchange, Reply, error_reply, json_reply

_READS = frozenset({"GET", "HEAD"})


class Open(NamedTuple):
    """Everybody may do everything."""


class Password(NamedTuple):
    """Basic authentication."""

    username: str
    password: str


class Tokens(NamedTuple):
    """Bearer tokens, for `username` and `password`, for an identity token, or (with neither) for everybody.

    `uses`: how many requests a token serves. `field`, `says_seconds`: how the token's answer is worded.
    `realm`: another address than the registry's own. `first_scope_only`: other scopes that are asked for are
    ignored. `private`: repositories that nobody gets.
    """

    username: str = ""
    password: str = ""
    identity: str = ""
    seconds: float = 300.0
    uses: int = 1_000_000
    field: str = "token"
    says_seconds: bool = True
    realm: str = ""
    first_scope_only: bool = False
    private: frozenset[str] = frozenset()


Mode = Open | Password | Tokens
OPEN = Open()


class _Grant:
    def __init__(self, scopes: tuple[str, ...], until: float, uses: int) -> None:
        self.scopes = scopes
        self.until = until
        self.uses = uses


class Doorkeeper:
    """Keeps the tokens that were issued."""

    def __init__(self, mode: Mode, host: str) -> None:
        self.mode = mode
        self._host = host
        self._grants: dict[str, _Grant] = {}

    def refusal(self, exchange: Exchange) -> Reply | None:
        """A 401 with a challenge, or None for those who may."""
        sent = exchange.headers.get("authorization", "")
        match self.mode:
            case Open():
                return None
            case Password():
                allowed = sent == basic(self.mode.username, self.mode.password)
                return None if allowed else _challenge('Basic realm="testing, not \\"real\\""')
            case Tokens():
                missing = self._missing(exchange, sent.removeprefix("Bearer "))
                return None if missing is None else self._bearer(missing)

    def token(self, exchange: Exchange) -> Reply:
        """The realm: GET with scopes in the query, or the OAuth2 form with an identity token."""
        if not isinstance(self.mode, Tokens):
            return error_reply(404, "NOT_FOUND")
        scopes = exchange.scopes
        if exchange.method == "POST":
            form = {name: values[0] for name, values in parse_qs(exchange.body().decode()).items()}
            allowed = bool(self.mode.identity) and form.get("refresh_token") == self.mode.identity
            scopes = tuple(form.get("scope", "").split())
        elif self.mode.username:
            allowed = exchange.headers.get("authorization") == basic(self.mode.username, self.mode.password)
        else:
            allowed = not self.mode.identity
        if not allowed:
            return error_reply(401, "UNAUTHORIZED", "incorrect username or password")
        return self._issue(scopes[:1] if self.mode.first_scope_only else scopes, self.mode)

    def _issue(self, scopes: tuple[str, ...], mode: Tokens) -> Reply:
        token = secrets.token_urlsafe(24)
        granted = tuple(scope for scope in scopes if scope.split(":")[1] not in mode.private)
        self._grants[token] = _Grant(granted, time.monotonic() + mode.seconds, mode.uses)
        value: dict[str, object] = {mode.field: token}
        return json_reply(200, value | ({"expires_in": int(mode.seconds)} if mode.says_seconds else {}))

    def _missing(self, exchange: Exchange, token: str) -> str | None:
        """The scope that the token does not have; None where it has what is needed."""
        needed = _scope(exchange)
        grant = self._grants.get(token)
        if grant is None or grant.until < time.monotonic() or grant.uses < 1:
            return needed
        grant.uses -= 1
        if exchange.kind == "base":
            return None
        return None if _covers(grant.scopes, needed) else needed

    def _bearer(self, scope: str) -> Reply:
        realm = getattr(self.mode, "realm", "") or f"http://{self._host}/token"
        return _challenge(f'Bearer realm="{realm}",service="testing, here",scope="{scope}"')

    def may_read(self, exchange: Exchange, repository: str) -> bool:
        """Whether a mount's origin is readable: a token may lack it, and then there is no mount."""
        grant = self._grants.get(exchange.headers.get("authorization", "").removeprefix("Bearer "))
        return not isinstance(self.mode, Tokens) or (
            grant is not None and _covers(grant.scopes, f"repository:{repository}:pull")
        )


def basic(username: str, password: str) -> str:
    """The header's value."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _scope(exchange: Exchange) -> str:
    actions = (
        "pull" if exchange.method in _READS else "delete" if exchange.method == "DELETE" else "pull,push"
    )
    return f"repository:{exchange.repository}:{actions}"


def _covers(scopes: tuple[str, ...], needed: str) -> bool:
    kind, name, actions = needed.rsplit(":", 2)
    granted = {
        action
        for scope in scopes
        if scope.startswith(f"{kind}:{name}:")
        for action in scope.rsplit(":", 1)[1].split(",")
    }
    return set(actions.split(",")) <= granted


def _challenge(value: str) -> Reply:
    return error_reply(401, "UNAUTHORIZED", "authentication required").with_headers(WWW_Authenticate=value)
