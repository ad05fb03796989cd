"""How far it has come: on a terminal, and nowhere else."""

from __future__ import annotations

import io

from buildkit.commands.expire_report import Counter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _count(stream: io.StringIO) -> str:
    counter = Counter(stream)
    counter.start("reading tags", 2000)
    for _ in range(2000):
        counter.advance("reading tags", 1)
    counter.finish("reading tags")
    return stream.getvalue()


def test_a_terminal_shows_one_line_that_goes() -> None:
    shown = _count(Terminal())

    assert "reading tags: 1 of 2000" in shown
    assert shown.endswith("\r\033[K")
    assert shown.count("\r") < 200, "not once for every tag"


def test_a_log_stays_clean() -> None:
    assert _count(io.StringIO()) == ""
