"""Commands as a user would start them: each a new process, timed from outside."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tests.rigs.errors import CommandFailed
from tests.rigs.process import TAIL, environment

Argv = Sequence[str | Path]
NO_ENVIRONMENT: Mapping[str, str] = {}


class Pipeline(NamedTuple):
    """Commands of which each reads what the one before it prints; most often there is one."""

    argvs: tuple[Argv, ...]
    env: Mapping[str, str] = NO_ENVIRONMENT


def command(*argv: str | Path, env: Mapping[str, str] = NO_ENVIRONMENT) -> Pipeline:
    """A pipeline of one command."""
    return Pipeline((argv,), env)


def clean(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a rig's process, less what would change how Python starts: that costs treeship alone."""
    found = environment(extra)
    return {name: value for name, value in found.items() if not name.startswith("PYTHON")}


def seconds(steps: Sequence[Pipeline]) -> float:
    """How long these take, one after the other. A code other than 0 raises CommandFailed."""
    began = time.perf_counter()
    for step in steps:
        with tempfile.TemporaryFile() as said:
            running = start(step, said)
            for process in running:
                process.wait()
            for process in running:
                check(process, said)
    return time.perf_counter() - began


def start(pipeline: Pipeline, said: IO[bytes]) -> list[subprocess.Popen[bytes]]:
    """Start all of it; SAID takes what is printed, except what the next command reads."""
    running: list[subprocess.Popen[bytes]] = []
    for number, argv in enumerate(pipeline.argvs, start=1):
        before = running[-1].stdout if running else subprocess.DEVNULL
        after: int | IO[bytes] = said if number == len(pipeline.argvs) else subprocess.PIPE
        words = [str(word) for word in argv]
        running.append(
            subprocess.Popen(words, env=clean(pipeline.env), stdin=before, stdout=after, stderr=said)
        )
        if running[:-1]:
            # Only the reader may hold the pipe, so that the writer learns when the reader has ended.
            _close(running[-2])
    return running


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()


def check(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    """CommandFailed where a process that has ended did so with a code other than 0."""
    if process.returncode:
        said.seek(0)
        words = (
            [str(word) for word in process.args] if isinstance(process.args, list) else [str(process.args)]
        )
        raise CommandFailed(words, process.returncode, said.read().decode(errors="replace")[-TAIL:])
