"""The logical lines of a requirements file, with what it includes, as pip joins them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from buildkit.errors import InvalidInput
from buildkit.wheels.locks import checks

Reader: TypeAlias = Callable[[str], bytes | None]
"""The bytes of a file of the commit by its path, None where there is none."""
FILE_LIMIT = 16 * 1024 * 1024
LINE_LIMIT = 256 * 1024
FILES_LIMIT = 64
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_INCLUDE = re.compile(r"(-r|-c|--requirement|--constraint)(?:=|\s+|(?<=-[rc]))(\S+)")


class Line(NamedTuple):
    """A logical line without comments; `place` is file and number.

    `constraint` is for lines of a file that only narrows down. `fault` says why an include could not be followed.
    """

    text: str
    place: str
    constraint: bool = False
    fault: str = ""


class _Include(NamedTuple):
    path: str
    constraint: bool


def read_lines(data: bytes, source: str, read: Reader | None) -> list[Line]:
    """All lines of the file at `source`, with those of included files in their places.

    Raises InvalidInput for what is no text or too large.
    """
    lines: list[Line] = []
    seen = {source}
    # A stack of open files instead of recursion: the commit decides how deep they are nested.
    stack = [_lines(data, source, constraint=False)]
    while stack:
        line = next(stack[-1], None)
        if line is None:
            stack.pop()
        elif not (found := _INCLUDE.fullmatch(line.text)):
            lines.append(line)
        else:
            include, opened = _open(line, found, seen, read)
            lines.extend([opened] if opened else [])
            stack.extend([include] if include else [])
    return lines


def _open(
    line: Line, found: re.Match[str], seen: set[str], read: Reader | None
) -> tuple[Iterator[Line] | None, Line | None]:
    """(the lines of an included file, None), or (None, the line with its fault)."""
    folder = line.place.rpartition(":")[0].rpartition("/")[0]
    if read is None:
        return None, line._replace(fault="includes another file")
    try:
        path = checks.check_path(found[2], line.place, folder)
    except InvalidInput:
        return None, line._replace(fault="includes a file that is not of this commit")
    if path in seen:
        return None, None
    data = read(path) if len(seen) < FILES_LIMIT else None
    if data is None:
        return None, line._replace(fault=f"includes {path}, which the commit does not have")
    seen.add(path)
    return _lines(data, path, constraint=line.constraint or found[1] in ("-c", "--constraint")), None


def _lines(data: bytes, source: str, *, constraint: bool) -> Iterator[Line]:
    if len(data) > FILE_LIMIT:
        raise InvalidInput(f"{source} is larger than {FILE_LIMIT} bytes", "is this the right file?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{source}: not UTF-8", "save the file as UTF-8") from None
    for number, joined in _joined(text):
        plain = _COMMENT.sub("", joined).strip() if "#" in joined else joined.strip()
        if len(plain) > LINE_LIMIT:
            raise InvalidInput(
                f"{source}:{number}: a line of {len(plain)} characters", "is this the right file?"
            )
        if plain:
            yield Line(plain, f"{source}:{number}", constraint)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        comment = line.lstrip().startswith("#")
        first = first if parts else number
        if line.endswith("\\") and not comment:
            parts.append(line.rstrip("\\"))
            continue
        # A comment ends what was continued, and needs a blank in front to be seen as one.
        yield first, "".join([*parts, f" {line}" if comment else line])
        parts = []
    if parts:
        yield first, "".join(parts)
