"""Files that are whole or absent: written under a temporary name, synced, renamed.

A temporary file is locked (flock) by whoever writes it. The kernel drops the lock with the process, so a
leftover that can be locked has no writer any more and may go, whatever its age.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from types import TracebackType

from buildkit.errors import (
    AccessDenied,
    CorruptContent,
    InvalidInput,
    Locked,
    NotFound,
    TreeshipError,
    Unavailable,
)

TEMPORARY = ".treeship-"
CHUNK = 256 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MISFIT = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV,
                     errno.ENOTEMPTY, errno.EINVAL})  # fmt: skip
_OPEN_TEMPORARY = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def explain(error: OSError, doing: str) -> TreeshipError:
    """The error of the tree that an operating system's error means; `doing` reads like 'write DIR/file'."""
    what = f"cannot {doing}: {error.strerror or error}"
    if error.errno in _FULL:
        return Unavailable(what, "free some space there (or choose another place) and run it again")
    if error.errno in _DENIED:
        return AccessDenied(what, "give this user the right to it, or choose another place")
    if error.errno == errno.ENOENT:
        return NotFound(what, "check the path")
    if error.errno in _MISFIT:
        return InvalidInput(what, "something else is in the way; choose another place")
    return Unavailable(what, "the file system failed; look at its state and run it again")


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Errors of the operating system leave the block as errors of the tree."""
    try:
        yield
    except OSError as error:
        raise explain(error, doing) from error


def open_plain(path: str) -> FileIO:
    """A regular file, unbuffered, for reading; a link, FIFO or device in its place is CorruptContent."""
    try:
        stream = FileIO(path, opener=_open_plain)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _not_plain(path) from None
        raise explain(error, f"read {path}") from error
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise _not_plain(path)
    return stream


def read_small(path: str, limit: int) -> bytes:
    """The whole of a regular file of at most `limit` bytes; CorruptContent where it is larger."""
    with open_plain(path) as stream, explained(f"read {path}"):
        # One more than allowed is asked for, whatever fstat says: the file may grow meanwhile.
        parts, left = [], limit + 1
        while left and (part := stream.read(left)):
            parts.append(part)
            left -= len(part)
    if not left:
        raise CorruptContent(f"{path} is larger than {limit} bytes", "it is not what its name says")
    return b"".join(parts)


class Temporary:
    """A file that nobody sees until `keep`; left without it, the file goes. Errors are OSErrors."""

    def __init__(self, directory: str) -> None:
        self.path = ""
        self._fd = -1
        while self._fd < 0:
            path = _temporary_name(directory)
            fd = os.open(path, _OPEN_TEMPORARY, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:  # else a sweeper came between creation and lock
                self.path, self._fd = path, fd
            else:
                os.close(fd)

    def write(self, data: bytes) -> int:
        """All of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        return len(data)

    def sync(self) -> None:
        """On the disk, so that a later rename cannot survive a crash that the bytes do not."""
        os.fsync(self._fd)

    def keep(self, path: str, mode: int = 0o444) -> None:
        """Sync, and put in place of whatever has this name."""
        os.fchmod(self._fd, mode)
        self.sync()
        os.rename(self.path, path)
        self.path = ""

    def close(self) -> None:
        """Drop the file unless it was kept."""
        path, fd, self.path, self._fd = self.path, self._fd, "", -1
        if path:
            remove(path)
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Temporary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def link(fd: int, source: str, path: str, directory: str) -> bool:
    """Give `source`, open as `fd`, the further name `path`; False where this file system cannot.

    `directory` is where temporary names go, on the same file system.
    """
    temporary = _temporary_name(directory)
    fcntl.flock(fd, fcntl.LOCK_SH)  # shared with others that link it; keeps sweepers off
    try:
        os.link(source, temporary, follow_symlinks=False)
        same = os.path.samestat(os.lstat(temporary), os.fstat(fd))
        if same:
            os.fsync(fd)
            os.rename(temporary, path)
    except OSError:
        same = False
    finally:
        remove(temporary)  # rename leaves it where both names were the same file already
    return same


def replace(path: str, data: bytes, mode: int = 0o644, directory: str = "") -> None:
    """Write a small file so that readers see the old bytes or the new ones. Raises OSError.

    `directory` is where the temporary name goes, if not beside the file.
    """
    with Temporary(directory or os.path.dirname(path) or ".") as temporary:
        temporary.write(data)
        temporary.keep(path, mode)


def remove(path: str) -> None:
    """Gone, whoever was first. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def sync_directory(path: str) -> None:
    """Renames in this directory are on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sweep(directory: str) -> int:
    """Remove the temporary files of writers that are dead; how many these were."""
    with os.scandir(directory) as entries:
        found = [e.path for e in entries if e.name.startswith(TEMPORARY) and e.is_file(follow_symlinks=False)]
    return sum(map(_remove_dead, found))


@contextmanager
def locked(path: str, patience: float = 60.0) -> Iterator[None]:
    """Hold the lock file `path`, waiting up to `patience` seconds; then Locked. The file stays."""
    fd = _take(path, time.monotonic() + patience)
    try:
        yield
    finally:
        os.close(fd)


def _temporary_name(directory: str) -> str:
    return os.path.join(directory, f"{TEMPORARY}{os.getpid():x}-{os.urandom(6).hex()}")


def _open_plain(path: str, flags: int) -> int:
    # Non-blocking, because opening a FIFO would wait for its writer.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _not_plain(path: str) -> CorruptContent:
    return CorruptContent(
        f"{path} is not a regular file", "links and special files are refused; put a copy there"
    )


def _remove_dead(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # gone meanwhile, or another user's: not ours to clean
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Still under the lock: a writer that waits for it sees the link count and takes another name.
        os.unlink(path)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _take(path: str, until: float) -> int:
    pause = 0.001
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        if _try_lock(fd, path):
            return fd
        os.close(fd)
        if time.monotonic() > until:
            raise Locked(f"{path} is held by another process", "wait for it to finish, then run it again")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def _try_lock(fd: int, path: str) -> bool:
    """Whether this is now the holder of the lock that others find under this name."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.stat(path, follow_symlinks=False)
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        os.close(fd)
        raise
    return os.path.samestat(found, os.fstat(fd))
