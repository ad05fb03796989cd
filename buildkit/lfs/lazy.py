"""LFS content for a build, set up when the first pointer is to be replaced by its content."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from buildkit.config.values import Places
from buildkit.git.address import is_url
from buildkit.git.repository import Repository

if TYPE_CHECKING:
    from buildkit.lfs.content import LfsContent, Origin
    from buildkit.lfs.store import Wanted


class LazyLfs:
    """The `LfsStore` of a build. Without `writes`, what is fetched is kept for this run only."""

    def __init__(
        self,
        repository: Repository,
        places: Places,
        environ: Mapping[str, str] = os.environ,
        *,
        writes: bool = True,
    ) -> None:
        self._repository = repository
        self._places = places
        self._environ = environ
        self._writes = writes
        self._opened: LfsContent | None = None

    def prefetch(self, wanted: Sequence[Wanted]) -> None:
        """Bring what is not here yet, many at once."""
        self._content().prefetch(wanted)

    def open(self, wanted: Wanted) -> BinaryIO:
        """The content, verified."""
        return self._content().open(wanted)

    def _content(self) -> LfsContent:
        if self._opened is None:
            from buildkit.lfs.content import LfsContent
            from buildkit.lfs.store import ObjectStore, stores_of

            storage = (self._repository.config("lfs.storage") or [""])[-1]
            stores = stores_of(str(self._repository.git_directory()), storage)
            kept = os.path.join(self._places.cache, "lfs", "objects") if self._places.cache else ""
            if kept and not self._writes:
                stores, kept = (*stores, ObjectStore(kept)), ""
            self._opened = LfsContent(stores, ObjectStore(kept or self._folder_of_this_run()), self._origin)
        return self._opened

    def _folder_of_this_run(self) -> str:
        import shutil
        import tempfile
        import weakref

        folder = tempfile.mkdtemp(prefix="treeship-lfs-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _origin(self) -> Origin:
        from buildkit.lfs.content import Directories, NoOrigin
        from buildkit.lfs.remote import Directory, Nowhere, Server, find_remote, git_directory
        from buildkit.lfs.store import stores_of

        directory = self._repository.directory
        match find_remote(self._setting(), self._remote_url(), directory):
            case Server(url):
                return self._server(url)
            case Directory(path):
                return Directories(stores_of(git_directory(path)), path)
            case Nowhere() as nowhere:
                return NoOrigin(nowhere)

    def _setting(self) -> str:
        """Ours, else that of this machine's git: neither is part of a commit."""
        git = (*self._repository.config("lfs.url"), *self._repository.config("remote.origin.lfsurl"))
        return self._places.lfs_url or (git[-1] if git else "")

    def _remote_url(self) -> str:
        if is_url(self._places.repo):
            return self._places.repo
        if not self._repository.config("remote.origin.url"):
            return ""
        # Not the setting itself: url.<base>.insteadOf may rewrite it.
        return (
            self._repository.run(["ls-remote", "--get-url", "origin"])
            .decode(errors="surrogateescape")
            .strip()
        )

    def _server(self, url: str) -> Origin:
        from buildkit.lfs.batch import BatchClient
        from buildkit.lfs.credentials import first_of, from_git, from_netrc
        from buildkit.lfs.http import Http, HttpOptions

        options = HttpOptions(
            insecure=frozenset(self._places.insecure),
            ca_file=self._places.ca_file,
            connect_seconds=self._places.timeouts_connect,
            read_seconds=self._places.timeouts_read,
            jobs=self._places.jobs,
        )
        credentials = first_of(from_netrc(self._environ), from_git(self._repository.run))
        return BatchClient(url, Http(options), credentials)
