"""Who we are to an LFS server: by the URL, the user's netrc file, git's credential helpers, in this order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote, urlsplit, urlunsplit

from buildkit.errors import InvalidInput, TreeshipError
from buildkit.registry.secret import Secret, basic

Credentials = Callable[[str], Secret | None]
"""From the URL of an endpoint to the value of an Authorization header."""

RunGit = Callable[[Sequence[str], bytes], bytes]


def split_userinfo(url: str) -> tuple[str, Secret | None]:
    """A URL without its credentials, and these."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), basic(unquote(user), unquote(password))


def from_netrc(environ: Mapping[str, str]) -> Credentials:
    """Those of `$NETRC` or `~/.netrc`. Raises InvalidInput, which quotes nothing, for a malformed file."""
    path = environ.get("NETRC") or os.path.join(environ.get("HOME", ""), ".netrc")

    def ask(url: str) -> Secret | None:
        host = urlsplit(url).hostname or ""
        logins = netrc_logins(path)
        if logins is None:
            # Raised here, where no other error is its context: netrc's own quotes the file.
            raise InvalidInput(f"{path} is malformed", "correct it, or unset $NETRC")
        found = logins.get(host) or logins.get("default")
        return basic(found[0] or found[1] or "", found[2] or "") if found else None

    return ask


def netrc_logins(path: str) -> Mapping[str, tuple[str, str, str]] | None:
    """Login, account and password by host, and netrc's `default`; None where the file is malformed."""
    import netrc

    try:
        return dict(netrc.netrc(path).hosts)
    except OSError:
        return {}
    except (netrc.NetrcParseError, UnicodeDecodeError):
        return None


def from_git(run: RunGit) -> Credentials:
    """Those of git's credential helpers and $GIT_ASKPASS (gitcredentials(7))."""

    def ask(url: str) -> Secret | None:
        parts = urlsplit(url)
        request = f"protocol={parts.scheme}\nhost={parts.netloc}\npath={parts.path.lstrip('/')}\n\n"
        try:
            answer = run(["credential", "fill"], request.encode())
        except TreeshipError:
            return None  # Git fails where no helper knows the host and nobody is there to be asked.
        fields = dict(line.partition("=")[::2] for line in answer.decode(errors="replace").splitlines())
        return (
            basic(fields["username"], fields["password"])
            if {"username", "password"} <= fields.keys()
            else None
        )

    return ask


def first_of(*sources: Credentials) -> Credentials:
    """The first answer."""

    def ask(url: str) -> Secret | None:
        return next((found for source in sources if (found := source(url))), None)

    return ask
