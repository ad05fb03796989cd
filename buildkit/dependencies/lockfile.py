"""The lock of a commit: found by name, read from git, and held as one value with all that it was read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple

from buildkit.config.toml import PYPROJECT
from buildkit.config.values import Holds
from buildkit.errors import InvalidInput, NotFound
from buildkit.wheels.locks.model import (
    LOCK_LIMIT,
    PYLOCK,
    REQUIREMENTS,
    UV_LOCK,
    Lock,
    NotALock,
    kind_of,
)

ReadFile = Callable[[str, int], bytes | None]
"""A file of the commit by its path, None where there is none; refuses more bytes than the limit."""


class LockFiles(NamedTuple):
    """A lock's path, and the content of all files of the commit that belong to it."""

    path: str
    files: Mapping[str, bytes]

    @property
    def fingerprint(self) -> str:
        """Of the paths and contents."""
        parts = (f"{path}\0{sha256(data).hexdigest()}\0" for path, data in sorted(self.files.items()))
        return sha256("".join([self.path, "\0", *parts]).encode()).hexdigest()


def find(read: ReadFile, holds: Holds) -> LockFiles | None:
    """The lock that the settings name, else the first known one at the root; None where there is none, or none shall
    be used. Raises NotFound for a named one that is not there.

    What a requirements file includes is read with it.
    """
    if not holds.dependencies:
        return None
    for path in [holds.lock] if holds.lock else [PYLOCK, UV_LOCK, REQUIREMENTS]:
        kind = kind_of(path)
        data = read(path, LOCK_LIMIT)
        if data is not None:
            return LockFiles(path, {path: data} | _beside(read, path, kind, data))
    if holds.lock:
        raise NotFound(f"the commit has no {holds.lock}", "name a lock of this commit, or none")
    return None


def parse(found: LockFiles, holds: Holds) -> Lock | NotALock:
    """What the lock says; InvalidInput where it cannot be followed."""
    data, kind = found.files[found.path], kind_of(found.path)
    if kind == UV_LOCK:
        from buildkit.wheels.locks.uvlock import read_uv_lock

        project = found.files[_project(found.path)]
        return read_uv_lock(data, project, extras=holds.extras, groups=holds.groups, source=found.path)
    if kind == PYLOCK:
        from buildkit.wheels.locks.pylock import read_pylock

        return read_pylock(data, found.path)
    from buildkit.wheels.locks.requirements import read_requirements

    return read_requirements(data, found.path, found.files.get)


def _beside(read: ReadFile, path: str, kind: str, data: bytes) -> dict[str, bytes]:
    """The other files that the lock is nothing without."""
    if kind == UV_LOCK:
        project = _project(path)
        content = read(project, LOCK_LIMIT)
        if content is None:
            raise NotFound(f"the commit has {path}, and no {project} that it locks", "commit both")
        return {project: content}
    if kind == REQUIREMENTS:
        return _included(read, path, data)
    return {}


def _included(read: ReadFile, path: str, data: bytes) -> dict[str, bytes]:
    """Requirements files that others include, in turn; one that is not there is left to the parser's error."""
    from buildkit.wheels.locks.requirements import read_requirements

    others: dict[str, bytes] = {}

    def remember(name: str) -> bytes | None:
        content = read(name, LOCK_LIMIT)
        if content is not None:
            others[name] = content
        if sum(map(len, others.values())) > LOCK_LIMIT:
            raise InvalidInput(f"{path} includes more than {LOCK_LIMIT} bytes", "are these the right files?")
        return content

    if b"-r" in data or b"-c" in data or b"--" in data:
        read_requirements(data, path, remember)
    return others


def _project(lock: str) -> str:
    folder = lock.rpartition("/")[0]
    return f"{folder}/{PYPROJECT}" if folder else PYPROJECT
