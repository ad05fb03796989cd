"""Which tags and manifests of one place may go, and why the others stay: pure, so that a plan can be made again.

1. Each tag is judged by itself: what holds it (git, the settings, its age, the newest N), or that it may go.
2. `stock.decide` follows what needs what: a manifest goes only where nothing that stays needs it.
3. What is left is ordered so that it can be interrupted anywhere (`stock.waves`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

from buildkit.image.digest import Digest
from buildkit.retention.keep import Keep
from buildkit.retention.names import Kind, Name, name_of
from buildkit.retention.stock import Fate, Stock, Ties, decide, waves

DAY = 86400
# Builds that are to be reproducible write 1970 (or 1980, as zip files do) where they have no date.
_NO_DATE = 10 * 366 * DAY + DAY


class Rules(NamedTuple):
    """What may go: older than `older_than` seconds, and not among the newest `keep` of its variant.

    `branches` are patterns of tags that are no commit's and may go too. `unknown_commits`: whether tags of commits
    that the repository does not know may go.
    """

    older_than: int = 30 * DAY
    keep: int = 0
    branches: tuple[str, ...] = ()
    unknown_commits: bool = False


class Why(StrEnum):
    """Why a tag stays."""

    NAMED = "a git ref or the settings name it"
    NO_COMMIT = "it is no commit's tag"
    UNKNOWN = "its commit is not known here"
    UNDATED = "it does not say when it was made"
    YOUNG = "it is not old enough"
    NEWEST = "it is among the newest"
    NEEDED = "something that stays needs it"
    ATTACHED = "what it belongs to stays, or is not here"


class Kept(NamedTuple):
    """A tag that stays; `by` is the ref, entry or tag that holds it, where there is one."""

    tag: str
    why: Why
    by: str = ""


class Removal(NamedTuple):
    """A manifest that goes with all its tags. `created` is RFC 3339, "" where nobody asked."""

    digest: Digest
    tags: tuple[str, ...] = ()
    created: str = ""
    why: str = ""
    ties: Ties = Ties()


class Plan(NamedTuple):
    """For one place; `removals` in an order that can be interrupted anywhere, `kept` by tag."""

    removals: tuple[Removal, ...]
    kept: tuple[Kept, ...]
    fate: Fate


def make_plan(
    place: str, stock: Stock, keep: Keep, rules: Rules, now: int, planned: Collection[Digest] = ()
) -> Plan:
    """`now` is in seconds since 1970. Equal for equal input, in whatever order a registry lists it.

    `planned` are the manifests of an older plan: those that no tag names by now, a run that was cut off has begun with.
    """
    verdicts = {tag: _judge(place, tag, stock, keep, rules, now) for tag in sorted(stock.tags)}
    _hold_newest(verdicts, stock, rules.keep)
    candidates = {tag for tag, verdict in verdicts.items() if verdict is None}
    tagged = set(stock.tags.values())
    fate = decide(stock, candidates, keep.digests(place), [one for one in planned if one not in tagged])
    gone = fate.removed
    by_digest: dict[Digest, list[str]] = {}
    for tag, digest in sorted(stock.tags.items()):
        by_digest.setdefault(digest, []).append(tag)
    removals = [
        _removal(digest, by_digest.get(digest, []), stock, gone[digest], now)
        for wave in waves(gone)
        for digest in wave
    ]
    kept = [
        _kept(tag, verdicts[tag], fate, digest) for tag, digest in stock.tags.items() if digest not in gone
    ]
    return Plan(tuple(removals), tuple(sorted(kept)), fate)


def seconds_of(created: str) -> int | None:
    """Seconds since 1970 of an RFC 3339 time; None for what is none, or stands for no date at all."""
    try:
        found = datetime.fromisoformat(created)
        seconds = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > _NO_DATE else None


def is_dated(tag: str, rules: Rules) -> bool:
    """Whether the age of this tag matters: asking for it may cost a request."""
    name = name_of(tag)
    return name.kind is Kind.COMMIT or (name.kind is Kind.NAMED and _is_branch(tag, rules))


def _judge(place: str, tag: str, stock: Stock, keep: Keep, rules: Rules, now: int) -> Kept | None:
    """Why this tag stays whatever others do; None where it may go."""
    name = name_of(tag)
    if holder := keep.holder(place, tag, name, stock.nodes.get(stock.tags[tag])):
        return Kept(tag, Why.NAMED, holder)
    if name.kind is Kind.ATTACHED:
        return Kept(tag, Why.ATTACHED)
    if name.kind is Kind.NAMED and not _is_branch(tag, rules):
        return Kept(tag, Why.NO_COMMIT)
    if _is_unknown(name, keep) and (keep.refs.shallow or not rules.unknown_commits):
        return Kept(tag, Why.UNKNOWN)
    made = _made(tag, stock)
    if made is None:
        return Kept(tag, Why.UNDATED)
    return Kept(tag, Why.YOUNG) if now - made < max(rules.older_than, 0) else None


def _is_unknown(name: Name, keep: Keep) -> bool:
    return name.kind is Kind.COMMIT and name.commit not in keep.refs.known


def _is_branch(tag: str, rules: Rules) -> bool:
    return any(fnmatchcase(tag, pattern) for pattern in rules.branches)


def _made(tag: str, stock: Stock) -> int | None:
    node = stock.nodes.get(stock.tags[tag])
    return seconds_of(node.created) if node else None


def _hold_newest(verdicts: dict[str, Kept | None], stock: Stock, count: int) -> None:
    """The newest commits of each variant stay, those among them that stay anyway counted."""
    if count < 1:
        return
    dated: dict[str, list[tuple[int, str]]] = {}
    for tag in verdicts:
        name, made = name_of(tag), _made(tag, stock)
        if name.kind is Kind.COMMIT and made is not None:
            dated.setdefault(name.variant, []).append((made, tag))
    for found in dated.values():
        for _, tag in sorted(found, reverse=True)[:count]:
            verdicts[tag] = verdicts[tag] or Kept(tag, Why.NEWEST)


def _kept(tag: str, verdict: Kept | None, fate: Fate, digest: Digest) -> Kept:
    return verdict or Kept(tag, Why.NEEDED, fate.held.get(digest, ""))


def _removal(digest: Digest, tags: list[str], stock: Stock, ties: Ties, now: int) -> Removal:
    node = stock.nodes.get(digest)
    created = node.created if node else ""
    if ties.parents:
        why = f"part of {_short(ties.parents[0])}"
    elif ties.subjects:
        why = f"attached to {_short(ties.subjects[0])}"
    else:
        made = seconds_of(created)
        why = f"{(now - made) // DAY} days old, and nothing names it" if made is not None else ""
    return Removal(digest, tuple(tags), created, why, ties)


def _short(digest: Digest) -> str:
    return digest[:19]


def counts(kept: tuple[Kept, ...]) -> Mapping[Why, int]:
    """How many tags stay for each reason that there is."""
    return {why: count for why in Why if (count := sum(1 for one in kept if one.why is why))}
