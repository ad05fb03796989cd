"""What the tests of locks share: targets, hashes, and small locks."""

from __future__ import annotations

import os
import platform
import sys

from buildkit.image.platform import Platform
from buildkit.wheels.locks.model import LockedPackage, LockedWheel
from buildkit.wheels.target import Target
from tests.sources import ROOT

HASH = "ab" * 32
BASE = Target("3.11.2", glibc=(2, 36))
UV_LOCK = (ROOT / "uv.lock").read_bytes()
PYPROJECT = (ROOT / "pyproject.toml").read_bytes()


def host() -> Target:
    """The Python that runs the tests."""
    major, minor = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.36").split()[1].split(".")[:2]
    return Target(
        platform.python_version(), Platform.of_host(), (int(major), int(minor)), None, flags=sys.abiflags
    )


def wheel(filename: str) -> LockedWheel:
    name, version = filename.split("-")[:2]
    return LockedWheel(
        name, version, filename, f"https://files.example/{filename}", hashes=(f"sha256:{HASH}",)
    )


def package(*filenames: str, **fields: object) -> LockedPackage:
    made = LockedPackage("demo", "1.0", tuple(map(wheel, filenames)), place="pylock.toml: demo")
    return made._replace(**fields)  # type: ignore[arg-type]


def pylock(*packages: str, head: str = "") -> bytes:
    """A pylock.toml with these `[[packages]]`."""
    text = f'lock-version = "1.0"\ncreated-by = "test"\n{head}\n' + "".join(
        f"[[packages]]\n{each}\n" for each in packages
    )
    return text.encode() if packages else f"{text}packages = []\n".encode()


def entry(filename: str = "demo-1.0-py3-none-any.whl", *, more: str = "", where: str = "") -> str:
    """A package of one wheel."""
    name, version = filename.split("-")[:2]
    at = where or f'url = "https://files.example/{filename}"'
    return (
        f'name = "{name}"\nversion = "{version}"\n{more}\n'
        f'wheels = [{{ name = "{filename}", {at}, hashes = {{ sha256 = "{HASH}" }} }}]'
    )
