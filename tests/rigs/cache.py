"""Things made once and kept, each named by what it is made from; safe for many processes at once."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """$RIGS_CACHE, else treeship/rigs in the user's cache folder."""
    if named := os.environ.get("RIGS_CACHE"):
        return Path(named).absolute()
    parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(parent).absolute() / "treeship" / "rigs"


@contextmanager
def file_lock(name: str) -> Iterator[None]:
    """Hold the lock NAME; others, in this process or another, wait."""
    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def key_of(*parts: object) -> str:
    """A short name for what something is made from."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The file or folder NAME of the cache; when it is not there, MAKE writes it to the path it is given."""
    final = cache_folder() / name
    if final.exists():
        return final
    with file_lock(f"{final.name}.lock"):
        if not final.exists():  # Somebody else may have made it while we waited.
            final.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
            try:
                make(scratch / final.name)
                (scratch / final.name).rename(final)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return final
