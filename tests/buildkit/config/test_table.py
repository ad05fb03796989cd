"""The table of settings, the types of files, the resolved values and the page in docs all say the same."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from buildkit.config import schema
from buildkit.config.holds import parse_holds
from buildkit.config.page import settings_page
from buildkit.config.places import resolve_places
from buildkit.config.show import blotted, show
from buildkit.config.table import HOLDS, IN_VARIANTS, PLACES, SETTINGS, Kind, Setting, Source
from buildkit.config.values import Holds, Overrides, Places

TYPES = {
    Kind.TEXT: schema.Text,
    Kind.TEXTS: schema.Texts,
    Kind.TABLE: schema.Table,
    Kind.SWITCH: bool | None,
    Kind.COUNT: int | None,
    Kind.SECONDS: float | None,
}


def typed(settings: tuple[Setting, ...]) -> dict[str, object]:
    """The name and type of each."""
    return {setting.name: TYPES[setting.kind] for setting in settings}


def in_file(table: type[msgspec.Struct]) -> dict[str, object]:
    """The keys and types that a struct takes from a file."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(table)}


def test_files_have_the_types_of_the_table() -> None:
    assert in_file(schema.HoldsTable) == typed(HOLDS)
    assert in_file(schema.VariantTable) == typed(IN_VARIANTS)
    in_files = tuple(setting for setting in PLACES if set(setting.sources) & {Source.USER, Source.PROTECTED})
    assert in_file(schema.PlacesTable) == typed(in_files)


def test_every_setting_is_a_field_of_the_resolved_values() -> None:
    assert [setting.field for setting in PLACES] == list(Places._fields)
    assert {setting.field for setting in HOLDS} | {"selected", "variants", "origins", "ignored"} == set(
        Holds._fields
    )
    assert {setting.field for setting in IN_VARIANTS} == set(Overrides._fields)


def test_no_place_is_set_by_the_commit_and_nothing_that_an_image_holds_by_the_environment() -> None:
    assert all(Source.COMMIT not in setting.sources for setting in PLACES)
    assert all(set(setting.sources) <= {Source.COMMIT, Source.FLAG} for setting in HOLDS)


def test_trust_is_never_left_to_any_branch() -> None:
    for name in ("reuse.from", "insecure", "ca_file", "cache", "retag"):
        assert Source.PROTECTED not in SETTINGS[name].sources, name


def test_flags_and_variables_are_well_formed_and_distinct() -> None:
    flags = [setting.flag for setting in SETTINGS.values() if setting.flag]
    variables = [setting.variable for setting in SETTINGS.values() if setting.variable]
    assert all(re.fullmatch(r"--[a-z]+(-[a-z]+)*", flag) for flag in flags)
    assert all(re.fullmatch(r"TREESHIP(_[A-Z]+)+", variable) for variable in variables)
    assert len(set(flags)) == len(flags)
    assert len(set(variables)) == len(variables)
    assert all(bool(setting.flag) == (Source.FLAG in setting.sources) for setting in SETTINGS.values())


def test_the_page_is_current(root: Path) -> None:
    page = (root / "docs" / "settings.md").read_text()
    assert page == settings_page(), "run `python -m buildkit.config.page > docs/settings.md`"


def test_the_page_s_own_examples_are_valid() -> None:
    examples = re.findall(r"```toml\n(.*?)```", settings_page(), re.DOTALL)
    whole, dependencies, places = (
        parse_holds({"treeship.toml": each.encode()}, "the page") for each in examples
    )
    assert whole.variant("training").base.endswith("training:3.12")
    assert [note.key for note in whole.ignored] == ["to"]
    assert dependencies.variant("devbox").groups == ("dev",)
    assert not dependencies.ignored
    assert {note.key for note in places.ignored} == {
        "wheels.index", "wheels.hosts", "wheels.wheelhouse", "expire.keep"
    }  # fmt: skip


def test_show_has_every_setting_its_value_and_its_origin() -> None:
    holds = parse_holds({"treeship.toml": b'user = "me"\n[lfs]\ninclude = ["*.bin"]'}, "commit abc")
    resolved = resolve_places(
        {"to": ["a.example/b"]}, {"TREESHIP_LFS_URL": "https://me:hunter2@lfs.example/x?key=1"}
    )
    rows = {row.name: row for row in show(holds.override(base="scratch"), resolved)}
    assert list(rows) == list(SETTINGS)
    assert rows["user"][1:] == ("me", "treeship.toml at commit abc")
    assert rows["lfs.include"][1:] == (["*.bin"], "treeship.toml at commit abc")
    assert rows["base"][1:] == ("scratch", "flag")
    assert rows["to"][1:] == (["a.example/b"], "flag --to")
    assert rows["prefix"].origin == "default"
    assert rows["lfs.url"].value == "https://***@lfs.example/x?***"


def test_secrets_in_urls_are_blotted_out_wherever_they_are() -> None:
    hidden = blotted({"A": "see http://u:p@h/x and https://t@h", "B": ["ssh://git@h/p"], "C": 3, "D": "a@b"})
    assert hidden == {"A": "see http://***@h/x and https://***@h", "B": ["ssh://***@h/p"], "C": 3, "D": "a@b"}
