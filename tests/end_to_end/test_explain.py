"""`explain` writes nothing and is right; what it and `build` print has documented keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.end_to_end.helpers import edited, snapshot
from tests.end_to_end.house import FILES, House, writes


@pytest.mark.parametrize(
    "case", ["first build", "one file changed", "nothing changed", "another registry repository"]
)
def test_explain_writes_nothing_and_is_right_about_the_build_that_follows(
    house: House, tmp_path: Path, case: str
) -> None:
    to = "team/app:main"
    words = [
        "--repo",
        str(house.repository.directory),
        "--base",
        house.base,
        "--to",
        f"oci:{tmp_path}/layout:it",
    ]
    if case != "first build":
        house.build()
        words += ["--reuse-from", house.at("team/app")]
    if case == "one file changed":
        edited(house.repository, {"train.py": b"print('edited')\n"})
    if case == "another registry repository":
        to = "team/other:main"
    words += ["--to", house.at(to)]
    house.registry.log.clear()
    before = state(house, tmp_path)
    told = house.treeship("explain", "--json", *words, cwd=tmp_path).json
    assert state(house, tmp_path) == before
    assert writes(house.registry.log) == []
    done = house.treeship("build", "--json", *words, cwd=tmp_path).json
    for key in set(done) - {"requests", "seconds", "layers"}:
        assert told[key] == done[key], key
    assert told["layers"] == done["layers"]
    if case == "one file changed":
        assert [layer["changed"] for layer in told["layers"] if layer["reason"] == "changed"] == [
            ["train.py"]
        ]


def test_explain_of_a_repository_by_url_leaves_no_clone_behind(house: House, tmp_path: Path) -> None:
    words = [
        "--repo",
        house.repository.url,
        "--base",
        house.base,
        "--to",
        house.at("team/app:main"),
        "--json",
    ]
    before = state(house, tmp_path)
    told = house.treeship("explain", *words).json
    assert state(house, tmp_path) == before
    assert told["digest"] == house.treeship("build", *words).json["digest"]


def state(house: House, folder: Path) -> Mapping[str, object]:
    """Everything that a run could have touched: files, tags, manifests, blobs, sessions."""
    store = house.registry.store
    held = {
        name: (set(each.blobs), dict(each.tags), set(each.manifests))
        for name, each in store.repositories.items()
    }
    return {
        "files": snapshot(folder),
        "store": {name: what for name, what in held.items() if any(what)},
        "uploads": list(store.uploads),
        "blobs": set(store.blobs),
    }


# The keys of --json are documented and stable.

BUILD_KEYS = {
    "commit", "tree", "digest", "base", "layers", "bytes_pushed", "bytes_mounted", "bytes_reused", "requests",
    "seconds",
}  # fmt: skip
LAYER_KEYS = {"key", "digest", "diff_id", "size", "paths", "reason", "action"}
ADDED_KEYS = {"platforms", "lfs_pointers", "destinations", "dependencies"}
ADDED_LAYER_KEYS = {"name", "changed", "wheels", "slim"}


@pytest.mark.parametrize("verb", ["build", "explain"])
def test_the_keys_that_are_printed(house: House, verb: str) -> None:
    ran = house.treeship(*house.words(verb), "--json")
    assert ran.out.count("\n") == 1, "one object, one line"
    assert set(ran.json) == BUILD_KEYS | ADDED_KEYS
    assert set(ran.json["base"]) == {"reference", "digest"}
    for layer in ran.json["layers"]:
        assert set(layer) == LAYER_KEYS | ADDED_LAYER_KEYS
        assert layer["reason"] in {"new", "changed", "cached", "ancestor"}
        assert layer["action"] in {"push", "mount", "reuse"}
    assert sum(layer["paths"] for layer in ran.json["layers"]) == len(FILES)
    assert ran.json["bytes_pushed"] >= sum(layer["size"] for layer in ran.json["layers"])


def test_without_json_there_is_a_short_table_and_no_colour(house: House) -> None:
    ran = house.treeship(*house.words())
    assert ran.out.splitlines()[0].split() == ["layer", "reason", "action", "size", "paths", "key"]
    assert "\x1b" not in ran.out + ran.err
    assert f"{house.registry.host}/team/app:main@sha256:" in ran.out
    assert "layers unchanged" in house.treeship(*house.words()).out
