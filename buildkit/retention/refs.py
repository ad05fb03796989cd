"""What git names: the refs of a repository and of its origin, and what its work trees have checked out.

Reflogs are not asked: they are one machine's memory, and hold every commit that was ever made on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from buildkit.errors import InvalidInput
from buildkit.git.repository import Repository
from buildkit.retention.keep import Refs
from buildkit.retention.names import as_tag

_SECONDS = 60.0
_NAMED = ("refs/heads/", "refs/tags/")


def read_refs(repository: Repository, commits: Collection[str]) -> Refs:
    """What holds images; of `commits`, those that a ref leads to. Raises what git says: half an answer is none.

    A clone may be old, and hold one branch alone: the branches and tags of `origin` are asked for as well. Its other
    refs are not (`refs/pull`, `refs/keep-around`): hosting services name every commit there for ever.
    """
    tips: dict[str, str] = {}
    names: dict[str, str] = {}
    heads = list(_worktrees(repository))
    for oid, ref in (*_local(repository), *_remote(repository), *heads, *_peeled(repository)):
        tips.setdefault(oid, ref)
        # Of a remote-tracking ref, what stands behind the remote's name is the branch.
        short = ref.removeprefix("refs/remotes/").partition("/")[2] if ref.startswith("refs/remotes/") else ""
        short = short or next((ref.removeprefix(each) for each in _NAMED if ref.startswith(each)), "")
        if short and short != "HEAD":
            names.setdefault(as_tag(short), ref)
    shallow = repository.run(["rev-parse", "--is-shallow-repository"]).strip() == b"true"
    return Refs(tips, names, _reachable(repository, [oid for oid, _ in heads], commits), shallow)


def _local(repository: Repository) -> Iterator[tuple[str, str]]:
    lines = repository.run(["for-each-ref", "--format=%(refname) %(objectname) %(*objectname)"])
    for line in lines.decode(errors="replace").splitlines():
        ref, *oids = line.split()
        for oid in oids:
            yield oid, ref


def _peeled(repository: Repository) -> Iterator[tuple[str, str]]:
    """Tags of tags are followed to their end here, which not every git does above."""
    for oid in repository.run(["rev-list", "--no-walk", "--all"]).decode().split():
        yield oid, "a git ref"


def _worktrees(repository: Repository) -> Iterator[tuple[str, str]]:
    """Every work tree's HEAD, detached ones too; a folder that is gone holds what it held."""
    where = ""
    for line in repository.run(["worktree", "list", "--porcelain"]).decode(errors="replace").splitlines():
        key, _, value = line.partition(" ")
        where = value if key == "worktree" else where
        if key == "HEAD" and value.strip("0"):
            yield value, f"HEAD of {where}"


def _remote(repository: Repository) -> Iterator[tuple[str, str]]:
    if not repository.config("remote.origin.url"):
        return
    answer = repository.run(["ls-remote", "--heads", "--tags", "origin"], timeout=_SECONDS)
    for line in answer.decode(errors="replace").splitlines():
        oid, tab, ref = line.partition("\t")
        if not tab:
            raise InvalidInput("git ls-remote says something that is no list of refs", "try it by hand")
        yield oid, ref.removesuffix("^{}")


def _reachable(repository: Repository, heads: list[str], commits: Collection[str]) -> frozenset[str]:
    if not commits:
        return frozenset()
    # Heads by stdin: there may be many. Nothing here makes a partial clone fetch: its commits are all there.
    listed = repository.run(["rev-list", "--all", "--stdin"], "".join(f"{oid}\n" for oid in heads).encode())
    return frozenset(listed.decode().split()).intersection(commits)
