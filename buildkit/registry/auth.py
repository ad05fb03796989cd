"""Answers to a registry's challenge: Basic, or a Bearer token fetched from the realm that it names.

Sources: distribution `docs/spec/auth/token.md` and `oauth.md`. Where credentials may go, in one rule: to the
registry itself, and to the realm that *it* names, over https; over plain HTTP only where registry and realm
both are hosts that are meant to (loopback, or `insecure`). A link-local or metadata address is never a realm.
Nothing is redirected with credentials.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, Unavailable
from buildkit.registry import errors
from buildkit.registry.secret import Secret
from buildkit.registry.transport import Answer, Request, Transport
from buildkit.registry.url import Url

if TYPE_CHECKING:
    from buildkit.registry.challenge import Challenge
    from buildkit.registry.credentials import Credentials, CredentialStore

# token.md: "If omitted, this defaults to 60 seconds".
_DEFAULT_SECONDS = 60.0
_MARGIN_SECONDS = 10.0
_TOKEN_LIMIT = 1024 * 1024


class Access(NamedTuple):
    """Who is asked (`host` as the user wrote it, `api` as it is reached) for what (scopes)."""

    host: str
    api: Url
    repository: str
    scopes: tuple[str, ...]


class _Token(NamedTuple):
    authorization: Secret
    until: float


class Authorizer:
    """Challenges and tokens of one run; one thread fetches, the others wait for its token."""

    def __init__(self, transport: Transport, environ: Mapping[str, str]) -> None:
        self._transport = transport
        self._environ = environ
        self._store: CredentialStore | None = None
        self._lock = threading.Lock()
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._known: dict[tuple[str, str], Challenge] = {}
        self._tokens: dict[tuple[tuple[str, str], tuple[str, ...]], _Token] = {}

    def authorization(self, access: Access) -> Secret | None:
        """What to send at once: nothing to a registry that has not asked; a token that lasts a while."""
        known = self._known.get(access.api.origin)
        if known is None:
            return None
        if known.scheme == "basic":
            return self._basic(access)
        with self._lock_of(access):
            return self._current(access) or self._fetch(access, known, keep=True)

    def answer(self, access: Access, refused: Answer, used: Secret | None, attempt: int) -> Secret:
        """What to send after a 401. Raises AccessDenied where there is nothing (else) to try.

        The first time another thread's newer token will do; after that only one of our own, since a registry
        may take a token once.
        """
        from buildkit.registry.challenge import choose  # not needed where nobody asks

        asked = choose(refused.headers.get("www-authenticate", ""))
        if asked is None:
            raise self.denied(access, refused, "it does not say how to log in")
        with self._lock_of(access):
            # Without its scope: that belongs to this one request.
            self._known[access.api.origin] = asked._replace(parameters={**asked.parameters, "scope": ""})
            if asked.scheme == "basic":
                found = self._basic(access)
                if found is None or found == used:
                    raise self.denied(access, refused, "no credentials are known" if not found else "")
                return found
            current = self._current(access)
            if attempt == 0 and current is not None and current != used:
                return current
            return self._fetch(access, asked, keep=attempt == 0)

    def _lock_of(self, access: Access) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(access.api.origin, threading.Lock())

    def _current(self, access: Access) -> Secret | None:
        token = self._tokens.get((access.api.origin, access.scopes))
        return token.authorization if token and self._transport.clock.now() < token.until else None

    def _basic(self, access: Access) -> Secret | None:
        credentials = self._credentials(access)
        return credentials.basic() if credentials else None

    def _credentials(self, access: Access) -> Credentials | None:
        from buildkit.registry.credentials import CredentialStore

        with self._lock:
            self._store = self._store or CredentialStore(self._environ)
        return self._store.find(access.host, access.repository)

    def _fetch(self, access: Access, asked: Challenge, *, keep: bool) -> Secret:
        credentials = self._credentials(access)
        if credentials and credentials.bearer:
            return Secret(f"Bearer {credentials.bearer.reveal()}")
        began = self._transport.clock.now()
        request, authorization = self._token_request(access, asked, credentials)
        answer = self._transport.send(request, authorization)
        if answer.status != 200:
            raise self._token_refused(access, request.url, answer, credentials)
        token, seconds = _parse_token(answer.body, request.url)
        secret = Secret(f"Bearer {token}")
        if keep:
            until = began + seconds - min(_MARGIN_SECONDS, seconds / 4)
            self._tokens[access.api.origin, access.scopes] = _Token(secret, until)
        return secret

    def _token_request(
        self, access: Access, asked: Challenge, credentials: Credentials | None
    ) -> tuple[Request, Secret | None]:
        realm = self._realm(access, asked)
        scopes = _ordered(asked.parameters.get("scope", "").split(), access.scopes)
        service = asked.parameters.get("service", "")
        if credentials and credentials.identity:
            form = {"grant_type": "refresh_token", "service": service, "client_id": "treeship",
                    "scope": " ".join(scopes), "refresh_token": credentials.identity.reveal()}  # fmt: skip
            body = "&".join(f"{name}={_quote(value)}" for name, value in form.items()).encode()
            headers = (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"))
            return Request("POST", realm, headers, body, limit=_TOKEN_LIMIT), None
        query = [f"service={_quote(service)}"] if service else []
        query += [f"scope={_quote(scope)}" for scope in scopes]
        url = realm.with_query("&".join(query)) if query else realm
        request = Request("GET", url, (("Accept", "application/json"),), limit=_TOKEN_LIMIT)
        return request, credentials.basic() if credentials else None

    def _realm(self, access: Access, asked: Challenge) -> Url:
        realm = Url.parse(asked.parameters.get("realm", ""))
        if realm.scheme == "http" and access.api.scheme == "https":
            raise InvalidInput(f"{access.host} wants its credentials sent to {realm.host} by plain HTTP",
                               "this is refused: tell its administrator")  # fmt: skip
        self._transport.check(realm)
        return realm

    def _token_refused(
        self, access: Access, realm: Url, answer: Answer, credentials: Credentials | None
    ) -> Exception:
        if credentials:
            answer.body = credentials.identity.hidden_in(answer.body)
        if answer.status in (400, 401, 403):
            return self.denied(access, answer, "" if credentials else "no credentials are known")
        if answer.status in errors.RETRYABLE or answer.status >= 500:
            return Unavailable(
                f"{realm.host}, which logs in to {access.host}: HTTP {answer.status}", "try again later"
            )
        return InvalidInput(f"{realm.host}, which logs in to {access.host}: HTTP {answer.status}",
                            "it does not issue tokens there; tell its administrator")  # fmt: skip

    def denied(self, access: Access, refused: Answer, why: str = "") -> AccessDenied:
        """Who was refused what, and what the registry said about it."""
        what = " and ".join(scope.removeprefix("repository:") for scope in access.scopes)
        said = errors.parse_errors(refused.body).text
        reasons = "; ".join(filter(None, (why or "it does not take the credentials that are known", said)))
        return AccessDenied(f"{access.host} refuses {what}: {reasons}",
                            f"run `docker login {access.host}`, or ask for access")  # fmt: skip


def _parse_token(body: bytes, realm: Url) -> tuple[str, float]:
    try:
        value = json.loads(body)
        token = value.get("token") or value.get("access_token")
        seconds = value.get("expires_in")
    except (ValueError, AttributeError, RecursionError):
        token = seconds = None
    # A token goes into a header: nothing but visible ASCII.
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        raise CorruptContent(f"{realm.host} issued no usable token", "tell the registry's administrator")
    valid = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 10**7
    return token, float(seconds) if valid else _DEFAULT_SECONDS


def _ordered(missing: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """What was found missing goes first, since some registries look at the first scope only; each once."""
    wider = {scope: next((ours for ours in wanted if _covers(ours, scope)), scope) for scope in missing}
    return list(dict.fromkeys([*wider.values(), *wanted]))


def _covers(scope: str, other: str) -> bool:
    resource, _, actions = scope.rpartition(":")
    asked_of, _, asked = other.rpartition(":")
    return resource == asked_of and set(asked.split(",")) <= set(actions.split(","))


def _quote(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
