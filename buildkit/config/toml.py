"""TOML from people who may be hostile: size, depth and time are bounded, and faults have a line.

tomllib is imported here and only when there is something to read (it costs 20 ms).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildkit.errors import InvalidInput

FILE_LIMIT = 1024 * 1024
TREESHIP_TOML = "treeship.toml"
PYPROJECT = "pyproject.toml"
# tomllib's time grows with the square of the parts of a dotted key: a file of one key would take minutes.
_KEY_PART = rb"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*"""
_LONG_KEY = rb"(?<![A-Za-z0-9_-])(?:" + _KEY_PART + rb"\.[ \t]*){64}"
_LINE = r" \(at line (\d+), column \d+\)$"
_END = " (at end of document)"


class Place(NamedTuple):
    """A file and, where it is not one of the machine's own, what it was read from."""

    file: str
    origin: str = ""

    def line(self, number: int) -> str:
        """One line of it."""
        return str(self._replace(file=f"{self.file}:{number}"))

    def __str__(self) -> str:
        return f"{self.file} at {self.origin}" if self.origin else self.file


class Document(NamedTuple):
    """The settings found in one place, as they were written; `origin` names the place."""

    origin: str
    values: Mapping[str, Any]


def find_settings(files: Mapping[str, bytes], origin: str) -> Document:
    """The settings in `treeship.toml` or in `[tool.treeship]` of `pyproject.toml`, as far as they are there.

    Raises InvalidInput where both have some: which of them is meant would be a guess.
    """
    own, shared = Place(TREESHIP_TOML, origin), Place(PYPROJECT, origin)
    values = load(files[TREESHIP_TOML], own) if TREESHIP_TOML in files else {}
    table = _tool_table(files.get(PYPROJECT, b""), shared)
    if values and table:
        raise InvalidInput(
            f"both {own.file} and [tool.treeship] in {shared} have settings",
            f"move all of them to {own.file}",
        )
    return Document(f"{shared} [tool.treeship]", table) if table else Document(str(own), values)


def load(data: bytes, place: Place, limit: int = FILE_LIMIT) -> dict[str, Any]:
    """Parse one file, of `limit` bytes at most. InvalidInput for what is no TOML, too large or nested too deep."""
    if len(data) > limit:
        raise InvalidInput(f"{place} is larger than {limit} bytes", "is this the right file?")
    long_key = re.search(_LONG_KEY, data)
    if long_key:
        where = place.line(_line_at(data, long_key.start()))
        raise InvalidInput(f"{where}: a key of more than 64 parts", "nothing needs that depth")
    try:
        return _parse(data.decode(), place)
    except UnicodeDecodeError as error:
        where = place.line(_line_at(data, error.start))
        raise InvalidInput(f"{where}: not UTF-8", "save the file as UTF-8") from None


def _parse(text: str, place: Place) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InvalidInput(f"{place} is nested too deep", "nothing needs that depth") from None
    except tomllib.TOMLDecodeError as error:
        fault, where = str(error), str(place)
        if found := re.search(_LINE, fault):
            fault, where = fault[: found.start()], place.line(int(found[1]))
        elif fault.endswith(_END):
            fault, where = fault.removesuffix(_END), place.line(text.count("\n") + 1)
        raise InvalidInput(f"{where}: not TOML: {fault[:200]}", "correct the file") from None
    except ValueError:
        # int() refuses numbers of thousands of digits with an error of its own.
        raise InvalidInput(f"{place} has a number that is out of range", "correct the file") from None


def _tool_table(data: bytes, place: Place) -> dict[str, Any]:
    # Most projects' pyproject.toml says nothing about treeship, and need not even be valid.
    if b"treeship" not in data:
        return {}
    tool = load(data, place).get("tool", {})
    table = tool.get("treeship", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise InvalidInput(f"{place}: tool.treeship: expected a table", "write [tool.treeship]")
    return table


def _line_at(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
