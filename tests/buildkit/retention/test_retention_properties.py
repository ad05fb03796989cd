"""For any repository: nothing that stays loses what it needs, wherever a run is cut off, and plans are equal."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildkit.image.digest import Digest
from buildkit.retention.applying import shrink
from buildkit.retention.keep import Keep
from buildkit.retention.names import name_of
from buildkit.retention.plan import DAY, Plan, Removal, Rules
from buildkit.retention.planfile import PlanFile, dump, load
from buildkit.retention.shelf import plan_for, take_stock
from buildkit.retention.stock import Node
from tests.buildkit.retention.support import (
    NEW,
    NOW,
    OLD,
    PLACE,
    Memory,
    commit,
    digest,
    gone_tags,
    keeping,
    planned,
)

Item = TypeVar("Item")
COUNT = 9
COMMITS = [commit(number) for number in range(1, 6)]
RULES = Rules(older_than=30 * DAY, branches=("feature-*",))
SLOW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class World(NamedTuple):
    """A repository, and what is to be kept of it."""

    tags: dict[str, Digest]
    nodes: tuple[Node, ...]
    tips: tuple[str, ...]
    entries: tuple[str, ...]
    old: bool
    names: tuple[str, ...] = ()

    def shelf(self) -> Memory:
        """The repository, fresh."""
        return Memory(self.tags, self.nodes, old=self.old)

    def keep(self, *more: str) -> Keep:
        """The keep set, and `more` tips."""
        return keeping(*self.entries, tips=(*self.tips, *more), names=self.names, known=COMMITS)


some = st.sampled_from([digest(number) for number in range(COUNT)])
tags = st.one_of(
    st.sampled_from(COMMITS),
    st.sampled_from([f"{one}-training" for one in COMMITS]),
    st.sampled_from(["main", "v1", "feature-x", "feature-x-ci"]),
    st.builds(lambda one, end: f"sha256-{one.hex}{end}", some, st.sampled_from(["", ".sig"])),
)


@st.composite
def nodes(draw: st.DrawFn) -> tuple[Node, ...]:
    """Manifests whose children and subjects are older than they are, as digests make sure."""
    found: list[Node] = []
    for number in range(COUNT):
        below = st.sampled_from([digest(one) for one in range(number)]) if number else st.nothing()
        children = draw(st.lists(below, max_size=3, unique=True)) if number and draw(st.booleans()) else []
        subject = draw(st.none() | below) if number else None
        found.append(
            Node(
                digest(number),
                tuple(children),
                subject,
                draw(st.sampled_from([OLD, OLD, NEW, ""])),
                draw(st.sampled_from(["", *COMMITS])),
                draw(st.sampled_from(["", "ci"])),
            )
        )
    return tuple(found)


worlds = st.builds(
    World,
    st.dictionaries(tags, some, max_size=12),
    nodes(),
    st.lists(st.sampled_from(COMMITS), max_size=2).map(tuple),
    st.lists(st.sampled_from(["v1", f"{PLACE}@{digest(3)}", f"{COMMITS[0]}*"]), max_size=1).map(tuple),
    st.booleans(),
    st.lists(st.sampled_from(["feature-x", "main"]), max_size=1).map(tuple),
)


def check_whole(before: Memory, after: Memory) -> None:
    """What is still there has everything that it had."""
    for tag, found in after.tags.items():
        assert found in after.manifests, f"{tag} leads nowhere"
    for one, node in after.manifests.items():
        if one in _reachable(after):
            lost = [
                each for each in node.children if each in before.manifests and each not in after.manifests
            ]
            assert not lost, "an index lost its image"


def check_attached(before: Memory, after: Memory, kept: set[str]) -> None:
    """What the tags that stay lead to has its signatures, whatever kind of list they are in."""
    reachable = set(before.nodes(before.tags[tag] for tag in kept))
    for one in reachable:
        assert one in after.manifests
        for node in () if before.old else before.manifests.values():
            assert node.subject != one or node.digest in after.manifests
        for tag, found in before.tags.items():
            assert name_of(tag).subject != one or found in after.manifests


def _reachable(memory: Memory) -> set[Digest]:
    return set(memory.nodes(memory.tags.values()))


def kept_tags(plan: Plan) -> set[str]:
    return {kept.tag for kept in plan.kept}


@SLOW
@given(worlds)
def test_nothing_that_stays_loses_anything_wherever_it_is_cut_off(world: World) -> None:
    before, keep = world.shelf(), world.keep()
    plan = planned(before, keep, RULES)

    after = world.shelf()
    for removal in plan.removals:
        after.delete(removal.digest)
        check_whole(before, after)
        check_attached(before, after, kept_tags(plan) & before.tags.keys())
    assert after.tags.keys() == kept_tags(plan)


@SLOW
@given(worlds, st.randoms(use_true_random=False))
def test_a_plan_does_not_hang_on_the_order_of_lists(world: World, random: Random) -> None:
    shuffled = world._replace(
        tags=dict(_shuffled(world.tags.items(), random)),
        nodes=tuple(_shuffled(world.nodes, random)),
    )

    assert planned(world.shelf(), world.keep(), RULES) == planned(shuffled.shelf(), world.keep(), RULES)


@SLOW
@given(worlds, st.sampled_from(COMMITS))
def test_who_keeps_more_removes_less(world: World, tip: str) -> None:
    less = planned(world.shelf(), world.keep(tip), RULES)
    more = planned(world.shelf(), world.keep(), RULES)

    assert {one.digest for one in less.removals} <= {one.digest for one in more.removals}


@SLOW
@given(worlds)
def test_no_tag_of_a_tip_and_none_of_a_branch_goes(world: World) -> None:
    gone = gone_tags(planned(world.shelf(), world.keep(), RULES))
    nodes = {node.digest: node for node in world.nodes}

    for tag, found in world.tags.items():
        if tag in gone and not tag.startswith("sha256-"):
            assert nodes[found].revision not in world.tips
            assert tag[:40] not in world.tips
            assert tag not in world.names
            assert not ("feature-x" in world.names and tag == "feature-x-ci" and nodes[found].variant == "ci")


@SLOW
@given(worlds)
def test_when_a_plan_is_done_there_is_nothing_more_to_do(world: World) -> None:
    memory = world.shelf()
    for removal in planned(memory, world.keep(), RULES).removals:
        memory.delete(removal.digest)

    assert planned(memory, world.keep(), RULES).removals == ()


@SLOW
@given(worlds, st.integers(0, COUNT))
def test_an_interrupted_run_is_finished_by_the_next(world: World, cut: int) -> None:
    plan, memory = planned(world.shelf(), world.keep(), RULES), world.shelf()
    for removal in plan.removals[:cut]:
        memory.delete(removal.digest)

    apply(plan, memory, world.keep())

    assert not memory.manifests.keys() & {removal.digest for removal in plan.removals}


@SLOW
@given(worlds, st.lists(st.tuples(tags, some), max_size=3), st.lists(st.sampled_from(COMMITS), max_size=2))
def test_a_plan_only_shrinks_and_hurts_nothing_that_came_since(
    world: World, moves: list[tuple[str, Digest]], tips: list[str]
) -> None:
    """Tags were moved and made, branches were pushed: what holds now is held."""
    plan, memory = planned(world.shelf(), world.keep(), RULES), world.shelf()
    memory.tags |= dict(moves)
    before = Memory(memory.tags, memory.manifests.values(), old=world.old)
    keep = world.keep(*tips)
    now = planned(Memory(memory.tags, memory.manifests.values(), old=world.old), keep, RULES)

    removed = apply(plan, memory, keep, before)

    assert {one.digest for one in removed} <= {one.digest for one in plan.removals}
    for tag, found in before.tags.items():
        if tag not in memory.tags:
            assert found in {one.digest for one in removed if tag in one.tags}
            assert (tag, found) in world.tags.items(), "a tag that came since was removed"
    check_attached(before, memory, kept_tags(now) & before.tags.keys())


def apply(plan: Plan, memory: Memory, keep: Keep, before: Memory | None = None) -> list[Removal]:
    """As the verb does; whole at every step. What was removed."""
    before = before or Memory(memory.tags, memory.manifests.values(), old=memory.old)
    digests = [removal.digest for removal in plan.removals]
    stock = take_stock(PLACE, memory, keep, RULES, digests)
    rest = shrink(plan.removals, *plan_for(PLACE, memory, stock, keep, RULES, NOW, digests))
    removed = [removal for wave in rest.waves for removal in wave]
    for removal in removed:
        memory.delete(removal.digest)
        check_whole(before, memory)
    return removed


@SLOW
@given(worlds)
def test_a_plan_is_read_as_it_was_written(world: World) -> None:
    plan = planned(world.shelf(), world.keep(), RULES)
    file = PlanFile("2023-11-14T22:13:20Z", RULES, world.keep().digest, {PLACE: plan.removals})

    assert load(dump(file), "plan.jsonl") == file


def _shuffled(items: Iterable[Item], random: Random) -> list[Item]:
    found = list(items)
    random.shuffle(found)
    return found
