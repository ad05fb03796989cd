"""The commands of a pipeline: what a step may be, and that treeship understands it."""

from __future__ import annotations

import re
import shlex
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from ci.__main__ import find, parser_of
from tests.sources import ROOT

TREESHIP = ".venv/bin/treeship"
# More than one command, or something of the shell's that is not a plain word.
_SHELL = re.compile(r"[;&|<>`\n]|\$\(")


class Job(NamedTuple):
    """One job or stage: its commands, whether it sees secrets, and on which branch it runs ("" is any)."""

    name: str
    commands: tuple[str, ...]
    secrets: bool
    branch: str


def words_of(command: str) -> list[str]:
    """The words of a step, which must be one plain command: a make target or a verb of treeship."""
    assert not _SHELL.search(command), f"more than one command: {command}"
    words = shlex.split(command)
    assert words[0] in ("make", TREESHIP), f"neither a make target nor a treeship command: {command}"
    return words


def parsed(command: str) -> Namespace | None:
    """What treeship's own parser makes of it; None for make. A wrong flag ends the test, as it would end the job."""
    words = words_of(command)
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert set(targets) <= make_targets(), command
        return None
    verb = find(words[1:])
    assert verb, f"no such verb: {command}"
    return parser_of(verb).parse_args(words[1 + len(verb.words.split()) :])


def make_targets() -> set[str]:
    """What the Makefile offers."""
    return set(re.findall(r"^([a-z-]+):", Path(ROOT / "Makefile").read_text(), re.MULTILINE))
