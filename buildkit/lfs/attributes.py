"""Which paths a tree's `.gitattributes` give to LFS (`filter=lfs`): gitattributes(5), git's attr.c. Pure.

Only files of the tree count: the attributes of the machine (`info/attributes`, `core.attributesFile`) would
make an image depend on who built it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from buildkit.config.wildmatch import Matcher, Pattern, parse_pattern
from buildkit.errors import InvalidInput

_FILTER = b"filter"
_MACRO = b"[attr]"
_BLANK = b" \t\r\n"
# As git does: a longer line is no line.
_LONGEST_LINE = 2048
# Compiling wildcards takes a second for 64 KiB, and a commit may be hostile.
_WILDCARDS_LIMIT = 256 * 1024
_GROUPS_LIMIT = 2000
_NAME = re.compile(rb"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\(?:[abfnrtv"\\]|[0-3][0-7][0-7]))*)"', re.DOTALL)
_ESCAPE = re.compile(rb'\\([abfnrtv"\\]|[0-3][0-7][0-7])')
_ESCAPES = dict(zip(b'abfnrtv"\\', b'\a\b\f\n\r\t\v"\\', strict=True))

State = bool | bytes | None
"""True: set. False: unset (`-name`). None: unspecified (`!name`), which is an answer too. Bytes: a value."""

Effect = tuple[tuple[bytes, State], ...]


class _Line(NamedTuple):
    """What one line says, about the paths of a pattern or, where it defines a macro, about `macro`."""

    pattern: Pattern | None
    macro: bytes
    effect: Effect


class _Group(NamedTuple):
    """Neighbouring lines with one effect."""

    matches: Matcher
    effect: Effect


class LfsAttributes:
    """The attributes of a tree. `files` has each `.gitattributes` by its directory (b"" is the root).

    Git does not follow one that is a symbolic link, so it may not be among them. Raises InvalidInput for files
    that would take too long to apply.
    """

    def __init__(self, files: Mapping[bytes, bytes]) -> None:
        lines = {directory: list(_lines(content, directory)) for directory, content in files.items()}
        # The last definition of a macro counts.
        self._macros = {line.macro: line.effect for line in lines.get(b"", ()) if line.macro}
        wanted = _reaching_filter(self._macros)
        groups = {directory: list(_groups(found, wanted)) for directory, found in lines.items()}
        self._groups = {directory: tuple(reversed(found)) for directory, found in groups.items() if found}
        if sum(map(len, groups.values())) > _GROUPS_LIMIT:
            raise InvalidInput(
                f".gitattributes change the filter more than {_GROUPS_LIMIT} times",
                "sort their lines, so that those with equal attributes are neighbours",
            )

    def tracked(self, path: bytes) -> bool:
        """Whether `filter=lfs` holds for the file at `path`."""
        states: dict[bytes, State] = {}
        above, _, name = path.rpartition(b"/")
        # The deepest file first: what is said first stays.
        while True:
            for group in self._groups.get(above, ()):
                if group.matches(path[len(above) + 1 :] if above else path, name):
                    self._apply(group.effect, states)
            if _FILTER in states or not above:
                return states.get(_FILTER) == b"lfs"
            above = above.rpartition(b"/")[0]

    def _apply(self, effect: Effect, states: dict[bytes, State]) -> None:
        """From right to left; a macro that becomes set stands for its own effect, right there."""
        pending = list(effect)
        while pending:
            name, state = pending.pop()
            if name not in states:
                states[name] = state
                if state is True:
                    pending += self._macros.get(name, ())


def _reaching_filter(macros: Mapping[bytes, Effect]) -> frozenset[bytes]:
    """The attributes that decide on the filter: itself, and macros that mention one of these."""
    mentioned_by: dict[bytes, list[bytes]] = {}
    for macro, effect in macros.items():
        for name, _ in effect:
            mentioned_by.setdefault(name, []).append(macro)
    found, pending = {_FILTER}, [_FILTER]
    while pending:
        grown = set(mentioned_by.get(pending.pop(), ())) - found
        found |= grown
        pending += grown
    return frozenset(found)


def _groups(lines: Iterable[_Line], wanted: frozenset[bytes]) -> Iterator[_Group]:
    for effect, neighbours in groupby(_relevant(lines, wanted), key=itemgetter(0)):
        yield _Group(Matcher(pattern for _, pattern in neighbours), effect)


def _relevant(lines: Iterable[_Line], wanted: frozenset[bytes]) -> Iterator[tuple[Effect, Pattern]]:
    for line in lines:
        effect = tuple(pair for pair in line.effect if pair[0] in wanted)
        if effect and line.pattern and not line.pattern.only_directories:
            yield effect, line.pattern


def _lines(content: bytes, directory: bytes) -> Iterator[_Line]:
    """The lines of one file that say something. Only the root's may define macros."""
    wildcards = 0
    # To git the content is a C string.
    for text in content.removeprefix(b"\xef\xbb\xbf").partition(b"\0")[0].split(b"\n"):
        line = _parse(text) if len(text) < _LONGEST_LINE else None
        if line is None or (line.macro and directory):
            continue
        wildcards += len(line.pattern.regex) if line.pattern else 0
        if wildcards > _WILDCARDS_LIMIT:
            where = directory.decode(errors="backslashreplace") + "/" if directory else ""
            raise InvalidInput(
                f"{where}.gitattributes has too many wildcards", "name files by fewer patterns"
            )
        yield line


def _parse(text: bytes) -> _Line | None:
    text = text.lstrip(_BLANK)
    if not text or text.startswith(b"#"):
        return None
    name, rest = _name(text)
    macro = b""
    if name.startswith(_MACRO) and len(name) > len(_MACRO):
        name = macro = name.removeprefix(_MACRO)
    effect = _effect(rest)
    if effect is None or (macro and not _NAME.fullmatch(macro)) or (not macro and name.startswith(b"!")):
        return None
    return _Line(None if macro else parse_pattern(name), macro, effect)


def _name(text: bytes) -> tuple[bytes, bytes]:
    """The pattern, which may be quoted as in C, and what is behind it."""
    quoted = _QUOTED.match(text)
    if quoted:
        return _ESCAPE.sub(_unescape, quoted[1]), text[quoted.end() :]
    name = re.split(rb"[ \t\r\n]", text, maxsplit=1)[0]
    return name, text[len(name) :]


def _unescape(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    return bytes([int(code, 8) if len(code) == 3 else _ESCAPES[code[0]]])


def _effect(text: bytes) -> Effect | None:
    """The attributes of a line, None where one has no proper name: git drops the whole line then."""
    effect = []
    for word in re.split(rb"[ \t\r\n]+", text.strip(_BLANK)):
        sign = word[:1] if word[:1] in (b"-", b"!") and word else b""
        name, equals, value = word.removeprefix(sign).partition(b"=")
        if word and not _NAME.fullmatch(name):
            return None
        if word:
            state: State = {b"-": False, b"!": None}[sign] if sign else value if equals else True
            effect.append((name, state))
    return tuple(effect)
