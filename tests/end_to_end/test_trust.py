"""What is believed and what is not: images of ancestors, tags of commits; and `check`, which believes nobody."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.cache import Cache
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end import helpers
from tests.end_to_end.helpers import Json, edited
from tests.end_to_end.house import FILES, REFUSED, House, writes

KEY, DIFF_ID, NAME = (f"dev.treeship.layer.{word}" for word in ("key", "diff-id", "name"))


# An image of an ancestor that lies.


class Lie(NamedTuple):
    """An image of the parent in which one layer's content is evil, under the annotations of the good one."""

    layer: str
    evil: str
    commit: str


@pytest.fixture
def lie(house: House) -> Lie:
    """The commit after the one with the forged image changes another file."""
    parent = house.build()["commit"]
    evil = house.registry.store.add_blob("team/app", b"evil")
    layer = next(layer for layer in house.manifest(parent)["layers"] if layer.get("annotations"))
    name = layer["annotations"][NAME]

    def edit(fields: Json) -> None:
        next(each for each in fields["layers"] if each.get("annotations", {}).get(NAME) == name)["digest"] = (
            evil
        )

    house.forge(parent, edit)
    house.forge("main", edit)
    changed = next(path for path in FILES if _layer_of(house, path) != name)
    commit = edited(house.repository, {changed: b"edited\n"})
    return Lie(name, evil, commit)


def _layer_of(house: House, path: str) -> str:
    """The layer that holds a path, as `explain` tells by its number of paths: each has one here."""
    alone = ThrowAwayRepository(house.treeship.home / "alone" / path.replace("/", "-"))
    alone.commit({path: FILES[path]})
    told = house.treeship("explain", "--repo", alone.directory, "--json", "--base", house.base).json
    return str(told["layers"][0]["name"])


def test_where_the_images_repository_is_not_trusted_the_lie_is_ignored(
    house: House, lie: Lie, tmp_path: Path
) -> None:
    """Though it is the very repository that is pushed to."""
    honest = house.fresh(tmp_path, "honest").build("--no-reuse", to="elsewhere/app:main")
    result = house.fresh(tmp_path).build()
    assert result["digest"] == honest["digest"]
    assert lie.evil not in {layer["digest"] for layer in result["layers"]}
    assert {layer["reason"] for layer in result["layers"]} == {"new"}
    assert house.check("team/app:main")["verdict"] == "equal"


def test_where_it_is_trusted_check_names_the_layer_that_lies(house: House, lie: Lie, tmp_path: Path) -> None:
    result = house.fresh(tmp_path).build("--reuse-from", house.at("team/app"))
    assert lie.evil in {layer["digest"] for layer in result["layers"]}, "this is what trust means"
    said = house.check("team/app:main", code=REFUSED)
    assert said["verdict"] == "different"
    assert f"layer {lie.layer}" in [difference["what"] for difference in said["differences"]]
    (named,) = [each for each in said["differences"] if each["found"] == lie.evil]
    assert named["what"] == f"layer {lie.layer}"
    assert named["expected"].startswith("sha256:")


def test_no_reuse_believes_nobody(house: House, lie: Lie, tmp_path: Path) -> None:
    result = house.fresh(tmp_path).build("--reuse-from", house.at("team/app"), "--no-reuse")
    assert lie.evil not in {layer["digest"] for layer in result["layers"]}
    assert house.check("team/app:main")["verdict"] == "equal"


def test_the_commit_cannot_say_whom_to_trust(house: House, lie: Lie, tmp_path: Path) -> None:
    settings = f'[reuse]\nfrom = ["{house.at("team/app")}"]\n'.encode()
    commit = edited(house.repository, {"treeship.toml": settings})
    ran = house.fresh(tmp_path).treeship(
        "build", commit, "--repo", house.repository.directory, "--base", house.base, "--to", house.at("team/app"),
        "--json",
    )  # fmt: skip
    assert f"reuse.from in treeship.toml at commit {commit[:12]} is ignored" in ran.err
    assert lie.evil not in {layer["digest"] for layer in ran.json["layers"]}


