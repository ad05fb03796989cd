"""What may be set about talking to registries; it never comes from the commit that is being built."""

from __future__ import annotations

import time
from typing import NamedTuple

from buildkit import __version__

MIB = 1024 * 1024


class RegistryOptions(NamedTuple):
    """`insecure` are hosts (with port) that speak plain HTTP; loopback ones do without being named.

    `ca_file` is trusted besides the system's authorities; `certificate` and `key` are a client's own (PEM).
    `resume_above`: a blob of this size or less is sent again from its start after a lost connection.
    """

    insecure: frozenset[str] = frozenset()
    ca_file: str = ""
    certificate: str = ""
    key: str = ""
    timeout_seconds: float = 60.0
    connect_seconds: float = 10.0
    retries: int = 4
    retry_after_limit_seconds: float = 60.0
    parallel: int = 6
    resume_above: int = 64 * MIB
    user_agent: str = f"treeship/{__version__}"


class Clock:
    """Time, so that tests need not wait for it."""

    def now(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
