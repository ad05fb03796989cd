"""The steps of an engine's build as people see them: one line that changes on a terminal, a line a step in a log."""

from __future__ import annotations

from typing import TextIO

from buildkit.bases.dockerfiles.build import Watch
from buildkit.bases.dockerfiles.steps import Said
from buildkit.terminal import Console

_ERASE = "\r\033[K"
_INSTRUCTION = 70


def watch(console: Console) -> Watch:
    """As fits stderr."""
    return Status(console.err) if console.err.isatty() else Log(console.err)


class Log:
    """A line for each step; what steps print is shown when one fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def said(self, base: str, said: Said) -> None:
        """Lines are left out, and labels, which the build adds itself."""
        if said.number and not said.text.startswith("LABEL "):
            self._stream.write(f"{base} {_head(said)}\n")
            self._stream.flush()

    def done(self) -> None:
        """Nothing."""


class Status:
    """The running step and its last line, in one line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._head = ""

    def said(self, base: str, said: Said) -> None:
        """The line is written anew."""
        if said.number:
            self._head = f"{base} {_head(said)}"
        line = self._head if said.number else f"{self._head}  {said.text}"
        self._stream.write(f"{_ERASE}{line[: _columns(self._stream) - 1]}")
        self._stream.flush()

    def done(self) -> None:
        """The line goes."""
        self._stream.write(_ERASE)
        self._stream.flush()


def _head(said: Said) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in said.text).split())
    short = text if len(text) <= _INSTRUCTION else text[: _INSTRUCTION - 1] + "…"
    return f"[{said.number}/{said.total}] {short}"


def _columns(stream: TextIO) -> int:
    import os

    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
