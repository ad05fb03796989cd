"""Slim rules and eStargz in layers of a build: what they decide, what is told of them, and what they refuse."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from pathlib import Path

import pytest

from buildkit.ancestors import Hint, read_hints
from buildkit.cache import Cache, NoCache
from buildkit.config.values import Holds
from buildkit.dependencies.known import look_up
from buildkit.dependencies.make import ready_layers
from buildkit.dependencies.manner import PLAIN, Manner
from buildkit.dependencies.plan import WheelPlan, layer_key
from buildkit.endpoints import Blob
from buildkit.errors import CorruptContent, InvalidInput
from buildkit.image.annotations import LAYER_PATHS, LAYER_SLIM, LAYER_WHEELS
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Manifest
from buildkit.image.reference import parse_reference
from buildkit.plan import Reason
from buildkit.spool import Spool
from buildkit.wheels import slim
from buildkit.wheels.estargz import TOC_DIGEST, UNCOMPRESSED_SIZE
from buildkit.wheels.slim import LeftOut, read_summary
from tests.buildkit.dependencies.made import Made, content, plan_of
from tests.buildkit.dependencies.support import OTHER, SITE, SLIM, Shelf, locked
from tests.buildkit.wheels import lazily
from tests.buildkit.wheels.support import unpacked

TESTED = {"large/__init__.py": b"", "large/tests/test_a.py": b"a" * 300, "large/b.pyi": b"b" * 20}
MANNERS = {
    "plain": PLAIN,
    "tests": Manner(("tests",)),
    "stubs": Manner(("stubs",)),
    "both": Manner(("tests", "stubs")),
    "kept": Manner(("tests",), ("large/tests/",)),
    "kept, but for another pattern": Manner(("tests",), ("!large/", "large/tests/")),
    "estargz": Manner(estargz=True),
    "estargz, tests": Manner(("tests",), estargz=True),
}
LAZY = MANNERS["estargz, tests"]


def plan(shelf: Shelf, manner: Manner) -> WheelPlan:
    """A large wheel with tests and stubs, and two without that share a layer."""
    return plan_of(shelf.add("large", TESTED), shelf.add("a"), shelf.add("b"), manner=manner)


def hints(made: Made) -> dict[Digest, Hint]:
    """What a build reads of the image of an earlier one."""
    layers = [layer.descriptor for layer, _ in made.ready]
    config = Descriptor("application/vnd.oci.image.config.v1+json", Digest.of(b"{}"), 2)
    reference = parse_reference("docker://registry.example/team/app:main")
    return read_hints([Manifest.build(config, layers, {})], reference)


# Keys


def test_every_setting_that_decides_bytes_is_in_the_key_and_in_the_name_of_the_plan() -> None:
    wheels = [locked("large")]
    keys = {name: layer_key(wheels, SLIM, manner) for name, manner in MANNERS.items()}
    for one, other in combinations(keys, 2):
        assert keys[one] != keys[other], (one, other)
    assert layer_key(wheels, SLIM) == keys["plain"]


def test_what_decides_nothing_is_not_in_it() -> None:
    """The order of rules, one that is named twice, and patterns that keep files from no rule."""
    wheels = [locked("large")]
    both = layer_key(wheels, SLIM, MANNERS["both"])
    assert layer_key(wheels, SLIM, Manner(("stubs", "tests", "stubs"))) == both
    assert Manner.of(Holds(slim=(), slim_keep=("x/",))) == PLAIN
    assert Manner.of(Holds(slim=("tests",), slim_keep=("x/",), estargz=True)) == Manner(
        ("tests",), ("x/",), True
    )


def test_a_plan_remembers_its_manner() -> None:
    for manner in MANNERS.values():
        made = plan_of(locked("large"), manner=manner)
        assert WheelPlan.load(made.dump()) == made


# Bytes


@pytest.mark.parametrize("name", MANNERS)
def test_the_bytes_are_the_same_every_time(shelf: Shelf, tmp_path: Path, name: str) -> None:
    elsewhere = Shelf(tmp_path / "elsewhere")
    first = Made(shelf, plan(shelf, MANNERS[name]), NoCache())
    second = Made(elsewhere, plan(elsewhere, MANNERS[name]), Cache(tmp_path / "cache"))
    assert first.digests == second.digests
    assert [content(each) for each in first.ready] == [content(each) for each in second.ready]


def test_only_wheels_with_something_to_leave_out_become_other_layers(shelf: Shelf) -> None:
    """So nothing is sent again for the others, although their keys differ."""
    plain, slimmed = (Made(shelf, plan(shelf, MANNERS[name]), NoCache()) for name in ("plain", "both"))
    assert plain.digests["wheel-large"] != slimmed.digests["wheel-large"]
    assert plain.digests["wheels-01"] == slimmed.digests["wheels-01"]
    gone = unpacked(plain.read("wheel-large")).keys() - unpacked(slimmed.read("wheel-large")).keys()
    assert gone == {f"{SITE}/large/tests/test_a.py", f"{SITE}/large/b.pyi"}


def test_estargz_has_the_same_files_and_two_of_its_own(shelf: Shelf) -> None:
    plain, lazy = (Made(shelf, plan(shelf, MANNERS[name]), NoCache()) for name in ("plain", "estargz"))
    for name in plain.digests:
        ours, theirs = unpacked(plain.read(name)), unpacked(lazy.read(name))
        assert theirs.keys() - ours.keys() == {".no.prefetch.landmark", "stargz.index.json"}
        assert {path: theirs[path] for path in ours} == ours


# What is told


def test_layers_say_what_was_left_out_and_where_their_table_is(shelf: Shelf) -> None:
    made = Made(shelf, plan(shelf, LAZY), NoCache())
    (large, _), (small, _) = made.ready
    blob = made.read("wheel-large")
    assert large.told[LAYER_WHEELS] == "large==1.0"
    assert large.told[LAYER_PATHS] == str(len(unpacked(blob)) - 2)
    assert json.loads(large.told[LAYER_SLIM]).keys() == {"tests"}
    assert read_summary(large.told[LAYER_SLIM])["tests"][:2] == (1, 300)
    assert large.told[TOC_DIGEST] == lazily.read(blob).digest
    assert large.told[UNCOMPRESSED_SIZE] == str(len(gzip.decompress(blob)))
    assert LAYER_SLIM not in small.told, "nothing was left out of these"
    assert small.told.keys() == {LAYER_WHEELS, LAYER_PATHS, TOC_DIGEST, UNCOMPRESSED_SIZE}


@pytest.mark.parametrize("name", MANNERS)
def test_it_is_told_again_by_the_cache_and_by_an_earlier_image(
    shelf: Shelf, tmp_path: Path, name: str
) -> None:
    cache, manner = Cache(tmp_path / "cache"), MANNERS[name]
    first = Made(shelf, plan(shelf, manner), cache)
    cached = Made(shelf, plan(shelf, manner), cache)
    planned = look_up([plan(shelf, manner)], NoCache(), lambda: hints(first))
    reused = Made(shelf, plan(shelf, manner), NoCache(), planned=planned)
    assert {each.reason for each in cached.planned} == {Reason.CACHED}
    assert {each.reason for each in reused.planned} == {Reason.ANCESTOR}
    for made in (cached, reused):
        assert [layer.descriptor for layer, _ in made.ready] == [layer.descriptor for layer, _ in first.ready]
        assert [Digest.of(content(each)) for each in made.ready] == list(first.digests.values()), "made again"


@pytest.mark.parametrize("wrong", [None, "", "x", "\x1b[2J", "1" * 5000])
@pytest.mark.parametrize("name", [LAYER_PATHS, LAYER_SLIM, TOC_DIGEST, UNCOMPRESSED_SIZE])
def test_an_earlier_image_that_tells_it_wrongly_or_not_at_all_is_not_believed(
    shelf: Shelf, name: str, wrong: str | None
) -> None:
    """The layer is made anew. Only where nothing is said to be left out, that may be so."""
    made = Made(shelf, plan(shelf, LAZY), NoCache())
    told = {}
    for key, hint in hints(made).items():
        others = {each: text for each, text in hint.annotations.items() if each != name}
        told[key] = hint._replace(annotations=others if wrong is None else {**others, name: wrong})
    planned = look_up([plan(shelf, LAZY)], NoCache(), lambda: told)
    again = Made(shelf, plan(shelf, LAZY), NoCache(), planned=planned)
    silent = name == LAYER_SLIM and wrong is None
    assert again.made == ([] if silent else list(made.digests))
    if not silent:
        assert [layer.descriptor for layer, _ in again.ready] == [layer.descriptor for layer, _ in made.ready]


def test_what_an_earlier_image_tells_of_another_manner_is_left_out(shelf: Shelf) -> None:
    """A table where there is none would keep nodes from pulling the layer."""
    made = Made(shelf, plan(shelf, PLAIN), NoCache())
    more = {
        TOC_DIGEST: Digest.of(b""),
        UNCOMPRESSED_SIZE: "1",
        LAYER_SLIM: slim.summary([slim.Removed("docs", 1, (b"a",))]),
    }
    told = {key: hint._replace(annotations={**hint.annotations, **more}) for key, hint in hints(made).items()}
    planned = look_up([plan(shelf, PLAIN)], NoCache(), lambda: told)
    again = Made(shelf, plan(shelf, PLAIN), NoCache(), planned=planned)
    assert [layer.descriptor for layer, _ in again.ready] == [layer.descriptor for layer, _ in made.ready]


def test_an_earlier_image_that_lies_about_an_estargz_layer_is_found_out(shelf: Shelf) -> None:
    first = Made(shelf, plan(shelf, LAZY), NoCache())
    lies = {
        key: hint._replace(written=hint.written._replace(diff_id=Digest.of(b"x")))
        for key, hint in hints(first).items()
    }
    planned = look_up([plan(shelf, LAZY)], NoCache(), lambda: lies)
    for ready in Made(shelf, plan(shelf, LAZY), NoCache(), planned=planned).ready:
        with pytest.raises(CorruptContent, match="was described as"):
            content(ready)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", "{", '{"tests":1}', '{"tests":{}}', '{"tests":{"files":-1,"bytes":1,"sha256":"x"}}',
     '{"tests":{"files":1,"bytes":1,"sha256":"\\u001b[2J"}}', '{"tests":{"files":true,"bytes":1,"sha256":"x"}}',
     '{"\\u001b[2J":{"files":1,"bytes":1,"sha256":"x"}}', "[" * 10_000],
)  # fmt: skip
def test_what_an_image_says_was_left_out_may_be_anything(text: str) -> None:
    assert read_summary(text) == {}


def test_a_summary_is_read_as_it_was_written() -> None:
    removed = [slim.Removed("stubs", 5, (b"a.pyi", b"b.pyi")), slim.Removed("tests", 7, (b"tests/c",))]
    found = read_summary(slim.summary(removed))
    assert list(found) == ["tests", "stubs"], "in the order of the table"
    assert found["stubs"] == LeftOut(2, 5, Digest.of(b"a.pyi\0b.pyi\0").hex)


# What is refused, and what is not


def fails(shelf: Shelf, made: WheelPlan, cache: Cache | NoCache) -> str:
    """What is said of a plan from which nothing came."""
    offered: list[Blob] = []
    with Spool() as spool, pytest.raises(InvalidInput) as caught:
        ready_layers(shelf, cache, spool, [made], look_up([made], cache, dict), offered.append)
    assert offered == []
    return f"{caught.value.what} {caught.value.remedy}"


@pytest.mark.parametrize("estargz", [False, True])
def test_a_rule_that_would_break_an_import_is_refused_before_any_layer_is_made(
    shelf: Shelf, tmp_path: Path, estargz: bool
) -> None:
    cache = Cache(tmp_path / "cache")
    broken = shelf.add(
        "b",
        {"b/__init__.py": b"", "b/tests/__init__.py": b"", "b/tests/cli.py": b"def main(): pass"},
        commands="[console_scripts]\nb = b.tests.cli:main\n",
    )
    wheels = [shelf.add("large", TESTED), shelf.add("a"), broken]
    for _ in range(2):
        said = fails(shelf, plan_of(*wheels, manner=Manner(("tests",), estargz=estargz)), cache)
        assert "b-1.0-py3-none-any.whl: the slim rule tests would remove the module b.tests.cli" in said
        assert "an entry point names it" in said
    kept = plan_of(*wheels, manner=Manner(("tests",), ("/b/tests/",), estargz=estargz))
    assert Made(shelf, kept, cache).made == ["wheel-large", "wheels-01"], "the remedy that was named"


@pytest.mark.parametrize("name", ["tests", "estargz, tests"])
def test_wheels_that_clash_in_what_is_left_out_do_not_clash(shelf: Shelf, tmp_path: Path, name: str) -> None:
    """And that they do not is no word on the same wheels without the rule."""
    cache = Cache(tmp_path / "cache")
    shared = "space/tests/data.txt"
    for one, other in (("a", "large"), ("a", "b")):
        wheels = [
            shelf.add(one, {f"{one}.py": b"", shared: b"1"}),
            shelf.add(other, {f"{other}.py": b"", shared: b"2"}),
        ]
        made = Made(shelf, plan_of(*wheels, manner=MANNERS[name]), cache)
        held = {path for each in made.digests for path in unpacked(made.read(each))}
        assert f"{SITE}/{one}.py" in held
        assert f"{SITE}/{shared}" not in held
        assert f"both write /{SITE}/{shared}" in fails(shelf, plan_of(*wheels), cache)
        assert "both write" in fails(shelf, plan_of(*wheels, manner=MANNERS["stubs"]), cache)


def test_layers_of_several_schemes_and_manners_are_kept_apart(shelf: Shelf, tmp_path: Path) -> None:
    """As variants of one build have them."""
    cache = Cache(tmp_path / "cache")
    wheel = shelf.add("large", TESTED)
    plans = [
        plan_of(wheel, scheme=scheme, manner=each) for scheme in (SLIM, OTHER) for each in MANNERS.values()
    ]
    made = Made(shelf, plans[0], cache, more=plans[1:])
    alone = [Made(shelf, each, NoCache()).ready[0] for each in plans]
    assert [each[0] for each in made.ready] == [each[0] for each in alone]
