"""What a plan removes, and why the rest stays."""

from __future__ import annotations

import pytest

from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.retention.keep import Keep, parse_entries, parse_places
from buildkit.retention.names import Kind, as_tag, name_of
from buildkit.retention.plan import Plan, Rules, Why, counts, seconds_of
from buildkit.retention.stock import Node
from tests.buildkit.retention.support import (
    MONTH,
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

ONE, TWO, THREE = commit(1), commit(2), commit(3)
KNOWN = (ONE, TWO, THREE)


def image(name: object, created: str = OLD, *, subject: Digest | None = None) -> Node:
    return Node(digest(name), (), subject, created)


def index(name: object, *children: Node, created: str = OLD) -> Node:
    return Node(digest(name), tuple(child.digest for child in children), None, created)


def shelf(*nodes: Node, old: bool = False, **tags: Node) -> Memory:
    """Tags as keywords: `c1` is the tag of commit 1, `c1_training` its variant's, `_` is `-` elsewhere."""
    named = {_tag(word): node.digest for word, node in tags.items()}
    return Memory(named, (*nodes, *tags.values()), old=old)


def _tag(word: str) -> str:
    head, _, variant = word.partition("_")
    if head[:1] == "c" and head[1:].isdigit():
        return commit(int(head[1:])) + (f"-{variant}" if variant else "")
    return word.replace("_", "-")


def why(plan: Plan, tag: str) -> Why:
    return next(kept.why for kept in plan.kept if kept.tag == tag)


# What tags are called


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        (ONE, Kind.COMMIT),
        (f"{ONE}-training", Kind.COMMIT),
        ("a" * 64, Kind.COMMIT),
        (f"sha256-{'a' * 64}", Kind.ATTACHED),
        (f"sha256-{'a' * 64}.sig", Kind.ATTACHED),
        (f"sha256-{'a' * 64}.att", Kind.ATTACHED),
        ("main", Kind.NAMED),
        ("v1.2", Kind.NAMED),
        (ONE[:12], Kind.NAMED),
        ("A" * 40, Kind.NAMED),
        (f"{ONE}-", Kind.NAMED),
        ("sha256-abc", Kind.NAMED),
    ],
)
def test_kinds_of_tags(tag: str, kind: Kind) -> None:
    assert name_of(tag).kind is kind


def test_branches_as_tags() -> None:
    assert as_tag("feature/Fast Path#7") == "feature-fast-path-7"


# By age


def test_an_old_image_that_nothing_names_goes() -> None:
    plan = planned(shelf(c1=image("one"), c2=image("two", NEW)), keeping(known=KNOWN))

    assert gone_tags(plan) == {ONE}
    assert plan.removals[0].why == "105 days old, and nothing names it"
    assert why(plan, TWO) is Why.YOUNG


@pytest.mark.parametrize(
    "created",
    ["", "yesterday", "1970-01-01T00:00:00Z", "1980-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-99-99"],
)
def test_what_does_not_say_when_it_was_made_stays(created: str) -> None:
    plan = planned(shelf(c1=image("one", created)), keeping(known=KNOWN), Rules(older_than=0))

    assert why(plan, ONE) is Why.UNDATED


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14T22:13:20.123456789Z", NOW),
        ("2023-11-14T22:13:20", NOW),
        ("not a date", None),
    ],
)
def test_dates(text: str, seconds: int | None) -> None:
    assert seconds_of(text) == seconds


def test_what_is_of_the_future_stays() -> None:
    plan = planned(shelf(c1=image("one", "2099-01-01T00:00:00Z")), keeping(known=KNOWN), Rules(older_than=0))

    assert why(plan, ONE) is Why.YOUNG


# By count


def test_the_newest_of_each_variant_stay() -> None:
    dates = [f"2023-0{month}-01T00:00:00Z" for month in (1, 2, 3)]
    store = shelf(
        c1=image(1, dates[0]), c2=image(2, dates[1]), c3=image(3, dates[2]),
        c1_training=image("1t", dates[0]), c2_training=image("2t", dates[1]),
    )  # fmt: skip

    plan = planned(store, keeping(known=KNOWN), MONTH._replace(keep=1))

    assert gone_tags(plan) == {ONE, TWO, f"{ONE}-training"}
    assert why(plan, THREE) is Why.NEWEST


# By what git names


