"""One commit, four images: other bases, users, entry points and extras; the same layers wherever they agree."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from buildkit.testing.repositories import File
from tests.end_to_end.complaints import complains
from tests.end_to_end.helpers import Json, build_words, edited
from tests.end_to_end.house import REFUSED, writes
from tests.end_to_end.locked import CODE, Watched, Yard, digests, of_wheels, python_base, small_lock, wheel

NAMES = ["ci", "devbox", "training", "workflow"]
HEAD = 'extras = ["debug", "train"]'
MARKERS = {"debugger": "'debug' in extras", "trainer": "'train' in extras"}


def settings(yard: Yard) -> dict[str, bytes | File]:
    """`ci` and `workflow` on one base, `devbox` and `training` on another with the same Python."""
    head = CODE["treeship.toml"]
    assert isinstance(head, bytes)
    other = yard.base.replace("bases/python", "bases/rich")
    return {
        "treeship.toml": head
        + f"""
base = "{yard.base}"
[variants.workflow]
user = "1000"
entrypoint = []
[variants.ci]
cmd = ["pytest"]
extras = ["debug"]
[variants.devbox]
base = "{other}"
user = "1001"
entrypoint = ["/usr/sbin/sshd"]
extras = ["debug"]
[variants.training]
base = "{other}"
extras = ["train"]
""".encode()
    }


@pytest.fixture
def four(yard: Yard, tmp_path: Path) -> Yard:
    """A commit with four variants, two of whose wheels only some of them get."""
    rich = python_base(tmp_path / "rich", note=b"with an editor")
    yard.treeship("copy", f"oci:{rich}", yard.base.replace("bases/python", "bases/rich"))
    wheels = [*small_lock(), wheel("debugger"), wheel("trainer", size=5 << 20)]
    yard.commit(wheels, settings(yard), head=HEAD, markers=MARKERS)
    yard.registry.log.clear()
    return yard


def words(yard: Yard, verb: str = "build", *more: str, to: str = "") -> tuple[str, ...]:
    """The command line for all variants; each has its base from the settings."""
    where = to or yard.at("team/app:main")
    full = build_words(yard.repository, "--json", "--wheel-host", yard.index.host, *more, verb=verb, to=where)
    return tuple(word for word in full if word not in ("--base", "scratch"))


def build(yard: Yard, *more: str) -> Json:
    """All variants."""
    return yard.treeship(*words(yard, "build", "--variant", "all", *more)).json


def test_all_variants_are_built_in_one_go_and_shared_layers_are_sent_once(four: Yard) -> None:
    with Watched(four.registry) as registry, Watched(four.index) as index:
        result = build(four)
    images = result["variants"]
    assert list(images) == NAMES
    layers = [layer for image in images.values() for layer in image["layers"]]
    sent = Counter(
        entry.path.partition("digest=")[2].replace("%3A", ":")
        for entry in registry.requests
        if entry.verb in ("PUT upload", "POST uploads") and entry.body_bytes
    )
    assert set(sent.values()) == {1}
    assert digests(layers) <= sent.keys()
    assert len(sent) == len(digests(layers)) + len(NAMES), "the layers, and a config for each image"
    assert index.files == sorted(set(index.files)), "no wheel is fetched twice"
    assert len(index.files) == 8
    assert four.registry.store.incomplete() == []


def test_the_project_s_own_requirements_have_the_same_layers_in_all_variants(four: Yard) -> None:
    """Extras have layers apart; those of the same extras are the same on another base."""
    images = build(four)["variants"]
    plain = {name: layer["digest"] for name, layer in of_wheels(images["workflow"]).items()}
    assert len(plain) == 5
    for image in images.values():
        found = {name: layer["digest"] for name, layer in of_wheels(image).items()}
        assert plain.items() <= found.items()
    extra = {name: digests(of_wheels(images[name])) - set(plain.values()) for name in NAMES}
    assert extra["ci"] == extra["devbox"]
    assert [len(extra[name]) for name in NAMES] == [1, 1, 1, 0]
    assert len({image["base"]["digest"] for image in images.values()}) == 2
    assert len({image["digest"] for image in images.values()}) == 4


def test_each_variant_has_its_own_tags_user_and_entry_point(four: Yard) -> None:
    result = build(four)
    stored = four.registry.store.repository("team/app")
    commit = result["commit"]
    assert stored.tags == {
        tag: image["digest"]
        for name, image in result["variants"].items()
        for tag in (f"{commit}-{name}", f"main-{name}")
    }
    configs = {name: _config(four, f"main-{name}") for name in NAMES}
    assert configs["workflow"]["User"] == "1000"
    assert configs["devbox"]["User"] == "1001"
    assert configs["devbox"]["Entrypoint"] == ["/usr/sbin/sshd"]
    assert configs["ci"]["Cmd"] == ["pytest"]
    for name in NAMES:
        assert four.check(f"team/app:main-{name}", "--variant", name)["commit"] == commit


def _config(yard: Yard, tag: str) -> Json:
    manifest = yard.registry.store.repository("team/app").manifest(tag)
    assert manifest is not None
    found = json.loads(yard.registry.store.blobs[manifest.fields["config"]["digest"]])["config"]
    assert isinstance(found, dict)
    return found


def test_the_shape_of_what_is_printed(four: Yard) -> None:
    """The same keys as for one image, by variant, with the sums and the run beside them."""
    result = build(four)
    single = four.treeship(*words(four, "build", "--variant", "ci")).json
    run = {"commit", "tree", "requests", "seconds"}
    sums = {"bytes_pushed", "bytes_mounted", "bytes_reused"}
    assert set(result) == run | sums | {"variants"}
    assert all(set(image) == set(single) - run for image in result["variants"].values())
    for key in sums:
        assert result[key] == sum(image[key] for image in result["variants"].values())
    assert single["digest"] == result["variants"]["ci"]["digest"]


def test_again_nothing_is_sent_or_fetched(four: Yard) -> None:
    first = build(four)
    with Watched(four.registry) as registry, Watched(four.index) as index:
        again = build(four)
    assert {name: image["digest"] for name, image in again["variants"].items()} == {
        name: image["digest"] for name, image in first["variants"].items()
    }
    assert writes(registry.requests) == []
    assert index.requests == []


@pytest.mark.parametrize("name", ["ci", "workflow"])
def test_a_moved_commit_tag_of_one_variant_refuses_all_before_anything_is_sent(
    four: Yard, name: str, tmp_path: Path
) -> None:
    """Whichever of them it is, the first or the last."""
    result = build(four)
    tag, place = f"{result['commit']}-{name}", "other/app"
    other = four.registry.store.repository("team/app").manifest("main-devbox")
    assert other is not None
    four.registry.store.add_manifest(place, other.raw, other.fields["mediaType"], tag)
    before = dict(four.registry.store.repository(place).tags)
    fresh = four.elsewhere(tmp_path / "fresh")
    with Watched(four.registry) as registry:
        ran = fresh.treeship(
            *words(fresh, "build", "--variant", "all", to=four.at(f"{place}:main")), code=None
        )
    complains(ran, REFUSED, tag, "--retag")
    assert writes(registry.requests) == []
    assert four.registry.store.repository(place).tags == before


def test_explain_says_what_each_variant_would_get_and_writes_nothing(four: Yard) -> None:
    with Watched(four.registry) as registry, Watched(four.index) as index:
        result = four.treeship(*words(four, "explain", "--variant", "all")).json
    assert list(result["variants"]) == NAMES
    assert writes(registry.requests) == []
    assert index.requests == []
    assert {image["digest"] for image in result["variants"].values()} == {None}
    said = {
        wheel["name"]
        for image in result["variants"].values()
        for layer in image["layers"]
        for wheel in layer["wheels"]
    }
    assert {"debugger", "trainer", "alpha"} <= said
    plain = tuple(word for word in words(four, "explain", "--variant", "all") if word != "--json")
    table = four.treeship(*plain).out
    assert [line.split()[1] for line in table.splitlines() if line.startswith("variant ")] == NAMES


def test_an_archive_has_room_for_one_image_alone(four: Yard, tmp_path: Path) -> None:
    to = f"docker-archive:{tmp_path}/out.tar:team/app:main"
    ran = four.treeship(*words(four, "build", "--variant", "all", to=to), code=None)
    complains(ran, 2, "docker-archive")
    assert not (tmp_path / "out.tar").exists()


def test_one_file_of_the_code_changes_one_layer_in_all_of_them(four: Yard) -> None:
    before = build(four)
    edited(four.repository, {"train.py": b"print('edited')\n"})
    with Watched(four.registry) as registry:
        result = build(four)
    layers = [layer for image in result["variants"].values() for layer in image["layers"]]
    old = digests([layer for image in before["variants"].values() for layer in image["layers"]])
    (changed,) = digests(layers) - old
    assert changed in registry.uploaded
    assert len(registry.uploaded) == 1 + len(NAMES)
