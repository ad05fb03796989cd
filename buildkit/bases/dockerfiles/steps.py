"""What a Docker Engine says while it builds, as values; and what it means when a step fails."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from buildkit.errors import InvalidInput, TreeshipError, Unavailable
from buildkit.registry.errors import clean

_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_TAIL, _WIDTH = 20, 300
# What a terminal would obey; progress bars of apt and pip come with carriage returns.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Such failures may be gone the next time; a wrong Dockerfile is not.
_PASSING = re.compile(
    r"no such host|i/o timeout|timeout|connection (?:refused|reset)|Temporary failure|TLS handshake"
    r"|no space left|server misbehaving|Failed to fetch|too many requests|toomanyrequests|network is unreachable",
    re.IGNORECASE,
)


class Said(NamedTuple):
    """A step that begins (`number` of `total`), or, with number 0, a line that the running step prints."""

    text: str
    number: int = 0
    total: int = 0


def read_steps(items: Iterable[dict[str, Any]], base: str) -> Iterator[Said]:
    """The steps and lines of a build. Raises InvalidInput, or Unavailable where trying again may help, with the end
    of what the failing step has printed."""
    step, tail = Said(""), deque[str](maxlen=_TAIL)
    for item in items:
        for line in _lines(item):
            if found := _STEP.fullmatch(line):
                step, tail = Said(found[3], int(found[1]), int(found[2])), deque[str](maxlen=_TAIL)
                yield step
            else:
                tail.append(line)
                yield Said(line)
        if "error" in item or "message" in item:
            raise _failure(base, step, str(item.get("error") or item.get("message")), tail)


def _lines(item: dict[str, Any]) -> Iterator[str]:
    stream = item.get("stream")
    for line in re.split(r"[\r\n]+", stream) if isinstance(stream, str) else ():
        if text := clean(_ESCAPES.sub("", line), _WIDTH):
            yield text


def _failure(base: str, step: Said, error: str, tail: Iterable[str]) -> TreeshipError:
    lines = [line for line in tail if not line.startswith("--->")]
    where = f", step {step.number} of {step.total}, {clean(step.text)}" if step.number else ""
    what = "\n  ".join([f"building {base}{where}: {clean(error, 2000)}", *lines])
    if _PASSING.search(f"{error} {' '.join(lines[-5:])}"):
        return Unavailable(what, "this looks like a network or a disk: look at it, and run it again")
    return InvalidInput(what, "correct the Dockerfile, or its build arguments")
