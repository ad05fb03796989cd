"""Build arguments: which may be given, and which are secrets. They stay in the image's history for all to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from buildkit.errors import InvalidInput

PARENT = "PARENT"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LONGEST = 2000
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:passw(?:or)?d|passphrase|pwd|secrets?|tokens?|credentials?|auth|netrc|pat|private_?key"
    r"|api_?key|access_?key|ssh_?key|signing_?key)(?:_|$|\d)|password|apikey",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]*@", re.IGNORECASE)
_SIGNED_URL = re.compile(r"://\S*[?&](?:[\w-]*(?:signature|token|credential|secret|password)|sig|key)=", re.I)
# What tokens of the field begin with: GitHub, GitLab, PyPI, Hugging Face, AWS, Slack, npm, OpenAI; PEM keys; JWT.
_TOKEN = re.compile(
    r"gh[pousr]_\w{20}|github_pat_\w{20}|glpat-[\w-]{16}|pypi-\w{20}|hf_\w{20}|\b(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|xox[abprs]-\w{8}|npm_\w{20}|\bsk-[\w-]{20}|-----BEGIN |\beyJ[\w-]{10,}\.[\w-]{10,}\."
)
_REMEDY = (
    "build arguments stay readable in the image: take an index or mirror that needs no login from where this is "
    "built, or put what needs one into the parent image"
)


def check_argument(name: str, value: str) -> str:
    """The value itself. Raises InvalidInput for wrong names and for credentials, whose text is never repeated."""
    if not _NAME.fullmatch(name) or name == PARENT:
        raise InvalidInput(
            f"not a build argument: {name[:100]!r}", "letters, digits and '_'; PARENT is given with --parent"
        )
    if _SECRET_NAME.search(name) and value:
        raise InvalidInput(f"build argument {name} looks like a credential", _REMEDY)
    if _USERINFO.search(value) or _SIGNED_URL.search(value) or _TOKEN.search(value):
        raise InvalidInput(f"the value of build argument {name} holds a credential", _REMEDY)
    if len(value) > _LONGEST or (value and not value.isprintable()):
        raise InvalidInput(
            f"the value of build argument {name} is no short line of text", "put it into a file of the folder"
        )
    return value


def parse_given(texts: Sequence[str]) -> dict[str, str]:
    """`--build-arg NAME=VALUE`; a name alone, as docker takes it, is refused: the environment is no input here."""
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            # The whole text may be a value that lost its name, so it is not repeated.
            raise InvalidInput("--build-arg without '='", "write it like --build-arg NAME=VALUE")
        if name in given:
            raise InvalidInput(f"build argument {name[:100]!r} is given twice", "give it once")
        given[name] = check_argument(name, value)
    return given


def refuse_unknown(given: Iterable[str], declared: Iterable[Mapping[str, str]]) -> None:
    """InvalidInput for an argument that none of the bases declares: a spelling mistake would build the default."""
    known = {name for table in declared for name in table}
    for name in given:
        if name not in known:
            raise InvalidInput(
                f"none of these bases takes the build argument {name}",
                f"they take {', '.join(sorted(known)) or 'none'}: see `arguments` in bases.toml",
            )


def chosen(declared: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The arguments of one base: its own defaults, with what was given in their place."""
    return {name: given.get(name, value) for name, value in declared.items()}
