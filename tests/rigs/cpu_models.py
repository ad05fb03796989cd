"""One program on several CPU models, to prove that its output does not depend on the CPU."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.rigs.errors import RigUnavailable
from tests.rigs.install import debian_packages
from tests.rigs.process import run

QEMU = Path("/usr/bin/qemu-x86_64-static")
# SSE2 alone; SSE4.2 and carry-less multiplication; AVX2, BMI2 and FMA.
MODELS = ("qemu64", "Westmere", "Haswell-v4")


def install() -> None:
    """Put qemu-user on the machine."""
    if platform.machine() != "x86_64":
        raise RigUnavailable("CPU models are emulated for x86-64 programs only")
    debian_packages("qemu-user-static")


def run_under(
    model: str, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ARGV, a path to a program and its arguments, on an emulated MODEL (see MODELS): ten times slower.

    Only the program itself is emulated; processes that it starts run on the real CPU.
    """
    return run([QEMU, "-cpu", model, *argv], env=env, cwd=cwd)
