"""A Dockerfile as a list of instructions, as Docker's parser takes it apart. Pure, and bears any text.

Continued lines are one, comments and empty lines between them go, `# escape=` counts, and the text of here-documents
is no instruction. https://docs.docker.com/reference/dockerfile/#format, and `frontend/dockerfile/parser` of
moby/buildkit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_BLANK = "\t\v\f\r "
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_WITH_HEREDOCS = ("run", "copy", "add")


class Instruction(NamedTuple):
    """`name` in lower case, and what is behind it; `line` is where it begins, from 1."""

    line: int
    name: str
    rest: str


class Unreadable(NamedTuple):
    """From here on nobody knows what is an instruction."""

    line: int
    text: str


class Dockerfile(NamedTuple):
    """`syntax` is the frontend that the file wants, "" for the engine's own."""

    syntax: str
    instructions: tuple[Instruction | Unreadable, ...]


def parse_dockerfile(text: str) -> Dockerfile:
    """Never raises; what cannot be understood is in its place."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    escape = _directives(lines).get("escape", "\\")
    return Dockerfile(_syntax(lines), tuple(_Reader(lines, escape if escape == "`" else "\\").read()))


def flags_of(rest: str) -> tuple[list[str], str]:
    """The `--flags` in front, without their quotes, and what follows them."""
    flags: list[str] = []
    rest = rest.lstrip(_BLANK)
    while rest.startswith("--"):
        word, rest = _unquoted(rest)
        rest = rest.lstrip(_BLANK)
        if word == "--":
            break
        flags.append(word)
    return flags, rest


def split(text: str) -> tuple[str, str]:
    """An instruction's name, and the rest."""
    name, *rest = re.split(f"[{_BLANK}]+", text.strip(), maxsplit=1)
    return name, rest[0] if rest else ""


class _Reader:
    def __init__(self, lines: list[str], escape: str) -> None:
        self._lines = lines
        self._escape = escape
        self._next = 0

    def read(self) -> Iterator[Instruction | Unreadable]:
        while self._next < len(self._lines):
            begins = self._next + 1
            text = self._logical().strip()
            if not text:
                continue
            name, rest = split(text)
            yield Instruction(begins, name.lower(), rest)
            if not self._skip_heredocs(name.lower(), rest):
                yield Unreadable(begins, text)
                return

    def _logical(self) -> str:
        """The next line with those that continue it."""
        text, goes_on = self._physical()
        parts = [text]
        while goes_on and self._next < len(self._lines):
            if not self._lines[self._next].strip():
                self._next += 1  # Docker warns, and goes on
                continue
            comment = _is_comment(self._lines[self._next])
            text, more = self._physical()
            if not comment:
                parts.append(text)
                goes_on = more
        return "".join(parts)

    def _physical(self) -> tuple[str, bool]:
        line = self._lines[self._next]
        self._next += 1
        if _is_comment(line):
            return "", False
        bare = line.rstrip(" \t")
        if bare.endswith(self._escape) and not bare.endswith(self._escape * 2):
            return bare[:-1], True
        return line, False

    def _skip_heredocs(self, name: str, rest: str) -> bool:
        """False where it is not clear what belongs to them."""
        if name == "onbuild":
            name, rest = split(rest)
        if name.lower() not in _WITH_HEREDOCS or "<<" not in rest:
            return True
        for word in _words(rest):
            match = _HEREDOC.fullmatch(word)
            if match and not self._skip_to(_end_of(match[2]), tabs=bool(match[1])):
                return False
        return True

    def _skip_to(self, end: str, *, tabs: bool) -> bool:
        if not end:
            return False
        while self._next < len(self._lines):
            line = self._lines[self._next]
            self._next += 1
            if (line.lstrip("\t") if tabs else line) == end:
                return True
        return False


def _directives(lines: list[str]) -> dict[str, str]:
    """Those at the top: anything else, an empty line too, ends them."""
    found: dict[str, str] = {}
    for line in lines:
        match = _DIRECTIVE.fullmatch(line)
        if match is None:
            break
        found.setdefault(match[1].lower(), match[2])
    return found


def _syntax(lines: list[str]) -> str:
    """BuildKit looks for it behind a `#!` line too, and in files of other languages (`//`, JSON)."""
    below = lines[1:] if lines[0].startswith("#!") else lines
    if below and below[0].lstrip().startswith(("//", "{")):
        return below[0].strip()
    return _directives(below).get("syntax", "")


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _unquoted(text: str) -> tuple[str, str]:
    """The first word without quotes and backslashes, and what follows."""
    word, quote, at = "", "", 0
    while at < len(text) and (quote or not text[at].isspace()):
        char = text[at]
        if char == "\\":
            at += 1
            word += text[at : at + 1]
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        else:
            word += char
        at += 1
    return word, text[at:]


def _words(text: str) -> Iterator[str]:
    """Split at blanks outside of quotes; the quotes stay, so that a quoted `<<` is none."""
    word, quote, at = "", "", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            char = text[at : at + 2]
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        elif not quote and char.isspace():
            yield word
            word, char = "", ""
        word += char
        at += max(1, len(char))
    yield word


def _end_of(name: str) -> str:
    """The line that ends a here-document; "" where the name is not plain."""
    bare = name[1:-1] if len(name) > 2 and name[0] == name[-1] and name[0] in "\"'" else name
    return bare if _WORD.fullmatch(bare) else ""
