"""The protected branch: what it says was reviewed and merged, so it may say where images go.

It is origin's HEAD as `ls-remote` tells it, never the remote-tracking ref, which may be old; with no remote, the
local `main`.
"""

from __future__ import annotations

from typing import NamedTuple

from buildkit.errors import TreeshipError
from buildkit.git.commit import Commit
from buildkit.git.repository import Repository

_SECONDS = 20.0


class Protected(NamedTuple):
    """The branch's tip; `origin` is how a person would call it."""

    commit: Commit
    origin: str


def protected_tip(repository: Repository) -> Protected | None:
    """The tip of the protected branch; None where there is no such branch.

    Raises Unavailable where the remote cannot be asked.
    """
    if not repository.config("remote.origin.url"):
        commit = repository.find_commit("refs/heads/main")
        return Protected(commit, f"main ({commit.oid[:12]})") if commit else None
    answer = repository.run(["ls-remote", "origin", "HEAD"], timeout=_SECONDS)
    # It answers with every ref whose last part is HEAD: anybody's branch `x/HEAD` too.
    oid = next(
        (line[: -len(b"\tHEAD")].decode() for line in answer.splitlines() if line.endswith(b"\tHEAD")), ""
    )
    if not oid:
        return None
    commit = repository.find_commit(oid) or _fetch(repository, oid)
    return Protected(commit, f"origin's HEAD ({oid[:12]})") if commit else None


def _fetch(repository: Repository, oid: str) -> Commit | None:
    """A shallow clone of a branch need not have it. What is fetched gets no ref: nothing of the user's changes."""
    arguments = ["fetch", "-q", "--depth=1", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no",
                 "--no-auto-gc", "origin", oid]  # fmt: skip
    try:
        repository.run(arguments, timeout=10 * _SECONDS)
    except TreeshipError:
        return None
    return repository.find_commit(oid)
