"""treeship as its users have it: a wheel in a virtual environment of its own, with compiled bytecode."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from tests.rigs.process import run

ROOT = Path(__file__).parent.parent


class Product(NamedTuple):
    """The two programs of the environment."""

    treeship: Path
    python: Path


def install(folder: Path) -> Product:
    """Install this repository as it stands into FOLDER, with the locked dependencies."""
    wheel = _wheel(folder / "wheel")
    environment = folder / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", environment])
    python = environment / "bin" / "python"
    wanted = folder / "requirements.txt"
    wanted.write_text(_locked())
    pip = [
        sys.executable,
        "-m",
        "pip",
        f"--python={python}",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    run([*pip, "--require-hashes", "-r", wanted], timeout=600)
    run([*pip, "--no-deps", "--no-index", wheel])
    # pip compiles too, unless the machine's settings say otherwise.
    run([python, "-m", "compileall", "-q", environment / "lib"], timeout=600)
    return Product(environment / "bin" / "treeship", python)


def _wheel(folder: Path) -> Path:
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT)
    return next(folder.glob("*.whl"))


def _locked() -> str:
    uv = Path(sys.executable).with_name("uv")
    return run([uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project"], cwd=ROOT).stdout
