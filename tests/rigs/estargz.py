"""What the stargz snapshotter's own library says of an eStargz layer."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.rigs.golang import go_program
from tests.rigs.process import run


class Checked(NamedTuple):
    """What was found in order: tar entries, files, chunks, and bytes of content."""

    entries: int
    files: int
    chunks: int
    bytes: int


@cache
def checker() -> Path:
    """The program that checks, built on first use."""
    return go_program(Path(__file__).parent / "go" / "estargz")


def check(layer: Path, toc: str) -> Checked:
    """Open LAYER with the digest TOC of its table, and read all of it; CommandFailed names the first fault."""
    return Checked(**json.loads(run([checker(), layer, toc], timeout=600).stdout))
