"""`treeship build` as a process of its own, timed from outside; and two of its results side by side."""

from __future__ import annotations

import json
import sys
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from buildkit import human
from demo.repository import Commits
from tests.rigs.process import run

SHOWN = 4


class Build(NamedTuple):
    """One build: what `--json` said, and how long the whole process took."""

    result: dict[str, Any]
    seconds: float


def build(commits: Commits, commit: str, base: str, to: str, cache: Path, *flags: str) -> Build:
    """Build one commit."""
    began = time.monotonic()
    words: list[str | Path] = [
        "build",
        commit,
        "--repo",
        commits.clone,
        "--base",
        base,
        "--to",
        to,
        "--cache",
        cache,
    ]
    done = run([sys.executable, "-m", "ci", *words, *flags, "--json"])
    return Build(json.loads(done.stdout), time.monotonic() - began)


def wheels(built: Build) -> str:
    """The wheels of a build, by layer."""
    layers = [layer for layer in built.result["layers"] if layer["wheels"]]
    rows = [f"{'layer':<12}{'size':>9}  wheels"]
    for layer in layers:
        names = ", ".join(f"{wheel['name']} {wheel['version']}" for wheel in layer["wheels"])
        rows.append(f"{layer['name']:<12}{human.size(layer['size']):>9}  {names}")
    rows.append(f"{built.seconds:.2f} s for the whole process, with what had to be fetched")
    return "\n".join(f"  {row}" for row in rows)


def archived(image: str, file: Path, name: str) -> Path:
    """IMAGE as an archive that every engine can load, as NAME:latest. (They take layouts too, but not at any path.)"""
    if not file.exists():
        run([sys.executable, "-m", "ci", "copy", image, f"docker-archive:{file}:{name}:latest"])
    return file


def side_by_side(left: Build, right: Build) -> str:
    """Both tables: a layer's reason and action, the changed ones first."""
    pairs = zip_longest(_rows(left, right), _rows(right, left), fillvalue="")
    return "\n".join(f"  {one:<42}  {other}".rstrip() for one, other in pairs)


def _rows(build: Build, other: Build) -> list[str]:
    """What is another layer in the other build comes first; the rest is a few lines and a count."""
    known = {layer["digest"] for layer in other.result["layers"]}
    layers = sorted(build.result["layers"], key=lambda layer: layer["digest"] in known)
    rest = layers[SHOWN:]
    pushed, reused = human.size(build.result["bytes_pushed"]), human.size(build.result["bytes_reused"])
    return [
        f"commit {build.result['commit'][:12]}",
        "",
        f"{'layer':<10}{'reason':<9}{'action':<8}{'size':>9}",
        *(_row(layer) for layer in layers[:SHOWN]),
        f"and {len(rest)} more, {human.size(sum(layer['size'] for layer in rest))}: {_actions(rest)}",
        "",
        f"pushed {pushed}, reused {reused}",
        f"{build.seconds:.2f} s for the whole process",
    ]


def _row(layer: dict[str, Any]) -> str:
    return f"{layer['name']:<10}{layer['reason']:<9}{layer['action']:<8}{human.size(layer['size']):>9}"


def _actions(layers: list[dict[str, Any]]) -> str:
    return ", ".join(sorted({layer["action"] for layer in layers}))
