"""The Python that wheels are selected for: the base image's, described in values; nothing here asks the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from buildkit.errors import InvalidInput
from buildkit.image.platform import Platform

if TYPE_CHECKING:
    from packaging.markers import Environment
    from packaging.tags import Tag

_VERSION = re.compile(r"3\.(\d{1,3})\.\d{1,3}(?:(?:a|b|rc)\d{1,3})?\+?")
_FLAGS = ("", "t", "d", "td")
MACHINES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
"""What Linux and wheels call the architectures that images have."""
# PEP 513, 571 and 599: the names that came before manylinux_2_x.
LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_NEWEST_MINOR = 200


class Target(NamedTuple):
    """A Python in an image.

    `python` is the full version ("3.11.2"), `flags` are the ABI's ("t" free-threaded, "d" debug), `glibc` and `musl`
    are (major, minor) or None where the base has another libc, `cuda` is a version or "" where there is none.
    """

    python: str
    platform: Platform = Platform("linux", "amd64")
    glibc: tuple[int, int] | None = None
    musl: tuple[int, int] | None = None
    implementation: str = "cpython"
    flags: str = ""
    cuda: str = ""

    def tags(self) -> list[Tag]:
        """What this Python installs, the best first (PEP 425, 600, 656), as packaging's `sys_tags` says it there.

        Raises InvalidInput for what no wheels are known for: PyPy, 32 bits, another system than Linux.
        """
        from packaging.tags import compatible_tags, cpython_tags

        self.check()
        version, platforms = (3, self.minor), list(self.platforms())
        name = f"cp3{self.minor}"
        # A debug build loads what was built for others, too.
        abis = [name + self.flags] + ([name + self.flags.removesuffix("d")] if "d" in self.flags else [])
        tags = list(cpython_tags(version, abis, platforms))
        return tags + list(compatible_tags(version, name, platforms))

    def environment(self) -> Environment:
        """What markers are evaluated in (PEP 508). What a kernel would say is unknown, so it is empty.

        It has every variable: packaging would ask the host for one that is missing.
        """
        self.check()
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python.removesuffix("+"),
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "platform_python_implementation": "CPython",
            "python_version": f"3.{self.minor}",
            "sys_platform": "linux",
        }

    def platforms(self) -> Iterator[str]:
        """Platform tags, the best first."""
        yield f"linux_{self.machine}"
        yield from self._manylinux()
        if self.musl:
            for minor in range(self.musl[1], -1, -1):
                yield f"musllinux_{self.musl[0]}_{minor}_{self.machine}"

    def _manylinux(self) -> Iterator[str]:
        if not self.glibc:
            return
        oldest = 5 if self.platform.architecture == "amd64" else 17
        for minor in range(self.glibc[1], oldest - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if (2, minor) in LEGACY:
                yield f"{LEGACY[2, minor]}_{self.machine}"

    @property
    def minor(self) -> int:
        """The 11 of 3.11.2."""
        found = _VERSION.fullmatch(self.python)
        if not found:
            raise InvalidInput(f"not a version of Python 3: {self.python[:40]!r}", "write it like 3.11.2")
        return int(found[1])

    @property
    def machine(self) -> str:
        """The architecture as wheels call it."""
        return MACHINES.get(self.platform.architecture, self.platform.architecture)

    def check(self) -> None:
        """Raises InvalidInput for what wheels cannot be selected for."""
        if self.implementation != "cpython" or self.flags not in _FLAGS or self.minor < 2:
            raise InvalidInput(
                f"wheels are not selected for {self.implementation} {self.python} {self.flags}".rstrip(),
                "use a base with CPython 3, or build with --no-dependencies",
            )
        if self.platform.os != "linux" or self.platform.architecture not in MACHINES:
            raise InvalidInput(
                f"wheels are not selected for {self.platform}",
                f"use one of linux/{', linux/'.join(MACHINES)}",
            )
        for libc, version, major in (("glibc", self.glibc, 2), ("musl", self.musl, 1)):
            if version and not (version[0] == major and 0 <= version[1] <= _NEWEST_MINOR):
                raise InvalidInput(f"not a version of {libc}: {version}", "look at the base's facts")

    @property
    def libc(self) -> str:
        """As a person says it; "" where it is unknown."""
        name, version = ("glibc", self.glibc) if self.glibc else ("musl", self.musl)
        return f"{name} {version[0]}.{version[1]}" if version else ""

    def __str__(self) -> str:
        words = [f"CPython {self.python}{self.flags}", f"on {self.platform}"]
        return " ".join(words + ([f"with {self.libc}"] if self.libc else []))
