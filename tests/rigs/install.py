"""Debian packages, installed when they are missing; and what a rig may ask of the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rigs.cache import file_lock
from tests.rigs.errors import CommandFailed, RigUnavailable
from tests.rigs.process import run

POLICY = Path("/usr/sbin/policy-rc.d")
DENIED = "#!/bin/sh\n# A treeship rig installs packages: no services now. Safe to remove.\nexit 101\n"


def is_debian() -> bool:
    """Whether packages come by apt-get."""
    return Path("/etc/debian_version").exists() and Path("/usr/bin/apt-get").exists()


def is_root() -> bool:
    """Whether this process may mount, make device nodes and start containers."""
    return os.geteuid() == 0


def need_root(what: str) -> None:
    """Raise RigUnavailable unless this is root on Linux."""
    if not is_root() or os.uname().sysname != "Linux":
        raise RigUnavailable(f"{what} needs root on Linux")


def missing(packages: tuple[str, ...]) -> list[str]:
    """Those of PACKAGES that are not installed."""
    if not is_debian():
        return list(packages)
    query = run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *packages], check=False)
    present = {line.removeprefix("installed ") for line in query.stdout.splitlines()}
    return [package for package in packages if package not in present]


def debian_packages(*packages: str) -> None:
    """Install those of PACKAGES that are missing, without starting their services."""
    if not missing(packages):
        return
    if not (is_debian() and is_root()):
        raise RigUnavailable(f"needs {' '.join(packages)}: packages that only root on Debian can install")
    with file_lock("apt.lock"):
        if absent := missing(packages):
            with _no_services():
                _apt_install(absent)


def _apt_install(packages: list[str]) -> None:
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(install, env=quiet, timeout=1800)
    except CommandFailed:  # No package lists yet, or lists older than the mirror.
        run([*apt, "update"])
        run(install, env=quiet, timeout=1800)


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian starts services as it installs them (a registry on port 5000), unless this file forbids it."""
    foreign = POLICY.exists() and POLICY.read_text() != DENIED
    if not foreign:
        POLICY.write_text(DENIED)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if not foreign:
            POLICY.unlink(missing_ok=True)
