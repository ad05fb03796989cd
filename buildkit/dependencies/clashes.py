"""Wheels that would write one path. An installer lets the last one win; an image must not depend on who was last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildkit.wheels.installed import Plan, conflict, files_as_folders


class Holding(NamedTuple):
    """What a wheel writes: `files` by path (without the leading '/'), with what tells their contents apart."""

    wheel: str
    files: Mapping[bytes, bytes]

    @classmethod
    def of(cls, plan: Plan) -> Holding:
        """Of a wheel's plan."""
        return cls(
            plan.archive.wheel,
            {file.path: f"{file.hash} {file.size}".encode() for file in plan.files},
        )

    def dump(self) -> bytes:
        """For the cache."""
        lines = (path + b"\0" + content for path, content in self.files.items())
        return b"\0".join([self.wheel.encode(), *lines])

    @classmethod
    def load(cls, data: bytes) -> Holding | None:
        """The inverse of `dump`; None where it is of another make."""
        wheel, *parts = data.split(b"\0")
        if not wheel or len(parts) % 2:
            return None
        return cls(wheel.decode(errors="replace"), dict(zip(parts[::2], parts[1::2], strict=True)))


def refuse_clashes(holdings: Iterable[Holding]) -> None:
    """InvalidInput naming both wheels where one path is written with two contents, or is a file and a folder."""
    owners: dict[bytes, Holding] = {}
    for holding in sorted(holdings, key=lambda each: each.wheel):
        for path, content in holding.files.items():
            other = owners.setdefault(path, holding)
            if other.files[path] != content:
                raise conflict(other.wheel, holding.wheel, path)
    for path, below in files_as_folders(owners):
        raise conflict(owners[path].wheel, owners[below].wheel, path)
