"""The local cache: what was worked out before, shared by any number of processes, safe to delete at any time.

Every entry is one file that begins with the digest of the rest, written under a temporary name and renamed. A
damaged entry is removed and reported as absent, so the cache heals itself; it is never the only copy of anything.
"""

from __future__ import annotations

import os
import time
from hashlib import sha256
from pathlib import Path

from buildkit.image.digest import Digest

_VERSION = "v1"
_UNUSED_DAYS = 30
_DAY = 86400.0


class Cache:
    """Small entries by kind and name; `name` must be plain letters and digits. A cache that fails is an empty one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._root = f"{directory}/{_VERSION}"

    def get(self, kind: str, name: str) -> bytes | None:
        """The entry, None where there is none or it was damaged."""
        path = self._path(kind, name)
        try:
            with open(path, "rb") as file:
                stored = file.read()
        except OSError:
            return None
        data = stored[65:]
        if stored[:65] == sha256(data).hexdigest().encode() + b"\n":
            return data
        self._remove(path)
        return None

    def put(self, kind: str, name: str, data: bytes) -> None:
        """Store an entry. A full disk or a read-only folder is no error: the next build is slower, nothing else."""
        path = self._path(kind, name)
        temporary = f"{path}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            try:
                file = open(temporary, "xb")  # noqa: SIM115
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                file = open(temporary, "xb")  # noqa: SIM115
            with file:
                file.write(sha256(data).hexdigest().encode() + b"\n" + data)
            os.rename(temporary, path)
        except OSError:
            self._remove(temporary)

    def get_document(self, digest: Digest) -> bytes | None:
        """A manifest or config by digest."""
        raw = self.get("documents", digest.hex)
        return raw if raw is not None and Digest.of(raw) == digest else None

    def put_document(self, raw: bytes) -> None:
        """Keep a manifest or config."""
        self.put("documents", Digest.of(raw).hex, raw)

    def sweep(self, now: float | None = None) -> None:
        """Once a day, remove what nobody has written or renewed for a month. `now` in seconds since 1970."""
        now = time.time() if now is None else now
        stamp = f"{self._root}/swept"
        try:
            if now - os.stat(stamp).st_mtime < _DAY:
                return
        except OSError:
            pass
        try:
            Path(stamp).touch()
            for folder, _, files in os.walk(self._root):
                for path in (f"{folder}/{name}" for name in files):
                    if now - os.stat(path).st_mtime > _UNUSED_DAYS * _DAY:
                        self._remove(path)
        except OSError:
            return

    def _path(self, kind: str, name: str) -> str:
        return f"{self._root}/{kind}/{name[:2]}/{name}"

    @staticmethod
    def _remove(path: str) -> None:
        try:
            os.unlink(path)
        except OSError:
            pass


class ReadOnlyCache(Cache):
    """Knows what was remembered, and adds nothing (`explain`)."""

    def put(self, kind: str, name: str, data: bytes) -> None:
        """Nothing."""

    @staticmethod
    def _remove(path: str) -> None:
        pass


class NoCache(Cache):
    """Remembers nothing (`--no-reuse`, `check`)."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull))

    def get(self, kind: str, name: str) -> bytes | None:  # noqa: ARG002
        """Nothing."""
        return None

    def put(self, kind: str, name: str, data: bytes) -> None:
        """Nothing."""
