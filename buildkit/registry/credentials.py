"""Who we are at a registry: Docker's config file, containers' auth file, and the helpers they name.

Files, in this order: $DOCKER_CONFIG/config.json (else ~/.docker/config.json), $REGISTRY_AUTH_FILE,
$XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json. In each: credHelpers for the host, then
credsStore, then auths. Read when a registry first asks, not before.
"""

from __future__ import annotations

import binascii
import json
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from buildkit.errors import InvalidInput
from buildkit.registry import helper
from buildkit.registry.secret import Secret, basic

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_IDENTITY = "<token>"
_FILE_LIMIT = 4 * 1024 * 1024


class Credentials(NamedTuple):
    """One of: a user name and password, an identity token (to be exchanged), a ready bearer token."""

    username: str = ""
    password: Secret = Secret("")
    identity: Secret = Secret("")
    bearer: Secret = Secret("")

    def basic(self) -> Secret | None:
        """The Authorization value, where there is a password."""
        return basic(self.username, self.password.reveal()) if self.password else None

    def __repr__(self) -> str:
        return "Credentials(...)"


class CredentialStore:
    """Remembers what it found, so that a helper runs once for each host."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._lock = threading.Lock()
        self._files: list[tuple[str, dict[str, Any]]] | None = None
        self._found: dict[tuple[str, str], Credentials | None] = {}

    def find(self, host: str, repository: str) -> Credentials | None:
        """The most specific ones. Raises InvalidInput, which names a malformed file but not its content."""
        with self._lock:
            if self._files is None:
                self._files = [
                    (path, fields) for path in _paths(self._environ) if (fields := _load(path)) is not None
                ]
            if (host, repository) not in self._found:
                found = (self._from_file(path, fields, host, repository) for path, fields in self._files)
                self._found[host, repository] = next(filter(None, found), None)
            return self._found[host, repository]

    def _from_file(self, path: str, fields: dict[str, Any], host: str, repository: str) -> Credentials | None:
        helpers = _object(fields, "credHelpers", path)
        name = next((helpers[key] for key in _names(host) if key in helpers), None) or fields.get(
            "credsStore"
        )
        if name:
            answer = helper.get(str(name), _HUB_KEY if host in _HUB_NAMES else host, self._environ, path)
            if answer:
                return _from_helper(*answer)
        entry = _entry(_object(fields, "auths", path), host, repository)
        return _from_entry(entry, path) if entry is not None else None


def _paths(environ: Mapping[str, str]) -> Iterator[str]:
    home = environ.get("HOME") or os.path.expanduser("~")
    yield os.path.join(environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json")
    if environ.get("REGISTRY_AUTH_FILE"):
        yield environ["REGISTRY_AUTH_FILE"]
    if environ.get("XDG_RUNTIME_DIR"):
        yield os.path.join(environ["XDG_RUNTIME_DIR"], "containers", "auth.json")
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    yield os.path.join(config, "containers", "auth.json")


def _load(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(_FILE_LIMIT))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", "correct its permissions") from None
    except (ValueError, RecursionError):
        raise _malformed(path) from None
    if not isinstance(value, dict):
        raise _malformed(path)
    return value


def _object(fields: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise _malformed(path)
    return value


def _malformed(path: str) -> InvalidInput:
    # Never with the parser's message: it may quote the file.
    return InvalidInput(f"{path} is malformed", "correct it, or log in again with `docker login`")


def _names(host: str) -> tuple[str, ...]:
    return (
        ("docker.io", "index.docker.io", _HUB_KEY, "registry-1.docker.io") if host in _HUB_NAMES else (host,)
    )


def _entry(auths: dict[str, Any], host: str, repository: str) -> object:
    """auths[host/team/name], then shorter paths (containers-auth.json(5)), then the host however spelt."""
    parts = repository.split("/")
    for name in _names(host):
        for length in range(len(parts), -1, -1):
            key = "/".join([name, *parts[:length]])
            if key in auths:
                return auths[key]
    names = _names(host)
    return next((value for key, value in auths.items() if _bare(key) in names), None)


def _bare(key: str) -> str:
    """`https://host/v1/`, as old Docker wrote it, is the host."""
    scheme, separator, rest = key.partition("://")
    rest = rest if separator and scheme in ("http", "https") else key
    name, _, path = rest.partition("/")
    return name if path.strip("/") in ("", "v1", "v2") else key


def _from_helper(username: str, secret: Secret) -> Credentials:
    if username == _IDENTITY:
        return Credentials(identity=secret)
    return Credentials(username, secret)


def _from_entry(entry: object, path: str) -> Credentials | None:
    if not isinstance(entry, dict) or not all(
        isinstance(entry.get(key, ""), str)
        for key in ("auth", "username", "password", "identitytoken", "registrytoken")
    ):
        raise _malformed(path)
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        username, password = _decode(entry["auth"], path)
    found = Credentials(
        username,
        Secret(password),
        Secret(entry.get("identitytoken", "") or (password if username == _IDENTITY else "")),
        Secret(entry.get("registrytoken", "")),
    )
    return found if found.password or found.identity or found.bearer else None


def _decode(auth: str, path: str) -> tuple[str, str]:
    try:
        text = binascii.a2b_base64(auth.encode()).decode()
    except (ValueError, binascii.Error):
        raise _malformed(path) from None
    username, colon, password = text.partition(":")
    if not colon:
        raise _malformed(path)
    return username, password.rstrip("\0")
