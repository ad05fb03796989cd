"""Logins in the user's keyring, by the program `keyring` where it is on PATH. The one process that is started here.

A program, not the module of that name: its back ends (of cloud registries, of desktops) are installed with it, in an
environment of its own. The service goes out on the command line, the password comes back on a pipe.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from buildkit.registry.secret import Secret, basic

_SECONDS = 30


def ask(services: Sequence[str], user: str, environ: Mapping[str, str]) -> Secret | None:
    """The Authorization for the first service that the keyring knows, as `user` where one is named.

    None where there is no keyring, or it knows none, or does not answer: then the server's refusal is the error.
    """
    program = _find(environ)
    for service in services if program else ():
        if user:
            lines = _run([program, "get", service, user], environ)
            found = (user, lines[0]) if lines else None
        else:
            lines = _run([program, "--mode", "creds", "get", service], environ)
            found = (lines[0], lines[1]) if len(lines) >= 2 else None
        if found and found[1]:
            return basic(*found)
    return None


def _find(environ: Mapping[str, str]) -> str:
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        candidate = os.path.join(folder, "keyring")
        # A relative entry would let the repository under build answer.
        if os.path.isabs(folder) and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    return ""


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """The lines that it printed; none where it failed. What it says on stderr may be secret, and is not shown."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            env=dict(environ),
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError):
        return []
    return done.stdout.decode(errors="replace").splitlines() if not done.returncode else []
