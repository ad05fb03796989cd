"""What retention wants of a place, and the questions it asks there: what is there, and what may go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from buildkit.errors import CorruptContent, NotFound
from buildkit.image.digest import Digest, is_digest
from buildkit.retention.applying import Rest
from buildkit.retention.keep import Keep
from buildkit.retention.names import Kind, name_of
from buildkit.retention.plan import Plan, Rules, is_dated, make_plan
from buildkit.retention.stock import Node, Stock

# Signatures of signatures, indexes of indexes: whatever is deeper was made to keep us busy.
DEEPEST = 16


class Done(NamedTuple):
    """How many manifests were removed, and how many had gone before."""

    removed: int
    gone: int


class Shelf(Protocol):
    """A repository of a registry (`registry.py`), or a layout (`layout.py`)."""

    def stock(self, dated: Callable[[str], bool]) -> Stock:
        """What is there; `dated` says of which tags the age matters."""

    def nodes(self, digests: Iterable[Digest]) -> dict[Digest, Node]:
        """These manifests and the indexes below them, as far as they are there."""

    def extend(self, stock: Stock, digests: Sequence[Digest]) -> Stock:
        """With what is attached to these digests."""

    def remove(self, rest: Rest) -> Done:
        """Take it out; may be interrupted anywhere, and repeated."""


def take_stock(place: str, shelf: Shelf, keep: Keep, rules: Rules, planned: Iterable[Digest] = ()) -> Stock:
    """What is there, with what is to be kept by its digest, and what a plan names: both may have no tag.

    NotFound where something of this place is to be kept and is not there: then nobody knows what it needs.
    """
    stock = shelf.stock(lambda tag: is_dated(tag, rules))
    kept = keep.digests(place)
    unseen = [digest for digest in (*kept, *planned) if digest not in stock.nodes]
    stock = stock.with_nodes(shelf.nodes(unseen))
    for digest, entry in kept.items():
        if digest not in stock.nodes and not is_digest(entry):  # a digest alone may be of another repository
            raise NotFound(f"{entry} is to be kept, and is not there", "check it, or take it off expire.keep")
    return stock


def commits_of(stock: Stock) -> set[str]:
    """The commits that tags are called after."""
    return {name.commit for name in map(name_of, stock.tags) if name.kind is Kind.COMMIT}


def plan_for(
    place: str,
    shelf: Shelf,
    stock: Stock,
    keep: Keep,
    rules: Rules,
    now: int,
    planned: Collection[Digest] = (),
) -> tuple[Plan, Stock]:
    """What may go, and the stock with all that was asked for; `now` in seconds since 1970. Writes nothing.

    What is attached to a manifest matters once that is to go: then it is asked for, and all is decided again.
    """
    for _ in range(DEEPEST):
        plan = make_plan(place, stock, keep, rules, now, planned)
        unasked = [one.digest for one in plan.removals if one.digest not in stock.referrers]
        if not unasked:
            return plan, stock
        stock = shelf.extend(stock, unasked)
    raise CorruptContent(f"referrers in {place} are nested without end", "look at who pushed them")
