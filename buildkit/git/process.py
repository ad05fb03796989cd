"""The one place that starts git: argv lists, a scrubbed environment, stderr kept for the error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from buildkit.errors import AccessDenied, InvalidInput, NotFound, TreeshipError, Unavailable

# Of the GIT_* variables only those that say how to reach a remote survive: the others (GIT_DIR, GIT_INDEX_FILE,
# GIT_OBJECT_DIRECTORY, …) are set inside hooks and would silently name another repository.
_KEPT = frozenset(
    """GIT_ALLOW_PROTOCOL GIT_ASKPASS GIT_CONFIG_COUNT GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM GIT_CONFIG_SYSTEM
    GIT_EXEC_PATH GIT_HTTP_PROXY_AUTHMETHOD GIT_PROXY_SSL_CAINFO GIT_SSH GIT_SSH_COMMAND GIT_SSL_CAINFO
    GIT_SSL_CERT GIT_SSL_KEY GIT_SSL_NO_VERIFY""".split()  # noqa: SIM905
)
_SET = {
    # A replace ref or a graft makes one commit id mean two trees: an image must not depend on who built it.
    "GIT_NO_REPLACE_OBJECTS": "1",
    # A file that cannot exist: an empty one makes git advise about grafts, on the stderr that errors quote.
    "GIT_GRAFT_FILE": f"{os.devnull}/none",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "LC_ALL": "C",
}


Settings = Sequence[tuple[str, str]]
"""Git settings for one process, by way of its environment: arguments can be read by every user of the machine."""


def environment(settings: Settings = (), source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment that git runs in."""
    kept = {
        name: value
        for name, value in source.items()
        if not name.startswith("GIT_")
        or name in _KEPT
        or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))
    }
    return kept | _SET | _configured(settings, kept)


def _configured(settings: Settings, kept: Mapping[str, str]) -> dict[str, str]:
    count = kept.get("GIT_CONFIG_COUNT", "")
    first = int(count) if settings and count.isdecimal() else 0
    added = {"GIT_CONFIG_COUNT": str(first + len(settings))} if settings else {}
    for number, (name, value) in enumerate(settings, first):
        added |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return added


def start(
    directory: str, arguments: Sequence[str], settings: Settings = (), held: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """A git process with pipes on its three standard streams; it holds the descriptors `held` open (locks)."""
    try:
        return subprocess.Popen(
            ["git", "-C", directory, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(settings),
            bufsize=0,
            pass_fds=held,
        )
    except FileNotFoundError:
        raise InvalidInput("git is not installed", "install git 2.39 or later and put it on PATH") from None
    except (PermissionError, ValueError) as error:
        raise InvalidInput(
            f"git cannot be started: {error}", "look at the git that is first on PATH"
        ) from None


def run(
    directory: str,
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float = 900.0,
    settings: Settings = (),
    held: Sequence[int] = (),
) -> bytes:
    """The standard output of a git command. Raises what `failure` makes of its stderr; `timeout` in seconds."""
    with start(directory, arguments, settings, held) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Unavailable(f"git {arguments[0]} took more than {timeout:.0f} s", "try again") from None
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise failure(directory, stderr, settings)
    return stdout


# The words of curl, ssh and git, in lower case; "error: 5" begins HTTP's 5xx.
_UNREACHABLE = ("could not resolve host", "connection", "connect to", "timed out", "early eof", "hung up",
                "returned error: 5")  # fmt: skip
_REFUSED = ("authentication failed", "could not read username", "permission denied", "returned error: 403")


def failure(directory: str, stderr: bytes, settings: Settings = ()) -> TreeshipError:
    """The error behind what git said on stderr. Servers have a say there, and may repeat what they were sent."""
    for _, value in settings:
        from buildkit.registry.secret import Secret

        stderr = Secret(value.partition(": ")[2]).hidden_in(stderr)
    text = redact(stderr.decode(errors="replace").strip())
    lower = text.lower()
    where = redact(directory)
    if "dubious ownership" in lower:
        return InvalidInput(
            f"git refuses {where}: it belongs to another user",
            f"git config --global --add safe.directory {os.path.abspath(directory)}",
        )
    if "not a git repository" in lower or "cannot change to" in lower:
        return InvalidInput(f"not a git repository: {where}", "give one with --repo, or run inside one")
    if any(sign in lower for sign in _UNREACHABLE):
        return Unavailable(f"git could not reach the remote: {text}", "check the network and try again")
    if any(sign in lower for sign in _REFUSED):
        return AccessDenied(f"git was refused: {text}", "give git credentials that may read that repository")
    if "no space left" in lower:
        return Unavailable(f"git: the disk is full: {text}", "free some space and try again")
    if any(sign in lower for sign in ("find remote ref", "not our ref", "unadvertised object")):
        return NotFound(
            f"the remote has no such commit: {text}", "name one of its branches or tags, or a full id"
        )
    if any(sign in lower for sign in ("does not exist", "not found", "does not appear to be a git")):
        return NotFound(f"git: {text}", "check the repository's address and your access to it")
    return InvalidInput(
        f"git failed: {text or 'without a message'}", "run `git fsck` there if it looks damaged"
    )


def redact(text: str) -> str:
    """Without the credentials that URLs may carry, and without control characters."""
    if "://" in text:
        import re

        text = re.sub(r"(\w[\w+.-]*://)[^\s/]*@", r"\1", text)
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)[:2000]
