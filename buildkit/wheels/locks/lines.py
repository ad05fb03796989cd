"""The logical lines of a requirements file, with what it includes, as pip joins them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from buildkit.errors import InvalidInput
from buildkit.wheels.locks import checks
from buildkit.wheels.locks.model import LOCK_LIMIT

Reader: TypeAlias = Callable[[str], bytes | None]
"""The bytes of a file of the commit by its path, None where there is none."""
LINE_LIMIT = 256 * 1024
LINES_LIMIT = 100_000
"""Lines of a file, and of all together: each becomes a few objects, and a hash of a real lock has a line."""
FILES_LIMIT = 64
# What `splitlines` splits at, in UTF-8; CR and LF together are one.
_ENDS = [end.encode() for end in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"]
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

    Raises InvalidInput for what is no text or too large, and for too many files.
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
            if len(lines) > LINES_LIMIT:
                raise _too_many(source)
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
    if len(seen) >= FILES_LIMIT:
        raise InvalidInput(f"{line.place}: more than {FILES_LIMIT} files are included", "put them into fewer")
    data = read(path)
    if data is None:
        return None, line._replace(fault=f"includes {path}, which the commit does not have")
    seen.add(path)
    return _lines(data, path, constraint=line.constraint or found[1] in ("-c", "--constraint")), None


def _lines(data: bytes, source: str, *, constraint: bool) -> Iterator[Line]:
    if len(data) > LOCK_LIMIT:
        raise InvalidInput(f"{source} is larger than {LOCK_LIMIT} bytes", "is this the right file?")
    if sum(map(data.count, _ENDS)) - data.count(b"\r\n") > LINES_LIMIT:
        raise _too_many(source)
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


def _too_many(source: str) -> InvalidInput:
    return InvalidInput(f"{source} has more than {LINES_LIMIT} lines", "is this the right file?")


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
