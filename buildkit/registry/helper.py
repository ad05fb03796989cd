"""Credential helpers: `docker-credential-NAME get`, the host on stdin. The one process started here.

Protocol: github.com/docker/docker-credential-helpers. What a helper prints may be secret and is never shown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

from buildkit.errors import InvalidInput, Unavailable
from buildkit.registry.secret import Secret

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_SECONDS = 60
_NOT_FOUND = (b"credentials not found", b"no credentials server URL", b"no credentials username")


def get(name: str, server: str, environ: Mapping[str, str], file: str) -> tuple[str, Secret] | None:
    """User name and secret for the server, None where the helper has none. `file` is where it was named."""
    program = _find(name, environ, file)
    code, output = _run(program, server, environ)
    if code:
        if any(words in output for words in _NOT_FOUND):
            return None
        raise _failed(name, server, f"exit code {code}")
    try:
        value = json.loads(output)
        username, secret = value["Username"], value["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _failed(name, server, "it printed no credentials") from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _failed(name, server, "it printed no credentials")
    return (username, Secret(secret)) if secret else None


def _find(name: str, environ: Mapping[str, str], file: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{file} names a credential helper that is not a plain word", "correct the file")
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        # A relative entry would let the repository under build answer.
        candidate = os.path.join(folder, f"docker-credential-{name}")
        if os.path.isabs(folder) and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    raise InvalidInput(f"docker-credential-{name}, named in {file}, is not installed",
                       "install it, or take it out of the file")  # fmt: skip


def _run(program: str, server: str, environ: Mapping[str, str]) -> tuple[int, bytes]:
    import subprocess

    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=_SECONDS, env=dict(environ),
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"{os.path.basename(program)} did not answer", "does it wait for somebody?"
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"{os.path.basename(program)} cannot be run: {error.strerror}", "reinstall it"
        ) from None
    return done.returncode, done.stdout + (done.stderr if done.returncode else b"")


def _failed(name: str, server: str, why: str) -> Unavailable:
    return Unavailable(f"docker-credential-{name} failed for {server}: {why}",
                       f"see what it says: echo {server} | docker-credential-{name} get")  # fmt: skip
