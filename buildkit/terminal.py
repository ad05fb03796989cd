"""What people see: data on stdout, talk on stderr, colours and bars on a terminal only."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from buildkit import human
from buildkit.endpoints import Progress, Silent
from buildkit.errors import TreeshipError, Unavailable

_COLOURS = {"error": "31", "hint": "36", "note": "33", "dim": "2", "good": "32"}
# Below this, a transfer is over before anybody has read that it began.
_WORTH_SAYING = 16 << 20


class Console:
    """The two streams of a run. `--json` is the business of the verbs."""

    def __init__(
        self, out: TextIO | None = None, err: TextIO | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.environ = environ
        self._said: set[str] = set()

    def note(self, text: str) -> None:
        """Something a person should know, once."""
        if text not in self._said:
            self._said.add(text)
            self._talk("note", text)

    def error(self, error: TreeshipError) -> None:
        """What happened, what to do, where to read more."""
        self._talk("error", error.what)
        if error.remedy:
            self._talk("hint", error.remedy)
        self.err.write(f"  see {error.docs} of treeship\n")

    def print(self, text: str) -> None:
        """Data."""
        self._put(_harmless(text))

    def json(self, value: Mapping[str, Any]) -> None:
        """One object, one line."""
        import json

        self._put(json.dumps(value, ensure_ascii=True))

    def table(self, rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> None:
        """Columns as wide as they need to be; the first row is the heading, `right` are the columns of numbers."""
        rows = [[_harmless(cell) for cell in row] for row in rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for number, row in enumerate(rows):
            cells = [
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            line = "  ".join(cells).rstrip()
            self._put(self.paint("dim", line, self.out) if not number else line)

    def paint(self, style: str, text: str, stream: TextIO) -> str:
        """With colour where the stream is a terminal and nobody objects (no-color.org)."""
        plain = not stream.isatty() or self.environ.get("NO_COLOR") or self.environ.get("TERM") == "dumb"
        return text if plain else f"\033[{_COLOURS[style]}m{text}\033[0m"

    def progress(self) -> Progress:
        """Bars on a terminal, a line for each large transfer elsewhere."""
        if not self.err.isatty():
            return Lines(self.err)
        from buildkit.bars import Bars

        return Bars(self.err)

    def _talk(self, kind: str, text: str) -> None:
        self.err.write(f"{self.paint(kind, kind + ':', self.err)} {_harmless(text)}\n")
        self.err.flush()

    def _put(self, line: str) -> None:
        try:
            self.out.write(line + "\n")
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Unavailable(
                f"cannot write to standard output: {error.strerror}", "free some space there"
            ) from None


def _harmless(text: str) -> str:
    """Without what a terminal would obey: labels, paths and answers may be anybody's."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


class Lines(Silent):
    """Progress for a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def start(self, label: str, total: int) -> None:
        """Say what begins, if it is large."""
        if total >= _WORTH_SAYING:
            self._stream.write(f"{label}, {human.size(total)}\n")
