"""The local cache: what was worked out before, shared by any number of processes, safe to delete at any time.

Every entry is one file that begins with the digest of the rest, written under a temporary name and renamed. A
damaged entry is removed and reported as absent, so the cache heals itself; it is never the only copy of anything.
"""

from __future__ import annotations

import os
import time
from hashlib import sha256

from buildkit.image.digest import Digest

_VERSION = "v1"
_DAY = 86400.0
# Members are as large as the layers they are of; everything else is small.
_UNUSED_DAYS = {"members": 7}
_OTHERS_UNUSED_DAYS = 30


class Cache:
    """Small entries by kind and name; `name` must be plain letters and digits. A cache that fails is an empty one."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.path.abspath(directory)
        self._root = f"{self.directory}/{_VERSION}"

    def get(self, kind: str, name: str) -> bytes | None:
        """The entry, None where there is none or it was damaged."""
        path = self._path(kind, name)
        try:
            with open(path, "rb", opener=_open_plain) as file:
                stored = file.read() or b""
                self._renew(file.fileno())
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
                _make_folder(os.path.dirname(path))
                file = open(temporary, "xb")  # noqa: SIM115
            with file:
                file.write(sha256(data).hexdigest().encode() + b"\n" + data)
            os.rename(temporary, path)
        except OSError:
            self._remove(temporary)

    def is_empty(self, kind: str) -> bool:
        """Whether there is certainly no entry of a kind."""
        return not os.path.isdir(f"{self._root}/{kind}")

    def get_document(self, digest: Digest) -> bytes | None:
        """A manifest or config by digest."""
        raw = self.get("documents", digest.hex)
        return raw if raw is not None and Digest.of(raw) == digest else None

    def put_document(self, raw: bytes) -> None:
        """Keep a manifest or config."""
        self.put("documents", Digest.of(raw).hex, raw)

    def sweep(self, now: float | None = None) -> None:
        """Once a day, remove what nobody has used for long. `now` in seconds since 1970."""
        now = time.time() if now is None else now
        try:
            if not is_due(f"{self._root}/swept", now):
                return
            for kind in os.listdir(self._root):
                oldest = now - _UNUSED_DAYS.get(kind, _OTHERS_UNUSED_DAYS) * _DAY
                for folder, _, files in os.walk(f"{self._root}/{kind}"):
                    for name in files:
                        unfinished = "." in name  # its writer was killed
                        self._remove_older(f"{folder}/{name}", now - _DAY if unfinished else oldest)
        except OSError:
            return

    def _remove_older(self, path: str, oldest: float) -> None:
        try:
            if os.lstat(path).st_mtime < oldest:
                os.unlink(path)
        except OSError:
            pass  # another process sweeps too

    def _path(self, kind: str, name: str) -> str:
        return f"{self._root}/{kind}/{name[:2]}/{name}"

    def _renew(self, descriptor: int) -> None:
        """Note that an entry was used."""
        try:
            os.utime(descriptor)
        except OSError:
            pass  # somebody else's file: they will renew it

    def _remove(self, path: str) -> None:
        try:
            os.unlink(path)
        except OSError:
            pass


def is_due(stamp: str, now: float) -> bool:
    """Whether what is done once a day has not been done for a day; if so, the file `stamp` says that it is now.

    `now` in seconds since 1970. Raises OSError where the file cannot be written.
    """
    try:
        if now - os.stat(stamp).st_mtime < _DAY:
            return False
    except FileNotFoundError:
        pass
    with open(stamp, "w"):
        os.utime(stamp, (now, now))
    return True


def _open_plain(path: str, flags: int) -> int:
    # No link is followed, and no FIFO's writer waited for.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _make_folder(path: str) -> None:
    """With its parents, for this user alone whatever the umask: who writes here chooses what is in images."""
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass


class ReadOnlyCache(Cache):
    """Knows what was remembered, and changes nothing (`explain`)."""

    def put(self, kind: str, name: str, data: bytes) -> None:
        """Nothing."""

    def _renew(self, descriptor: int) -> None:
        pass

    def _remove(self, path: str) -> None:
        pass


class NoCache(Cache):
    """Remembers nothing (`--no-reuse`, `check`)."""

    def __init__(self) -> None:
        super().__init__(os.devnull)

    def get(self, kind: str, name: str) -> bytes | None:  # noqa: ARG002
        """Nothing."""
        return None

    def put(self, kind: str, name: str, data: bytes) -> None:
        """Nothing."""