@pytest.mark.parametrize("forged", ["another layer's key", "no digest at all", "another diff id"])
def test_annotations_that_make_no_sense_do_not_break_a_build(
    house: House, tmp_path: Path, forged: str
) -> None:
    """A hint that is wrong about the key is taken for what it says; what cannot be parsed is passed over."""
    parent = house.build()["commit"]

    def edit(fields: Json) -> None:
        for layer in fields["layers"]:
            if KEY in layer.get("annotations", {}):
                layer["annotations"] |= {
                    "another layer's key": {KEY: "sha256:" + "0" * 64},
                    "no digest at all": {KEY: "../../etc", DIFF_ID: "\0"},
                    "another diff id": {DIFF_ID: "sha512:1"},
                }[forged]

    house.forge(parent, edit)
    edited(house.repository, {"train.py": b"edited\n"})
    result = house.fresh(tmp_path).build("--reuse-from", house.at("team/app"), to="other/app:main")
    assert {layer["reason"] for layer in result["layers"]} <= {"new", "changed"}
    assert house.check("other/app:main")["verdict"] == "equal"


def test_an_incremental_build_is_a_fresh_one(house: House, tmp_path: Path) -> None:
    house.build()
    edited(house.repository, {"lib/a.py": b"A = 2\n"})
    results = [
        house.build(to="cached/app:main"),
        house.fresh(tmp_path, "hinted").build("--reuse-from", house.at("team/app"), to="hinted/app:main"),
        house.build("--no-reuse", to="alone/app:main"),
        house.fresh(tmp_path, "first").build(to="first/app:main"),
    ]
    assert len({result["digest"] for result in results}) == 1
    reasons = [{layer["reason"] for layer in result["layers"]} for result in results]
    assert reasons == [{"cached", "changed"}, {"ancestor", "changed"}, {"new"}, {"new"}]


# A commit's tag stands for one image.


def test_moving_a_commits_tag_is_refused_before_anything_is_sent(house: House, tmp_path: Path) -> None:
    house.build()
    other = f"oci:{helpers.tiny_base(tmp_path / 'other', files={'etc/motd': b'other'})}"
    before = dict(house.registry.store.repository("team/app").tags)
    house.registry.log.clear()
    second = house.at("second/app:main")
    ran = house.treeship(
        "build", "--repo", house.repository.directory, "--base", other, "--to", second,
        "--to", house.at("team/app:main"), code=REFUSED,
    )  # fmt: skip
    assert "already" in ran.err
    assert "--retag" in ran.err
    assert writes(house.registry.log) == []
    assert house.registry.store.repository("team/app").tags == before
    assert not house.registry.store.repository("second/app").blobs


def test_retag_moves_it(house: House, tmp_path: Path) -> None:
    first = house.build()
    moved = house._replace(base=f"oci:{helpers.tiny_base(tmp_path / 'moved', files={'etc/motd': b'moved'})}")
    second = moved.build("--retag")
    assert second["commit"] == first["commit"]
    assert second["digest"] != first["digest"]
    assert house.registry.store.repository("team/app").tags == dict.fromkeys(
        (first["commit"], "main"), second["digest"]
    )
    assert moved.build()["digest"] == second["digest"], "now it stands for the second"


def test_other_tags_move_freely_and_other_variants_have_tags_of_their_own(house: House) -> None:
    commit = edited(house.repository, {"treeship.toml": b"[variants.gpu]\nuser = '1000'\n"})
    first, gpu = house.build(), house.build("--variant", "gpu")
    assert house.registry.store.repository("team/app").tags == {
        commit: first["digest"], f"{commit}-gpu": gpu["digest"], "main": gpu["digest"]
    }  # fmt: skip
    later = edited(house.repository, {"train.py": b"later\n"})
    moved = house.build()
    assert house.registry.store.repository("team/app").tags["main"] == moved["digest"]
    assert house.registry.store.repository("team/app").tags[later] == moved["digest"]
    assert house.registry.store.repository("team/app").tags[commit] == first["digest"]


def test_no_commit_tag_writes_only_what_was_asked_for(house: House, tmp_path: Path) -> None:
    result = house.build("--no-commit-tag", to="team/app:only")
    assert house.registry.store.repository("team/app").tags == {"only": result["digest"]}
    other = house._replace(base=f"oci:{helpers.tiny_base(tmp_path / 'other', files={'etc/motd': b'other'})}")
    again = other.build("--no-commit-tag", to="team/app:only")
    assert house.registry.store.repository("team/app").tags == {"only": again["digest"]}, (
        "it is no commit's tag"
    )


# check.


def test_check_is_equal_for_what_was_built(house: House) -> None:
    built = house.build()
    said = house.check("team/app:main", "--base", house.base)
    assert said == {
        "digest": built["digest"], "commit": built["commit"], "verdict": "equal", "base_source": "flag",
        "differences": [],
    }  # fmt: skip


