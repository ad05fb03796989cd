"""A real lock, of a project that trains with torch on CUDA, and its wheels, brought once by pip.

`pyproject.toml` beside the lock says how it was made. All of it together is 2.9 GB; tests that can do with less take
a part of it.
"""

import tempfile
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tests.rigs import wheels

LOCK = Path(__file__).parents[1] / "end_to_end" / "locks" / "torch" / "pylock.toml"
# What Debian 12 runs on x86_64, the best first; said to pip, whatever machine it runs on.
PLATFORMS = [*(f"manylinux_2_{minor}_x86_64" for minor in range(36, 16, -1)), "manylinux2014_x86_64"]
PLATFORMS += ["manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux_2_5_x86_64", "manylinux1_x86_64"]
_SEPARATOR = "\n[[packages]]\n"


def lock_text(names: Collection[str] | None = None) -> str:
    """The lock; with NAMES, of these packages alone."""
    head, *packages = LOCK.read_text().split(_SEPARATOR)
    if names is not None:
        packages = [text for text in packages if text.split('"')[1] in names]
        assert len(packages) == len(names), "each name is one of the lock's"
    return _SEPARATOR.join([head, *packages])


def versions(text: str) -> dict[str, str]:
    """The version of each package of a lock, by name."""
    return {package["name"]: package["version"] for package in _packages(text)}


def requirements(text: str) -> str:
    """What pip takes for the same lock: a line for each package, with the hashes of its wheels."""
    return "".join(
        f"{package['name']}=={package['version']} {' '.join(_hashes(package))}\n"
        for package in _packages(text)
    )


def wheelhouse(text: str) -> Path:
    """A folder with the wheels of a lock that Debian's Python 3.11 takes, one for each package; read only."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "torch" / "requirements.txt"
        file.parent.mkdir()
        file.write_text(requirements(text))
        return wheels.wheelhouse(file, "3.11", *PLATFORMS)


def _hashes(package: dict[str, Any]) -> list[str]:
    return [f"--hash=sha256:{wheel['hashes']['sha256']}" for wheel in package["wheels"]]


def _packages(text: str) -> list[dict[str, Any]]:
    packages: list[dict[str, Any]] = tomllib.loads(text)["packages"]
    return packages