def test_what_a_ref_names_stays_with_its_variants() -> None:
    store = shelf(c1=image(1), c1_training=image("1t"), c2=image(2))

    plan = planned(store, keeping(tips=[ONE], known=KNOWN))

    assert gone_tags(plan) == {TWO}
    assert {kept.by for kept in plan.kept} == {"refs/heads/some"}


def test_commits_that_are_not_known_stay_unless_they_are_asked_for() -> None:
    store = shelf(c1=image(1))

    assert why(planned(store, keeping()), ONE) is Why.UNKNOWN
    asked = MONTH._replace(unknown_commits=True)
    assert gone_tags(planned(store, keeping(), asked)) == {ONE}
    assert why(planned(store, keeping(shallow=True), asked), ONE) is Why.UNKNOWN


# By branch


def test_other_tags_stay_unless_a_pattern_names_them() -> None:
    store = shelf(feature_x=image(1), v1=image(2))

    plan = planned(store, keeping(), MONTH._replace(branches=("feature-*",)))

    assert gone_tags(plan) == {"feature-x"}
    assert why(plan, "v1") is Why.NO_COMMIT


def test_a_branch_that_git_still_has_keeps_its_tag() -> None:
    store = shelf(feature_x=image(1))

    plan = planned(store, keeping(names=["feature-x"]), MONTH._replace(branches=("*",)))

    assert why(plan, "feature-x") is Why.NAMED


VARIANTS = MONTH._replace(branches=("feature-*",))


@pytest.mark.parametrize(
    ("of", "keep"),
    [
        (("", "ci"), keeping(names=["feature-x"])),  # the branch has moved on, and its tags have not
        ((ONE, "ci"), keeping(tips=[ONE])),  # the tip itself, whatever the tag is called
        ((ONE, ""), keeping(tips=[ONE])),
    ],
)
def test_a_branch_holds_the_tags_of_all_its_variants(of: tuple[str, str], keep: Keep) -> None:
    made = image(1)._replace(revision=of[0], variant=of[1])

    plan = planned(shelf(feature_x_ci=made, feature_y_ci=image(2)._replace(variant="ci")), keep, VARIANTS)

    assert gone_tags(plan) == {"feature-y-ci"}
    assert why(plan, "feature-x-ci") is Why.NAMED


def test_what_an_image_says_of_itself_never_lets_it_go() -> None:
    """A commit's tag is held by its commit, a branch's by its branch: other words in the image change nothing."""
    liar = Node(digest("liar"), created=OLD, revision=TWO, variant="x")
    store = shelf(c1=liar, feature_x=liar)

    assert planned(store, keeping(tips=[ONE], known=KNOWN), VARIANTS).removals == ()
    assert planned(store, keeping(names=["feature-x"], known=KNOWN), VARIANTS).removals == ()


def test_a_pattern_for_all_tags_spares_what_is_attached() -> None:
    store = shelf(c1=image(1, NEW))
    store.tags[f"sha256-{digest(1).hex}.sig"] = digest("sig")
    store.tags[f"sha256-{digest('elsewhere').hex}.sig"] = digest("other")
    store.manifests |= {one: Node(one, created=OLD) for one in (digest("sig"), digest("other"))}

    plan = planned(store, keeping(known=KNOWN), MONTH._replace(branches=("*",)))

    assert plan.removals == ()


# By settings


@pytest.mark.parametrize(
    "entry",
    [
        f"registry.example/team/app:{ONE}",
        f"{PLACE}:{ONE}",
        f"registry.example/team/app@{digest(1)}",
        f"Registry.Example:443/team/app:{ONE}",
        f"{PLACE}:{ONE}@{digest(1)}",
        ONE,
        f"{ONE[:20]}*",
        digest(1),
    ],
)
def test_what_the_settings_list_stays(entry: str) -> None:
    store = shelf(c1=image(1), c2=image(2))

    assert gone_tags(planned(store, keeping(entry, known=KNOWN))) == {TWO}


def test_what_they_list_of_other_repositories_is_no_matter_here() -> None:
    keep = keeping(f"registry.example/other:{ONE}", f"docker-daemon:app:{ONE}", f"oci:x:{ONE}", known=KNOWN)

    assert gone_tags(planned(shelf(c1=image(1)), keep)) == {ONE}


@pytest.mark.parametrize("entry", ["", " v1", "@", "v1 v2", "registry.example/team/app", "oci:dir", "a/b:v*"])
def test_what_could_keep_nothing_is_refused(entry: str) -> None:
    with pytest.raises(InvalidInput):
        parse_entries([entry])


