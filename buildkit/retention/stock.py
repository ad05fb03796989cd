"""What a repository holds, and what needs what: the graph that decides which manifests may go. Pure.

A manifest needs its children (an index), its subject, and what is attached to it: referrers (signatures, SBOMs, base
facts), whether they say so themselves, the registry says so, or a tag does (`sha256-<hex>`, `sha256-<hex>.sig`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from buildkit.errors import CorruptContent
from buildkit.image.digest import Digest
from buildkit.retention.names import name_of


class Node(NamedTuple):
    """One manifest or index. `created` is RFC 3339, "" where nothing says it or nobody asked.

    `revision` (a commit's id) and `variant` are what it says of itself; "" where it says nothing, or nonsense.
    """

    digest: Digest
    children: tuple[Digest, ...] = ()
    subject: Digest | None = None
    created: str = ""
    revision: str = ""
    variant: str = ""


class Stock(NamedTuple):
    """One repository. `nodes` has at least what tags point to and every index below that.

    `listed` are manifests without a tag that are listed all the same (layouts); a registry lists none of those.
    `referrers` are what a registry answered when it was asked about a digest.
    """

    tags: Mapping[str, Digest]
    nodes: Mapping[Digest, Node]
    listed: frozenset[Digest] = frozenset()
    referrers: Mapping[Digest, tuple[Digest, ...]] = {}

    def with_nodes(self, nodes: Mapping[Digest, Node]) -> Stock:
        """And these, which no tag may lead to."""
        return self._replace(nodes={**self.nodes, **nodes})

    def children(self, digest: Digest) -> tuple[Digest, ...]:
        """Of an index; of nothing else."""
        node = self.nodes.get(digest)
        return node.children if node else ()


class Ties(NamedTuple):
    """What a manifest that goes belongs to, among those that go with it: indexes, and what it is attached to."""

    parents: tuple[Digest, ...] = ()
    subjects: tuple[Digest, ...] = ()


class Fate(NamedTuple):
    """`removed`: what goes; `held`: what stays, with the tag or the entry that it stays for."""

    removed: Mapping[Digest, Ties]
    held: Mapping[Digest, str]


def decide(
    stock: Stock, candidates: Collection[str], kept: Mapping[Digest, str], begun: Collection[Digest] = ()
) -> Fate:
    """What follows when the tags `candidates` are no longer wanted, and `kept` are digests that must stay.

    Whatever a tag that stays leads to stays, with all that it needs. So a manifest goes only with all its tags.
    `begun` are manifests that lost their tags in a run that was cut off, or are gone already.
    """
    attached = attachments(stock)
    unwanted = {stock.tags[tag]: tag for tag in candidates} | dict.fromkeys(begun, "")
    doomed = _closure(stock, attached, unwanted, subjects=False)
    roots = dict(kept)
    for tag, digest in sorted(stock.tags.items()):
        subject = name_of(tag).subject
        if tag not in candidates and (subject is None or subject not in doomed):
            roots.setdefault(digest, tag)
    for digest in sorted(stock.listed):
        node = stock.nodes.get(digest)
        if node is None or node.subject is None or node.subject not in doomed:
            roots.setdefault(digest, "it is listed without a tag")
    held = _closure(stock, attached, roots, subjects=True)
    return Fate(_tied(stock, attached, doomed.keys() - held.keys()), held)


def attachments(stock: Stock) -> dict[Digest, set[Digest]]:
    """Subject to what is attached to it."""
    found: dict[Digest, set[Digest]] = {}
    for node in stock.nodes.values():
        if node.subject is not None:
            found.setdefault(node.subject, set()).add(node.digest)
    for subject, referrers in stock.referrers.items():
        found.setdefault(subject, set()).update(referrers)
    for tag, digest in stock.tags.items():
        if (named := name_of(tag).subject) is not None:
            found.setdefault(named, set()).add(digest)
    return found


def waves(removed: Mapping[Digest, Ties]) -> list[list[Digest]]:
    """An order to remove in: a wave may go at once, or be cut off anywhere, when those before it are gone.

    An index goes before its children, so that none ever lacks one; an image before its signatures, so that none
    that is still there has lost them. Tags with misleading names can make these two contradict each other: then
    the first rule counts. CorruptContent where indexes contain each other.
    """
    left = dict(sorted(removed.items()))
    found: list[list[Digest]] = []
    while left:
        ready = [
            digest for digest, ties in left.items() if left.keys().isdisjoint(ties.parents + ties.subjects)
        ]
        ready = ready or [digest for digest, ties in left.items() if left.keys().isdisjoint(ties.parents)]
        if not ready:
            raise CorruptContent("a plan in which indexes contain each other", "make a new plan")
        found.append(ready)
        for digest in ready:
            del left[digest]
    return found


def _tied(
    stock: Stock, attached: Mapping[Digest, Iterable[Digest]], gone: Collection[Digest]
) -> dict[Digest, Ties]:
    parents: dict[Digest, list[Digest]] = {digest: [] for digest in sorted(gone)}
    subjects: dict[Digest, list[Digest]] = {digest: [] for digest in sorted(gone)}
    for digest in sorted(gone):
        for child in dict.fromkeys(stock.children(digest)):
            if child in parents:
                parents[child].append(digest)
        for referrer in sorted(attached.get(digest, ())):
            if referrer in subjects:
                subjects[referrer].append(digest)
    return {digest: Ties(tuple(parents[digest]), tuple(subjects[digest])) for digest in parents}


def _closure(
    stock: Stock,
    attached: Mapping[Digest, Iterable[Digest]],
    roots: Mapping[Digest, str],
    *,
    subjects: bool,
) -> dict[Digest, str]:
    """Everything that the roots lead to, each with the word of the root it was reached from."""
    found: dict[Digest, str] = {}
    waiting = sorted(roots.items(), reverse=True)
    while waiting:
        digest, why = waiting.pop()
        if digest in found:
            continue
        found[digest] = why
        node = stock.nodes.get(digest)
        needs = [*stock.children(digest), *sorted(attached.get(digest, ()))]
        if subjects and node is not None and node.subject is not None:
            needs.append(node.subject)
        waiting += [(needed, why) for needed in needs if needed not in found]
    return found
