"""Configs of an old base, a new base and an image."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.image.annotations import BASE_DIGEST, BASE_NAME
from buildkit.rebase.merge import Merged, merge_fields, merge_labels, merge_runtime

NAMING = {BASE_NAME: "registry.example/base:2", BASE_DIGEST: "sha256:" + "2" * 64}
FIELDS = [
    "Cmd",
    "Entrypoint",
    "User",
    "WorkingDir",
    "StopSignal",
    "Healthcheck",
    "Shell",
    "OnBuild",
    "Unheard-of",
]
VALUES: st.SearchStrategy[Any] = st.sampled_from(["a", "b", ["x"], ["y", "z"], {"Test": ["CMD"]}, 7, True])
SETS: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(["80/tcp", "/data", "/more"]), st.just({}), min_size=1
)
RUNTIMES = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(FIELDS, VALUES), "ExposedPorts": SETS, "Volumes": SETS,
                  "Labels": st.dictionaries(st.sampled_from(["one", "two"]), st.sampled_from(["1", "2"]), min_size=1)}
)  # fmt: skip


def merged(old: dict[str, Any], new: dict[str, Any], own: dict[str, Any]) -> Merged:
    return merge_runtime(old, new, own, {}, {})


def with_labels(runtime: dict[str, Any]) -> dict[str, Any]:
    return {**runtime, "Labels": runtime.get("Labels", {})}


@given(base=RUNTIMES, own=RUNTIMES)
def test_over_the_same_base_nothing_changes(base: dict[str, Any], own: dict[str, Any]) -> None:
    assert merged(base, base, own) == (with_labels(own), ())


@given(old=RUNTIMES, new=RUNTIMES)
def test_an_image_that_changed_nothing_has_what_the_new_base_has(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert merged(old, new, old) == (with_labels(new), ())


@given(old=RUNTIMES, new=RUNTIMES, own=RUNTIMES)
def test_each_field_comes_from_who_changed_it_and_the_image_wins(
    old: dict[str, Any], new: dict[str, Any], own: dict[str, Any]
) -> None:
    found, notes = merged(old, new, own)
    entry_is_own = own.get("Entrypoint") != old.get("Entrypoint")
    for name in FIELDS:
        if name == "Cmd" and entry_is_own:
            assert found.get("Cmd") == own.get("Cmd"), "it belongs to the entry point"
            continue
        expected = new.get(name) if own.get(name) == old.get(name) else own.get(name)
        assert found.get(name) == expected
        conflict = own.get(name) not in (old.get(name), new.get(name)) and new.get(name) != old.get(name)
        assert any(note.startswith(f"{name}:") for note in notes) == conflict


@given(old=RUNTIMES, new=RUNTIMES, own=RUNTIMES)
def test_there_and_back_again_is_where_it_began_unless_something_was_lost(
    old: dict[str, Any], new: dict[str, Any], own: dict[str, Any]
) -> None:
    """What the image says as the new base does is taken for the base's on the way back: nothing else is lost."""
    there = merged(old, new, own)
    back = merged(new, old, there.fields)
    for name in FIELDS:
        if own.get(name) != new.get(name) and name != "Cmd":
            assert back.fields.get(name) == own.get(name)


def test_ports_and_volumes_are_merged_one_by_one() -> None:
    old: dict[str, Any] = {"ExposedPorts": {"80/tcp": {}, "1/tcp": {}}}
    new: dict[str, Any] = {"ExposedPorts": {"80/tcp": {}, "443/tcp": {}}}
    own: dict[str, Any] = {"ExposedPorts": {"80/tcp": {}, "1/tcp": {}, "8080/tcp": {}}}
    assert set(merged(old, new, own).fields["ExposedPorts"]) == {"80/tcp", "443/tcp", "8080/tcp"}


@pytest.mark.parametrize("nothing", [None, [], ""])
def test_null_and_empty_say_as_much_as_nothing(nothing: object) -> None:
    found = merged({"Cmd": nothing}, {"Cmd": ["new"]}, {})
    assert (found.fields["Cmd"], found.notes) == (["new"], ())
    assert "Cmd" not in merged({"Cmd": ["old"]}, {"Cmd": ["old"]}, {"Cmd": None}).fields


def test_the_new_base_is_named_in_labels_too() -> None:
    own = {"Labels": {BASE_NAME: "old", BASE_DIGEST: "old", "kept": "yes"}}
    assert merge_runtime({}, {}, own, {}, NAMING).fields["Labels"] == {**NAMING, "kept": "yes"}
    assert merge_runtime({}, {}, own, {}, {}).fields["Labels"] == {"kept": "yes"}


def test_what_a_base_says_of_itself_never_arrives_in_an_image_above_it() -> None:
    title, source = "org.opencontainers.image.title", "org.opencontainers.image.source"
    old = {title: "old base", source: "us", "vendor": "a"}
    new = {title: "new base", source: "them", "org.opencontainers.image.authors": "them", "vendor": "b"}
    assert merge_labels(old, new, {source: "us", "vendor": "a"}, {source: "us"}).fields == {
        source: "us", "vendor": "b",
    }  # fmt: skip
    assert merge_labels(old, new, dict(old), {}).fields == {title: "new base", source: "them", "vendor": "b"}
    assert merge_labels(old, {}, dict(old), {}).fields == {}


def test_arguments_belong_to_the_entry_point_as_in_a_dockerfile() -> None:
    assert "Cmd" not in merged({}, {"Cmd": ["bash"]}, {"Entrypoint": ["mine"]}).fields
    assert merged({}, {"Cmd": ["bash"]}, {}).fields["Cmd"] == ["bash"]


def test_fields_that_nobody_knows_are_carried_and_dockers_record_of_a_container_is_not() -> None:
    own = {"author": "me", "x-mine": [1], "container_config": {}, "rootfs": {}, "created": "1"}
    found = merge_fields({"x-base": 1}, {"x-base": 2, "x-new": 3, "container": "c"}, {"x-base": 1, **own})
    assert found == ({"x-base": 2, "x-new": 3, "author": "me", "x-mine": [1]}, ())