@pytest.mark.parametrize("text", ["docker-daemon:app", "scratch", f"{PLACE}:v1", f"{PLACE}@{digest(1)}"])
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_places([text])


# By what needs what


def test_a_tag_holds_the_manifest_and_so_its_other_tags() -> None:
    one = image(1)

    plan = planned(shelf(c1=one, main=one), keeping(known=KNOWN))

    assert (why(plan, ONE), counts(plan.kept)) == (Why.NEEDED, {Why.NO_COMMIT: 1, Why.NEEDED: 1})
    assert next(kept.by for kept in plan.kept if kept.tag == ONE) == "main"


def test_an_index_goes_before_its_images() -> None:
    amd64, arm64 = image("amd64"), image("arm64")

    plan = planned(shelf(amd64, arm64, c1=index("index", amd64, arm64)), keeping(known=KNOWN))

    assert plan.removals[0].digest == digest("index")
    assert {removal.digest for removal in plan.removals} == {digest("index"), amd64.digest, arm64.digest}


def test_an_image_that_a_kept_index_needs_stays() -> None:
    amd64, arm64 = image("amd64"), image("arm64")
    store = shelf(arm64, c1=index("one", amd64, arm64), main=index("two", amd64), c2=amd64)

    plan = planned(store, keeping(known=KNOWN))

    assert {removal.digest for removal in plan.removals} == {digest("one"), arm64.digest}
    assert why(plan, TWO) is Why.NEEDED


def test_a_digest_that_is_kept_holds_its_images_without_any_tag() -> None:
    amd64 = image("amd64")
    store = shelf(index("untagged", amd64), c1=amd64)

    assert planned(store, keeping(digest("untagged"), known=KNOWN)).removals == ()


@pytest.mark.parametrize("old", [False, True])
def test_signatures_go_with_their_image_and_stay_with_it(old: bool) -> None:
    """As referrers, by the tags of those who cannot ask for referrers, and by cosign's tags."""
    nodes: list[Node] = []
    tags: dict[str, Digest] = {}
    for number in (1, 2):
        subject = digest(number)
        signature = Node(digest(f"signature {number}"), subject=subject)
        listed = Node(digest(f"listed {number}"), (signature.digest,))
        cosign = Node(digest(f"cosign {number}"))
        nodes += [image(number, OLD if number == 1 else NEW), signature, listed, cosign]
        tags |= {
            commit(number): subject,
            f"sha256-{subject.hex}": listed.digest,
            f"sha256-{subject.hex}.sig": cosign.digest,
        }

    plan = planned(Memory(tags, nodes, old=old), keeping(known=KNOWN))

    expected = [digest(1), *map(digest, ("listed 1", "cosign 1", "signature 1"))]
    assert plan.removals[0].digest == digest(1)
    assert {removal.digest for removal in plan.removals} == set(expected)


def test_a_signature_of_a_signature_goes_too() -> None:
    first = Node(digest("first"), subject=digest(1))
    second = Node(digest("second"), subject=first.digest)
    store = shelf(first, second, c1=image(1))

    plan = planned(store, keeping(known=KNOWN))

    assert [removal.digest for removal in plan.removals] == [digest(1), first.digest, second.digest]
    assert sorted(store.asked) == sorted(removal.digest for removal in plan.removals)


def test_signatures_kept_in_a_repository_of_their_own_stay() -> None:
    """Whatever they sign is not here: that says nothing about whether it still exists."""
    store = Memory({f"sha256-{digest('image').hex}.sig": digest("sig")}, [Node(digest("sig"), created=OLD)])

    assert planned(store, keeping(), MONTH._replace(unknown_commits=True, branches=("*",))).removals == ()


def test_a_tagged_referrer_holds_what_it_is_about() -> None:
    report = Node(digest("report"), subject=digest(1))

    assert planned(shelf(c1=image(1), report=report), keeping(known=KNOWN)).removals == ()


# The keep set


def test_the_keep_set_has_a_digest() -> None:
    base = keeping("v1", tips=[ONE])

    assert base.digest == keeping("v1", tips=[ONE], known=[TWO]).digest
    assert len({base.digest, keeping("v2", tips=[ONE]).digest, keeping("v1", tips=[TWO]).digest}) == 3