@pytest.mark.parametrize("named", ["annotation", "settings", "flag"])
def test_check_says_who_named_the_base(house: House, named: str) -> None:
    if named == "settings":
        edited(house.repository, {"treeship.toml": f'base = "{house.base}"\n'.encode()})
    given = [] if named == "settings" else ["--base", house.base]
    house.treeship.build(house.repository.directory, *given, "--to", house.at("team/app:main"))
    said = house.check("team/app:main", *(given if named == "flag" else []))
    assert (said["verdict"], said["base_source"]) == ("equal", named)


def test_check_is_equal_for_an_index(house: House, tiny_index: Path) -> None:
    both = ["--platform", "linux/amd64", "--platform", "linux/arm64"]
    base = house.at("bases/both:1")
    house.treeship("copy", f"oci:{tiny_index}", base)
    built = house._replace(base=base).build(*both)
    assert set(built["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert house.check("team/app:main")["verdict"] == "equal"
    child = built["platforms"]["linux/arm64"]
    evil = house.registry.store.add_blob("team/app", b"evil")
    forged = house.forge(child, lambda fields: fields["layers"][-1].update(digest=evil))
    index = house.manifest("main")
    next(entry for entry in index["manifests"] if entry["digest"] == child).update(
        digest=forged, size=len(house.registry.store.repository("team/app").manifests[forged].raw)
    )
    house.registry.store.add_manifest(
        "team/app", json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json", "main"
    )
    said = house.check("team/app:main", code=REFUSED)
    assert {difference["what"].partition(": ")[0] for difference in said["differences"]} == {"linux/arm64"}


def test_check_is_different_for_another_commit(house: House) -> None:
    house.build()
    other = edited(house.repository, {"train.py": b"other\n"})
    said = house.check("team/app:main", "--base", house.base, "--commit", other, code=REFUSED)
    assert (said["verdict"], said["commit"]) == ("different", other)
    assert any(difference["what"].startswith("layer ") for difference in said["differences"])
    assert "annotation org.opencontainers.image.revision" in [
        difference["what"] for difference in said["differences"]
    ]


def test_check_is_different_when_the_base_has_moved(house: House, tmp_path: Path) -> None:
    edited(house.repository, {"treeship.toml": f'base = "{house.base}"\n'.encode()})
    house.treeship.build(house.repository.directory, "--to", house.at("team/app:main"))
    assert house.check("team/app:main")["verdict"] == "equal"
    moved = helpers.tiny_base(tmp_path / "moved", files={"etc/motd": b"patched"})
    house.treeship("copy", f"oci:{moved}", house.base)
    said = house.check("team/app:main", code=REFUSED)
    assert said["base_source"] == "settings"
    assert "base layer 0" in [difference["what"] for difference in said["differences"]]
    before = f"{house.base}@{house.manifest('main')['annotations']['org.opencontainers.image.base.digest']}"
    said = house.check("team/app:main", "--base", before)
    assert (said["verdict"], said["base_source"]) == ("equal", "flag"), (
        "it is the base that moved, and nothing else"
    )


def test_check_is_different_when_a_base_layer_or_the_config_was_exchanged(house: House) -> None:
    house.build()
    evil = house.registry.store.add_blob("team/app", b"evil")
    house.forge("main", lambda fields: fields["layers"][0].update(digest=evil))
    said = house.check("team/app:main", code=REFUSED)
    assert "base layer 0" in [difference["what"] for difference in said["differences"]]
    house.build("--retag")
    config = house.config("main")
    config["config"]["Entrypoint"] = ["/bin/evil"]
    raw = json.dumps(config).encode()
    digest = house.registry.store.add_blob("team/app", raw)
    house.forge("main", lambda fields: fields["config"].update(digest=digest, size=len(raw)))
    said = house.check("team/app:main", "--base", house.base, code=REFUSED)
    assert "config Entrypoint" in [difference["what"] for difference in said["differences"]]


def test_check_trusts_no_memory(house: House) -> None:
    """A build believes the cache of its own user, be it full of lies; `check` never asks it."""
    honest = house.build()
    evil = house.registry.store.add_blob("team/app", b"evil")
    cache = Cache(house.treeship.cache)
    key = honest["layers"][0]["key"].removeprefix("sha256:")
    cache.put("layers", key, f"{evil} {honest['layers'][0]['diff_id']} 4".encode())
    shutil.rmtree(house.treeship.cache / "v1" / "snapshots")
    assert house.check("team/app:main")["verdict"] == "equal"
    lied = house.build("--retag")
    assert lied["layers"][0]["digest"] == evil
    said = house.check("team/app:main", code=REFUSED)
    assert [each["what"] for each in said["differences"] if each["found"] == evil] == [
        f"layer {honest['layers'][0]['name']}"
    ]
