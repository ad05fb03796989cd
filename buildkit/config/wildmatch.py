"""Git's patterns as regular expressions over bytes (git's wildmatch.c; match_pathname and others in dir.c).

Own code and not a library, for three reasons. What a pattern means decides the bytes of an image, so it may
not change with the release of a dependency. Git matches bytes: `?` is not one `é`. And patterns come from
commits that may be hostile: `*a*a*a*a*b` must not take time that grows with a power of the name's length.
Hence the atomic groups: where another star follows, the first place that fits is as good as any.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

NEVER = rb"(?!)"
_SPECIAL = re.compile(rb"[*?\[\\]")
_NAMED = {
    b"alnum": string.ascii_letters + string.digits,
    b"alpha": string.ascii_letters,
    b"blank": " \t",
    b"cntrl": "".join(map(chr, (*range(32), 127))),
    b"digit": string.digits,
    b"graph": "".join(map(chr, range(33, 127))),
    b"lower": string.ascii_lowercase,
    b"print": "".join(map(chr, range(32, 127))),
    b"punct": string.punctuation,
    b"space": " \t\r\n",
    b"upper": string.ascii_uppercase,
    b"xdigit": string.hexdigits,
}


class Pattern(NamedTuple):
    """One pattern: whether it is about directories only and about the last part of a path only.

    What it is about equals `literal`, or else is matched, all of it, by `regex`.
    """

    only_directories: bool
    only_name: bool
    literal: bytes = b""
    regex: bytes = b""


class Matcher:
    """Any of many patterns, at the cost of two look-ups and two regex calls a path."""

    __slots__ = ("_name", "_names", "_path", "_paths")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        every = list(patterns)
        self._names, self._name = _joined([pattern for pattern in every if pattern.only_name])
        self._paths, self._path = _joined([pattern for pattern in every if not pattern.only_name])

    def __call__(self, path: bytes, name: bytes) -> bool:
        """Whether one matches `path`, whose last part is `name`."""
        return (
            name in self._names
            or path in self._paths
            or (self._name is not None and self._name(name) is not None)
            or (self._path is not None and self._path(path) is not None)
        )


def _joined(
    patterns: Sequence[Pattern],
) -> tuple[frozenset[bytes], Callable[[bytes], re.Match[bytes] | None] | None]:
    literals = frozenset(pattern.literal for pattern in patterns if not pattern.regex)
    regexes = [pattern.regex for pattern in patterns if pattern.regex]
    return literals, re.compile(b"|".join(regexes), re.DOTALL).fullmatch if regexes else None


def parse_pattern(text: bytes) -> Pattern:
    """A gitignore or gitattributes pattern, without what the two formats put around it."""
    only_directories = text.endswith(b"/")
    text = text.removesuffix(b"/")
    if b"/" not in text:
        regex = _name_regex(text) if _SPECIAL.search(text) else b""
        return Pattern(only_directories, True, text, regex)
    text = text.removeprefix(b"/")
    # Git compares what is before the first wildcard apart: in `a/b**` the stars are at the start of the rest.
    literal, rest = _split_literal(text)
    regex = re.escape(literal) + _regex(rest, slashes=True) if rest else b""
    return Pattern(only_directories, False, text, regex)


def _name_regex(text: bytes) -> bytes:
    if text.startswith(b"*") and not _SPECIAL.search(text, 1):
        return b".*" + re.escape(text[1:])
    return _regex(text, slashes=False)


def _split_literal(text: bytes) -> tuple[bytes, bytes]:
    found = _SPECIAL.search(text)
    return (text[: found.start()], text[found.start() :]) if found else (text, b"")


class _Star(NamedTuple):
    """Any bytes; `deep` ones go over slashes too, `whole` ones are `**/` and may be nothing at all."""

    deep: bool
    whole: bool = False


def _regex(text: bytes, *, slashes: bool) -> bytes:
    """`slashes` says that a slash is special: only `**` goes over it (WM_PATHNAME)."""
    try:
        tokens = list(_tokens(text, slashes))
    except ValueError:
        return NEVER
    deep = [i for i, token in enumerate(tokens) if isinstance(token, _Star) and token.deep]
    pieces = [tokens[start:end] for start, end in zip([0, *deep], [*deep, len(tokens)], strict=True)]
    last = len(pieces) - 1
    return b"".join(_piece(piece, followed=i < last) for i, piece in enumerate(pieces))


def _piece(tokens: list[_Star | bytes], *, followed: bool) -> bytes:
    """What one deep star (or none) and all up to the next one match; `followed` by such a next one."""
    start = b""
    if tokens and isinstance(tokens[0], _Star) and tokens[0].deep:
        start = b"(?:.*?/)??" if tokens[0].whole else b".*?"
        tokens = tokens[1:]
    stars = [i for i, token in enumerate(tokens) if isinstance(token, _Star)]
    bounds = zip([0, *stars], [*stars, len(tokens)], strict=True)
    parts = [b"".join(t if isinstance(t, bytes) else b"[^/]*?" for t in tokens[a:b]) for a, b in bounds]
    # The last one may have to fit the end of the name; those before it are followed by a star.
    settled = parts if followed else parts[:-1]
    body = b"".join(b"(?>" + part + b")" for part in settled if part) + b"".join(parts[len(settled) :])
    return b"(?>" + start + body + b")" if followed and start else start + body


def _tokens(text: bytes, slashes: bool) -> Iterator[_Star | bytes]:
    """Stars, and regexes of exactly one byte. ValueError for a malformed pattern, which matches nothing."""
    at = 0
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b"*":
            star, at = _star(text, at, slashes)
            yield star
        elif byte == b"[":
            regex, at = _bracket(text, at + 1)
            yield b"(?!/)" + regex if slashes else regex
        elif byte == b"?":
            at += 1
            yield b"[^/]" if slashes else b"."
        else:
            at += byte == b"\\"
            if at == len(text):
                raise ValueError("a backslash before nothing")
            yield re.escape(text[at : at + 1])
            at += 1


def _star(text: bytes, at: int, slashes: bool) -> tuple[_Star, int]:
    end = at
    while text[end : end + 1] == b"*":
        end += 1
    if not slashes:
        return _Star(deep=True), end
    starts = at == 0 or text[at - 1 : at] == b"/"
    if (
        end - at > 1
        and starts
        and (end == len(text) or text[end : end + 1] == b"/" or text[end:].startswith(b"\\/"))
    ):
        whole = text[end : end + 1] == b"/"
        return _Star(deep=True, whole=whole), end + whole
    return _Star(deep=False), end


def _bracket(text: bytes, at: int) -> tuple[bytes, int]:
    """The set that begins behind `[`, as a regex, and where it ends."""
    negated = text[at : at + 1] in (b"!", b"^") and at < len(text)
    at += negated
    allowed: set[int] = set()
    before, first = 0, True
    while first or text[at : at + 1] != b"]":
        first = False
        before, at = _member(text, at, before, allowed)
    return _set(set(range(256)) - allowed if negated else allowed), at + 1


def _member(text: bytes, at: int, before: int, allowed: set[int]) -> tuple[int, int]:
    """Adds one member of a set; `before` is the byte that a range may start from, 0 for none."""
    byte = _at(text, at)
    if byte == ord("-") and before and at + 1 < len(text) and text[at + 1] != ord("]"):
        end, at = _literal(text, at + 1)
        allowed.update(range(before, end + 1))
        return 0, at
    if text.startswith(b"[:", at):
        close = text.find(b"]", at + 2)
        if close < 0:
            raise ValueError("a class that does not end")
        if close - at - 3 >= 0 and text[close - 1] == ord(":"):
            allowed.update(_named(text[at + 2 : close - 1]))
            return 0, close + 1
    byte, at = _literal(text, at)
    allowed.add(byte)
    return byte, at


def _literal(text: bytes, at: int) -> tuple[int, int]:
    at += _at(text, at) == ord("\\")
    return _at(text, at), at + 1


def _at(text: bytes, at: int) -> int:
    if at >= len(text):
        raise ValueError("a set that does not end")
    return text[at]


def _named(name: bytes) -> bytes:
    if name not in _NAMED:
        raise ValueError("no such class")
    return _NAMED[name].encode()


def _set(allowed: set[int]) -> bytes:
    return b"[" + b"".join(rb"\x%02x" % byte for byte in sorted(allowed)) + b"]" if allowed else NEVER
