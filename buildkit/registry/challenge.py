"""`WWW-Authenticate` (RFC 9110, 11.6.1): several challenges, quoted values and commas in one header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_PART = re.compile(
    rf"[\s,]*(?:({_TOKEN})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]+))|({_TOKEN})(?:\s+|$|(?=,)))"
)


class Challenge(NamedTuple):
    """`scheme` and parameter names are lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse(header: str) -> list[Challenge]:
    """What could be read, in order; rubbish ends it."""
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while match := _PART.match(header, at):
        at = match.end()
        name, quoted, bare, scheme = match.groups()
        if scheme:
            found.append((scheme.lower(), {}))
        elif found:
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            found[-1][1].setdefault(name.lower(), value)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def choose(header: str) -> Challenge | None:
    """Bearer before Basic: the password then goes to one place only."""
    offered = {challenge.scheme: challenge for challenge in reversed(parse(header))}
    return offered.get("bearer") or offered.get("basic")
