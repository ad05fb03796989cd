"""What a Dockerfile takes from elsewhere without saying which bytes it means: images by tag, and URLs. Pure.

A base's key covers its parent by digest and the files of its folder. `FROM other:latest`, `COPY --from=other:latest`,
`ADD https://…` and a `# syntax=` frontend may be something else tomorrow, under the same key.
https://docs.docker.com/reference/dockerfile/ is the source; `instructions.py` reads the lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from buildkit.bases.dockerfiles.arguments import PARENT
from buildkit.bases.dockerfiles.instructions import Instruction, Unreadable, flags_of, parse_dockerfile, split

_PINNED = re.compile(r"[^\s$\"'\\@]+@sha256:[0-9a-f]{64}")
_CHECKSUM = re.compile(r"--checksum=sha256:[0-9a-f]{64}")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_ARGUMENT = re.compile(r"(\w+)(?:=(?:\"([^\"\\]*)\"|'([^'\\$]*)'|([^\"'\\]*)))?")
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")
_LONGEST, _LARGEST = 1000, 1 << 20
_SHOWN = 100


class Unpinned(NamedTuple):
    """One of these, with the number of its line."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text[:_SHOWN]}"


class _Scope:
    """What has been declared above an instruction: stages, and arguments that FROM may name."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._values: dict[str, str] = {}
        self._stages: list[str] = []
        self._lost = False

    def declare(self, rest: str) -> None:
        """ARG: only those before the first FROM count for a FROM."""
        if self._stages or self._lost:
            return
        for word in rest.split():
            match = _ARGUMENT.fullmatch(word)
            if match is None:  # whatever it says, no FROM is known by these arguments any more
                self._values, self._lost = {}, True
                return
            name = match[1]
            default = next((text for text in match.groups()[1:] if text is not None), None)
            value = self._given.get(name, default)
            if name != PARENT and value is not None:
                self._values[name] = self.resolve(value)[:_LONGEST]

    def resolve(self, text: str) -> str:
        """With the values of arguments; PARENT's is not known here, and stays its name."""
        text = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
        return _VARIABLE.sub(
            lambda found: self._values.get(found[1] or found[2], f"${{{found[1] or found[2]}}}"),
            text[:_LONGEST],  # arguments of arguments could grow without end
        )

    def begin(self, stage: str) -> None:
        """FROM, with or without a name."""
        self._stages.append(stage.lower())

    def has(self, name: str, *, by_number: bool = False) -> bool:
        """Whether an image is the parent, nothing, pinned, or a stage further up."""
        above = self._stages[:-1] if by_number else self._stages
        numbered = by_number and re.fullmatch("[0-9]{1,4}", name) and int(name) < len(above)
        return bool(
            name in (f"${{{PARENT}}}", "scratch")
            or _PINNED.fullmatch(name)
            or name.lower() in filter(None, above)
            or numbered
        )


def unpinned(data: bytes, arguments: Mapping[str, str]) -> list[Unpinned]:
    """Of a Dockerfile, with these build arguments besides PARENT; in the order of the file. Never raises."""
    if len(data) > _LARGEST:
        return [Unpinned(1, "more than 1 MiB, which nobody reads")]
    dockerfile = parse_dockerfile(data.removeprefix(b"\xef\xbb\xbf").decode(errors="replace"))
    found = []
    if dockerfile.syntax and not _PINNED.fullmatch(dockerfile.syntax):
        found.append(Unpinned(1, f"# syntax={dockerfile.syntax}"))
    scope = _Scope(arguments)
    for each in dockerfile.instructions:
        if isinstance(each, Unreadable):
            found.append(Unpinned(each.line, f"{each.text} (not understood here)"))
        else:
            found += [Unpinned(each.line, text) for text in _of(each, scope)]
    return found


def _of(instruction: Instruction, scope: _Scope) -> Iterator[str]:
    name, (flags, rest) = instruction.name, flags_of(instruction.rest)
    if name == "arg":
        scope.declare(instruction.rest)
    elif name == "from":
        yield from _from(rest, scope)
    elif name == "onbuild":
        inner, more = split(rest)
        if inner.lower() not in ("add", "copy", "run"):
            return
        yield from (
            f"ONBUILD {text}" for text in _of(Instruction(instruction.line, inner.lower(), more), scope)
        )
    elif name in ("copy", "run", "add"):
        for image in _images(flags):
            if not scope.has(_spelled(image), by_number=True):
                yield f"{name.upper()} from {image}"
        if name == "add" and not any(_CHECKSUM.fullmatch(flag) for flag in flags):
            yield from (f"ADD {source}" for source in _sources(rest) if _is_remote(source))


def _from(rest: str, scope: _Scope) -> Iterator[str]:
    words = rest.split()
    if not words or not scope.has(scope.resolve(words[0])):
        yield f"FROM {' '.join(words[:1])}"
    scope.begin(words[2] if len(words) == 3 and words[1].lower() == "as" else "")


def _spelled(image: str) -> str:
    """Of `--from=`, which knows no arguments; PARENT in one spelling, for those who try."""
    return f"${{{PARENT}}}" if image == f"${PARENT}" else image


def _images(flags: list[str]) -> Iterator[str]:
    """`--from=IMAGE` of COPY, and `--mount=…,from=IMAGE` of RUN."""
    for flag in flags:
        name, _, value = flag.partition("=")
        if name.lower() == "--from":
            yield value
        elif name.lower() == "--mount":
            fields = (field.strip("\"' ").partition("=") for field in value.split(","))
            yield from (image for key, _, image in fields if key.lower() == "from")


def _sources(rest: str) -> list[str]:
    """All but the last word, which is where they go."""
    try:
        listed = json.loads(rest) if rest.startswith("[") else None
    except (ValueError, RecursionError):
        listed = None
    words = [str(word) for word in listed] if isinstance(listed, list) else rest.split()
    return words[:-1]


def _is_remote(source: str) -> bool:
    """By how it begins; where a variable comes before that can be seen, it may be."""
    head, dollar, _ = re.sub(r"[\"'\\`]", "", source).lower().partition("$")
    return head.startswith(_REMOTE) or (bool(dollar) and any(each.startswith(head) for each in _REMOTE))
