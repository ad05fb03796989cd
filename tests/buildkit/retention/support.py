"""What tests of retention share: a repository that is a few dictionaries, and words for commits and dates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from buildkit.image.digest import Digest
from buildkit.retention.applying import Rest
from buildkit.retention.keep import Keep, Refs, parse_entries
from buildkit.retention.plan import DAY, Plan, Rules
from buildkit.retention.shelf import Done, plan_for, take_stock
from buildkit.retention.stock import Node, Stock

PLACE = "docker://registry.example/team/app"
NOW = 1_700_000_000
OLD, NEW = "2023-08-01T00:00:00Z", "2023-11-14T00:00:00Z"
MONTH = Rules(older_than=30 * DAY)


def digest(name: object) -> Digest:
    """A digest for a name."""
    return Digest.of(str(name).encode())


def commit(number: int) -> str:
    """A commit id."""
    return f"{number:x}" * 40 if number < 16 else f"{number:08x}" * 5


class Memory:
    """A repository as a registry holds it: tags and manifests. It answers about referrers unless it is `old`."""

    def __init__(self, tags: Mapping[str, Digest], nodes: Iterable[Node], *, old: bool = False) -> None:
        self.tags = dict(tags)
        self.manifests = {node.digest: node for node in nodes}
        self.old = old
        self.asked: list[Digest] = []

    def stock(self, dated: Callable[[str], bool]) -> Stock:
        """What is listed, and what can be seen from there."""
        there = {tag: found for tag, found in self.tags.items() if found in self.manifests}
        hidden = [tag for tag in there if not dated(tag)]
        nodes = self.nodes(there.values())
        dates = {there[tag] for tag in there if tag not in hidden}
        nodes = {one: node if one in dates else node._replace(created="") for one, node in nodes.items()}
        return Stock(there, nodes)

    def nodes(self, digests: Iterable[Digest]) -> dict[Digest, Node]:
        """These and all below them."""
        found: dict[Digest, Node] = {}
        waiting = list(digests)
        while waiting:
            one = waiting.pop()
            if one in self.manifests and one not in found:
                found[one] = self.manifests[one]
                waiting += found[one].children
        return found

    def extend(self, stock: Stock, digests: Sequence[Digest]) -> Stock:
        """The manifests that say that they belong to these."""
        self.asked += digests
        nodes = () if self.old else self.manifests.values()
        found = {one: tuple(node.digest for node in nodes if node.subject == one) for one in digests}
        stock = stock._replace(referrers={**stock.referrers, **found})
        return stock.with_nodes(self.nodes(each for several in found.values() for each in several))

    def remove(self, rest: Rest) -> Done:
        """All of it."""
        steps = [removal.digest for wave in rest.waves for removal in wave]
        for step in steps:
            self.delete(step)
        return Done(len(steps), 0)

    def delete(self, one: Digest) -> None:
        """By digest, with its tags, as distribution does."""
        self.manifests.pop(one, None)
        self.tags = {tag: found for tag, found in self.tags.items() if found != one}


def keeping(
    *entries: str,
    tips: Iterable[str] = (),
    names: Iterable[str] = (),
    known: Iterable[str] = (),
    shallow: bool = False,
) -> Keep:
    """A keep set."""
    tips = list(tips)
    refs = Refs(
        dict.fromkeys(tips, "refs/heads/some"),
        {name: f"refs/heads/{name}" for name in names},
        frozenset((*tips, *known)),
        shallow,
    )
    return Keep(refs, parse_entries(entries))


def planned(shelf: Memory, keep: Keep, rules: Rules = MONTH, now: int = NOW) -> Plan:
    """The plan for a repository."""
    return plan_for(PLACE, shelf, take_stock(PLACE, shelf, keep, rules), keep, rules, now)[0]


def gone_tags(plan: Plan) -> set[str]:
    """The tags that a plan would remove."""
    return {tag for removal in plan.removals for tag in removal.tags}
