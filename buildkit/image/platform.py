"""Platforms of images, and which manifest of an index serves one (image-spec, image-index.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildkit.errors import InvalidInput

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "ppc64le": "ppc64le",
             "s390x": "s390x", "riscv64": "riscv64", "i686": "386", "armv7l": "arm"}  # fmt: skip
# A variant that every chip of the architecture has is the same as none.
_IMPLIED_VARIANTS = {("amd64", "v1"), ("arm64", "v8")}


class Platform(NamedTuple):
    """`os/architecture[/variant]` in Go's names, as everywhere in the field."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Raises InvalidInput for anything but two or three plain words."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(p.isascii() and p.replace("_", "").isalnum() for p in parts):
            raise InvalidInput(f"not a platform: {text!r}", "write it like linux/amd64 or linux/arm/v7")
        return cls(*parts).normal()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Platform:
        """From the fields of a descriptor's `platform` or of an image config."""
        words = (fields.get(name) for name in cls._fields)
        return cls(*(word if isinstance(word, str) else "" for word in words)).normal()

    @classmethod
    def of_host(cls) -> Platform:
        """Containers are Linux, whatever runs them; the architecture is this machine's."""
        return cls("linux", _MACHINES.get(os.uname().machine.lower(), "amd64"))

    def normal(self) -> Platform:
        """Without a variant that says nothing."""
        return self._replace(variant="") if (self.architecture, self.variant) in _IMPLIED_VARIANTS else self

    def runs(self, offered: Platform) -> bool:
        """Whether an image for `offered` runs on this platform: an arm/v7 runs v6, and a bare arm takes any variant."""
        same = (self.os, self.architecture) == (offered.os, offered.architecture)
        named = self.variant and offered.variant and self.variant != offered.variant
        return same and (not named or 0 < offered.level <= self.level)

    @property
    def level(self) -> int:
        """The number in variants like v7; 0 where there is none."""
        number = self.variant.removeprefix("v")
        return int(number) if number.isdecimal() and number.isascii() and len(number) < 4 else 0

    def to_json(self) -> dict[str, str]:
        """The fields of a descriptor's `platform`."""
        return {key: value for key, value in self._asdict().items() if value}

    def __str__(self) -> str:
        return "/".join(part for part in self if part)
