"""A token server: what a registry with `WWW-Authenticate: Bearer` sends its clients to."""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.rigs import certificates
from tests.rigs.certificates import Certificate
from tests.rigs.process import output_of
from tests.rigs.rig import Rig
from tests.rigs.web import QuietHandler, serving

ISSUER = "treeship-rig"
SERVICE = "registry"
LEEWAY = 60  # docker-registry takes a token for so long after its end.


class TokenRequest(NamedTuple):
    """One request for a token: who asked ("" for nobody), for which scopes, and the answer's status."""

    user: str
    scopes: tuple[str, ...]
    status: int


class TokenServer(Rig):
    """Gives each of USERS (name to password) what he asks for; where there are none, anybody.

    `seconds` is how long the tokens to come are good for, the registry's leeway taken off; `denied` are
    repositories for which nothing is granted. Both may be changed at any time. `requests` is what was asked.
    """

    url: str

    def __init__(self, *, users: Mapping[str, str] | None = None, seconds: int = 300) -> None:
        self.users = dict(users or {})
        self.seconds = seconds
        self.denied: set[str] = set()
        self.requests: list[TokenRequest] = []
        self._certificate: Certificate

    @classmethod
    def install(cls) -> None:
        certificates.install()

    def _start(self, ending: ExitStack) -> None:
        self._certificate = certificates.authority(self.workspace.folder("tokens"), "tokens")
        self.url = f"http://{ending.enter_context(serving(partial(_Handler, self)))}/token"

    def settings(self) -> dict[str, Any]:
        """The `auth` part of docker-registry's settings."""
        bundle = str(self._certificate.file)
        return {"token": {"realm": self.url, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}}

    def token(self, user: str, scopes: tuple[str, ...]) -> str:
        """A signed token that grants SCOPES (`repository:NAME:ACTION,ACTION`), save those in `denied`."""
        now = int(time.time())
        access = [dict(zip(("type", "name", "actions"), _split(scope), strict=True)) for scope in scopes]
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "exp": now + self.seconds - LEEWAY,
            "nbf": now - 10 * LEEWAY,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": [entry for entry in access if entry["name"] not in self.denied],
        }
        return self._sign(claims)

    def _sign(self, claims: dict[str, Any]) -> str:
        pem = self._certificate.file.read_text().split("-----")[2]
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem.split())]}
        text = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        command = ["openssl", "dgst", "-sha256", "-sign", str(self._certificate.key)]
        signature = output_of(command, stdin=text.encode())
        return f"{text}.{_base64(signature)}"


class _Handler(QuietHandler):
    def __init__(self, rig: TokenServer, *connection: Any) -> None:
        self.rig = rig
        super().__init__(*connection)

    def do_GET(self) -> None:
        self._issue(parse_qs(urlsplit(self.path).query), *_basic(self.headers.get("Authorization", "")))

    def do_POST(self) -> None:  # The OAuth2 form of the same.
        form = parse_qs(self.body().decode())
        self._issue(form, form.get("username", [""])[0], form.get("password", [""])[0])

    def _issue(self, query: dict[str, list[str]], user: str, password: str) -> None:
        scopes = tuple(" ".join(query.get("scope", [])).split())
        known = not self.rig.users or self.rig.users.get(user, "") == password != ""
        self.rig.requests.append(TokenRequest(user, scopes, 200 if known else 401))
        if not known:
            return self.answer(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}')
        token = self.rig.token(user, scopes)
        reply = {"token": token, "access_token": token, "expires_in": self.rig.seconds}
        return self.answer(200, json.dumps(reply).encode())


def _split(scope: str) -> tuple[str, str, list[str]]:
    """repository:host:5000/name:pull,push has colons in its name."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return kind, name, actions.split(",")


def _basic(header: str) -> tuple[str, str]:
    user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    return user, password


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
