"""Real wheels, brought once by pip."""

import sys
from pathlib import Path

from tests.rigs.cache import cached, key_of
from tests.rigs.errors import CommandFailed, RigUnavailable
from tests.rigs.process import run


def wheel(requirement: str) -> Path:
    """The wheel of a requirement such as `six==1.17.0`, for this Python; read only."""

    key = key_of(requirement, sys.implementation.cache_tag, sys.platform)
    folder = cached(f"wheels/{requirement}-{key}", lambda folder: _download(folder, requirement))
    return next(folder.glob("*.whl"))


def wheelhouse(requirements: Path, python: str, *platforms: str) -> Path:
    """A folder with the wheels of a file of requirements with hashes, for CPython `python` ("3.11") on these platforms
    as wheels name them; read only."""
    key = key_of(requirements.read_text(), python, *platforms)
    words = [
        "--require-hashes",
        f"--requirement={requirements}",
        "--implementation=cp",
        f"--python-version={python}",
    ]
    words += [f"--platform={each}" for each in platforms]
    return cached(f"wheels/{requirements.parent.name}-{key}", lambda folder: _download(folder, *words))


def _download(folder: Path, *words: str) -> None:
    folder.mkdir()
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ]
    try:
        run([*pip, "--no-deps", "--only-binary=:all:", f"--dest={folder}", *words], timeout=900)
    except CommandFailed as error:
        raise RigUnavailable(f"pip cannot bring {words[-1]}: {error}") from None
