"""The wheels of a build, from wherever the settings say; set up when the first is asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any, BinaryIO

from buildkit.cache import Cache
from buildkit.config.values import Places
from buildkit.endpoints import Traffic
from buildkit.errors import NotFound
from buildkit.files import CHUNK
from buildkit.git import tree
from buildkit.git.commit import Commit
from buildkit.git.repository import Repository
from buildkit.terminal import Console

if TYPE_CHECKING:
    from buildkit.wheels.fetch.fetcher import Fetcher
    from buildkit.wheels.fetch.model import FetchedWheel
    from buildkit.wheels.locks.model import LockedWheel
    from buildkit.wheels.locks.select import Selection
    from buildkit.wheels.target import Target

# A wheel in a repository is in its history for ever; those who put larger ones there have Git LFS.
_COMMITTED_LIMIT = 1 << 30


class LazyWheels:
    """The `Wheels` of a build. `places` is asked for when the first wheel is; without `writes`, what is fetched is kept
    for this run only."""

    def __init__(
        self,
        files: CommitFiles,
        places: Callable[[], Places],
        cache: Cache,
        traffic: Traffic,
        console: Console,
        *,
        writes: bool = True,
    ) -> None:
        self._files = files
        self._places = places
        self._cache = cache
        self._traffic = traffic
        self._console = console
        self._writes = writes
        self._opened: Fetcher | None = None

    def resolve(self, selection: Selection, target: Target) -> Sequence[LockedWheel]:
        """All wheels of a selection, sorted by name."""
        return self._fetcher().resolve(selection, target, self._cache)

    def fetch(self, wheels: Sequence[LockedWheel]) -> Sequence[FetchedWheel]:
        """The files, verified, in this order."""
        return self._fetcher().fetch(wheels) if wheels else []

    def close(self) -> None:
        """All connections, and the git process, if there are any."""
        self._files.close()
        if self._opened is not None:
            self._opened.close()

    def _fetcher(self) -> Fetcher:
        if self._opened is None:
            from buildkit.wheels.fetch.fetcher import Fetcher
            from buildkit.wheels.fetch.house import Wheelhouse
            from buildkit.wheels.fetch.model import Network
            from buildkit.wheels.fetch.store import WheelStore

            places = self._places()
            network = Network(
                hosts=places.wheels_hosts,
                index_url=places.wheels_index,
                insecure=frozenset(places.insecure),
                ca_file=places.ca_file,
                connect_seconds=places.timeouts_connect,
                read_seconds=places.timeouts_read,
                jobs=places.jobs,
            )
            kept = os.path.join(places.cache, "wheels") if places.cache and self._writes else ""
            self._opened = Fetcher(
                WheelStore(kept or self._folder_of_this_run(), self._cache),
                Wheelhouse(places.wheels_wheelhouse),
                network,
                local=self._files,
                progress=self._console.progress(),
                say=self._console.note,
                traffic=self._traffic,
                environ=self._console.environ,
            )
        return self._opened

    def _folder_of_this_run(self) -> str:
        import shutil
        import tempfile
        import weakref

        folder = tempfile.mkdtemp(prefix="treeship-wheels-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder


class CommitFiles:
    """The files of a commit, for wheels that are some of them; from any thread, by a git process of its own."""

    def __init__(self, repository: Repository, commit: Commit) -> None:
        self._directory = repository.directory
        self._tree = commit.tree
        self._lock = threading.Lock()
        self._opened: Repository | None = None
        self._paths: list[str] | None = None

    def open(self, path: str) -> BinaryIO:
        """The content of a file, as git sends it. Until it is closed all others wait, so a thread opens one at a time.

        Raises NotFound, InvalidInput for a link and for what is too large.
        """
        self._lock.acquire()
        try:
            parts = self._repository().large_file(self._tree, path, _COMMITTED_LIMIT)
            if parts is None:
                raise NotFound(f"the commit has no {path[:200]!r}", "commit the wheel, or lock again")
            return BufferedReader(_Parts(parts, self._lock.release), CHUNK)
        except BaseException:
            self._lock.release()
            raise

    def names(self, folder: str) -> list[str]:
        """The names of the wheels in a folder; none where there is no such folder."""
        within = "" if folder in ("", ".") else f"{folder}/"
        with self._lock:
            if self._paths is None:  # each wheel of a lock asks
                listing = self._repository().listing(self._tree)
                self._paths = [path for entry in listing if (path := tree.show(entry.path)).endswith(".whl")]
            listed = self._paths
        below = (path.removeprefix(within) for path in listed if path.startswith(within))
        return sorted(name for name in below if "/" not in name)

    def close(self) -> None:
        """The process, if there is one."""
        if self._opened is not None:
            self._opened.close()

    def _repository(self) -> Repository:
        if self._opened is None:
            self._opened = Repository(self._directory)
        return self._opened


class _Parts(RawIOBase):
    """Parts of a file as the file, of which no more than one is in memory; `done` is called when it is closed."""

    def __init__(self, parts: Iterator[bytes], done: Callable[[], None]) -> None:
        self._parts = parts
        self._part = memoryview(b"")
        self._done = done

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As much of the current part as there is room for."""
        while not self._part and (part := next(self._parts, None)) is not None:
            self._part = memoryview(part)
        count = min(len(buffer), len(self._part))
        buffer[:count] = self._part[:count]
        self._part = self._part[count:]
        return count

    def close(self) -> None:
        """The next one may be opened."""
        if not self.closed:
            super().close()
            self._done()
