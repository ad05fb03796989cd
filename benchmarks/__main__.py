"""python -m benchmarks [NAME...] [--rounds N] [--json FILE] [--keep DIR] [--tiny]

A missed budget says MISS; the exit code is 0 whenever all could be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.arena import FULL, TINY, Arena
from benchmarks.race import say
from benchmarks.results import Result
from benchmarks.table import BENCHMARKS
from tests.rigs.process import run

RESULTS = Path(__file__).parent / "results"
PREFIX = "treeship-benchmarks-"


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmarks that are named, else all."""
    asked = _parser().parse_args(words)
    if unknown := set(asked.names) - set(BENCHMARKS):
        _parser().error(
            f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}"
        )
    file = asked.json or RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    results: list[Result] = []
    with _folder(asked.keep) as folder, ExitStack() as ending:
        arena = Arena(folder, TINY if asked.tiny else FULL, asked.rounds, ending, keep=bool(asked.keep))
        for name in asked.names or BENCHMARKS:
            say(name)
            results.append(BENCHMARKS[name](arena))
            print(f"{results[-1].text()}\n", flush=True)
            _write(file, results)  # After each: a later one may fail.
    say(f"all numbers: {file}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="treeship and its peers, side by side"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go (default: results/)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in this new folder and leave it there")
    parser.add_argument(
        "--tiny", action="store_true", help="small inputs, no engines: only to see that it runs"
    )
    return parser


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
            yield Path(name)
    else:
        keep.mkdir(parents=True)
        yield keep.absolute()


def _write(file: Path, results: Sequence[Result]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": _machine(), "benchmarks": {each.name: each.to_json() for each in results}}
    file.write_text(json.dumps(content, indent=1) + "\n")


def _machine() -> dict[str, Any]:
    """What the absolute numbers hang on."""
    return {
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "git": run(["git", "--version"]).stdout.strip(),
    }


if __name__ == "__main__":
    sys.exit(main())
