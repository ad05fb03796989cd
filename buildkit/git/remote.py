"""Repositories by URL: a bare, blobless, depth-1 clone in the cache, which later builds of the same URL add to.

The user's credentials in a URL are taken out of it and handed to git through its environment: arguments can be
read by every user of the machine.
"""

from __future__ import annotations

import base64
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from buildkit.errors import InvalidInput
from buildkit.files import explained
from buildkit.git import process
from buildkit.git.repository import Repository

_ABANDONED_SECONDS = 86400.0
_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Remote(NamedTuple):
    """A URL without its credentials, and these as git settings for the environment."""

    url: str
    settings: tuple[tuple[str, str], ...]


def open_remote(url: str, commit: str, cache: Path) -> tuple[Repository, str]:
    """The cached clone with `commit` (a branch, tag or full id; HEAD by default) in it, and that commit's id.

    Raises NotFound where the remote has no such commit, Unavailable where it cannot be reached.
    """
    remote = split_credentials(url)
    directory = cache.absolute() / "repositories" / sha256(remote.url.encode()).hexdigest()[:32]
    with _lock(directory) as held:
        _prepare(directory, remote)
        repository = Repository(str(directory), remote.settings)
        try:
            return repository, _fetch(repository, commit, remote, held)
        except BaseException:
            repository.close()
            raise


def split_credentials(url: str) -> Remote:
    """Take user and password out of an http URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return Remote(url, ())
    userinfo, _, host = parts.netloc.rpartition("@")
    clean = urlunsplit(parts._replace(netloc=host))
    user, _, password = userinfo.partition(":")
    token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return Remote(clean, ((f"http.{parts.scheme}://{host}/.extraHeader", f"Authorization: Basic {token}"),))


def _prepare(directory: Path, remote: Remote) -> None:
    if directory.exists():
        _unlock(directory)
        return
    # Under another name until it is complete: a build may be killed at any moment.
    fresh = directory.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    process.run(str(directory.parent), ["init", "-q", "--bare", str(fresh)])
    for name, value in (
        ("remote.origin.url", remote.url),
        ("remote.origin.promisor", "true"),
        ("remote.origin.partialclonefilter", "blob:none"),
        ("core.repositoryformatversion", "1"),
        ("extensions.partialclone", "origin"),
    ):
        process.run(str(fresh), ["config", name, value])
    fresh.rename(directory)


def _unlock(directory: Path) -> None:
    """Remove what a git that was killed has left: nobody else is here, and git itself waits for ever."""
    for stale in (*directory.glob("*.lock"), *directory.glob("refs/treeship/*.lock")):
        stale.unlink(missing_ok=True)
    for part in directory.glob("objects/pack/tmp_*"):  # of a fetch of blobs, too, which needs no lock of ours
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                part.unlink()


def _fetch(repository: Repository, commit: str, remote: Remote, held: int) -> str:
    if not commit or commit.startswith("-") or any(c in commit for c in "\n\0:^~?*[\\ "):
        raise InvalidInput(
            f"{commit!r} cannot be asked of a remote", "with a URL, name a branch, a tag or a full commit id"
        )
    # One ref for each name, so that two builds of different commits do not fetch over each other.
    ref = "refs/treeship/" + sha256(commit.encode(errors="surrogateescape")).hexdigest()[:32]
    # Asked by that ref: to ask a partial clone for an id that it lacks would fetch all of its history.
    known = repository.find_commit(ref) if _FULL_ID.fullmatch(commit) else None
    if known is not None:
        return known.oid
    arguments = ["fetch", "-q", "--depth=1", "--filter=blob:none", "--no-tags", "--no-write-fetch-head",
                 "--no-auto-gc", "--recurse-submodules=no", "origin", f"+{commit}:{ref}"]  # fmt: skip
    # git holds our lock too: it may outlive us.
    process.run(repository.directory, arguments, settings=remote.settings, held=(held,))
    return repository.commit(ref).oid


@contextmanager
def _lock(directory: Path) -> Iterator[int]:
    with explained(f"write the clone {directory}"):
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(f"{directory}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
