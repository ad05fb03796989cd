"""The pages of the documentation: their code blocks, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.sources import ROOT

_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: the words after the fence, and its text."""

    kind: str
    text: str


def pages() -> list[Path]:
    """Every page."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page. `sh run` is run by the tests, and a `text output` after it is what it prints."""
    return (Block(*found.groups()) for found in _BLOCK.finditer(page.read_text()))


def links(page: Path) -> Iterator[str]:
    """The targets of all links, blocks aside."""
    return (found[1] for found in _LINK.finditer(_BLOCK.sub("", page.read_text())))


def anchors(page: Path) -> set[str]:
    """What can be linked to: the headings, as GitHub and others name them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: Path, heading: str) -> str:
    """The text below one heading of the second level."""
    (found,) = re.findall(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL
    )
    return str(found)


def quoted(text: str) -> set[str]:
    """All quoted words of a text."""
    return set(re.findall(r"`([^`]+)`", text))


def first_cells(text: str) -> set[str]:
    """The quoted words in the first column of all tables of a text."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1])}
