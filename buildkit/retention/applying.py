"""A plan against what is there now: it may only shrink. Pure.

What git or the settings name by now, a tag that moved, a manifest that got another tag: all that stays, with what
belongs to it. What an earlier, interrupted run has removed already is no difference: the rest of it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildkit.image.digest import Digest
from buildkit.retention.plan import Plan, Removal
from buildkit.retention.stock import Stock, Ties, waves


class Spared(NamedTuple):
    """A manifest of the plan that stays after all, and why."""

    removal: Removal
    why: str


class Rest(NamedTuple):
    """What is left of a plan: `waves` to remove one after the other, and what is spared."""

    waves: tuple[tuple[Removal, ...], ...]
    spared: tuple[Spared, ...]


def shrink(planned: Sequence[Removal], fresh: Plan, stock: Stock) -> Rest:
    """`fresh` is the plan that would be made of `stock` now, with the rules and the date of the old one."""
    now = {removal.digest: removal for removal in fresh.removals}
    tagged: dict[Digest, list[str]] = {}
    for tag, digest in stock.tags.items():
        tagged.setdefault(digest, []).append(tag)
    spared: dict[Digest, Spared] = {}
    for removal in planned:
        why = _spared_for(removal, fresh, stock, tagged)
        if why:
            spared[removal.digest] = Spared(removal, why)
    going = {
        removal.digest: removal._replace(tags=tuple(sorted(tagged.get(removal.digest, ()))))
        for removal in planned
        if removal.digest not in spared
    }
    while stuck := _tied_to_what_stays(going, now, spared):
        for digest, why in stuck.items():
            spared[digest] = Spared(going.pop(digest), why)
    order = waves({digest: _all_ties(removal, now) for digest, removal in going.items()})
    return Rest(tuple(tuple(going[digest] for digest in wave) for wave in order), tuple(spared.values()))


def _spared_for(removal: Removal, fresh: Plan, stock: Stock, tagged: Mapping[Digest, list[str]]) -> str:
    if removal.digest in fresh.fate.held:
        return f"needed by now: {_reason(removal, fresh)}"
    moved = [tag for tag in removal.tags if stock.tags.get(tag, removal.digest) != removal.digest]
    if moved:
        return f"the tag {moved[0]} has moved since"
    new = [tag for tag in tagged.get(removal.digest, ()) if tag not in removal.tags]
    if new:
        return f"it has the tag {min(new)} by now"
    if removal.digest not in fresh.fate.removed and removal.digest in tagged:
        return "it is not to be removed any more"
    return ""


def _reason(removal: Removal, fresh: Plan) -> str:
    kept = next((kept for kept in fresh.kept if kept.tag in removal.tags), None)
    return (kept.by or kept.why.value) if kept else fresh.fate.held[removal.digest]


def _tied_to_what_stays(
    going: Mapping[Digest, Removal], now: Mapping[Digest, Removal], spared: Mapping[Digest, Spared]
) -> dict[Digest, str]:
    """Parts and attachments of what stays: of what is spared, and of what was not in the plan at all."""
    found: dict[Digest, str] = {}
    for digest, removal in going.items():
        known = now.get(digest, removal).ties
        stays = [tie for tie in removal.ties.parents + removal.ties.subjects if tie in spared]
        stays += [tie for tie in known.parents + known.subjects if tie in now and tie not in going]
        if stays:
            found[digest] = f"it belongs to {stays[0]}, which stays"
    return found


def _all_ties(removal: Removal, now: Mapping[Digest, Removal]) -> Ties:
    known = now.get(removal.digest, removal).ties
    return Ties(
        tuple(dict.fromkeys(removal.ties.parents + known.parents)),
        tuple(dict.fromkeys(removal.ties.subjects + known.subjects)),
    )
