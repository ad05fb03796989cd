"""Platforms in Go's names."""

from __future__ import annotations

import pytest

from buildkit.errors import InvalidInput
from buildkit.image.platform import Platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/amd64/v1", Platform("linux", "amd64")),
        ("linux/amd64/v3", Platform("linux", "amd64", "v3")),
        ("linux/arm64/v8", Platform("linux", "arm64")),
        ("linux/arm64/v9", Platform("linux", "arm64", "v9")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("linux/mips64le", Platform("linux", "mips64le")),
    ],
)
def test_a_platform_is_two_or_three_words(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux /amd64", "linux/amd-64", "a/é"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a platform"):
        Platform.parse(text)


def test_fields_of_other_types_are_taken_for_absent() -> None:
    assert Platform.of({"os": "linux", "architecture": "arm64", "variant": None}) == Platform(
        "linux", "arm64"
    )
    assert Platform.of({"os": {"a": 1}, "architecture": 5}) == Platform("", "")
    assert Platform.of({}) == Platform("", "")


def test_only_what_is_said_is_written() -> None:
    assert Platform("linux", "amd64").to_json() == {"os": "linux", "architecture": "amd64"}
    assert Platform("linux", "arm", "v6").to_json()["variant"] == "v6"


def test_this_machine_has_one() -> None:
    assert Platform.of_host().os == "linux"
    assert Platform.parse(str(Platform.of_host())) == Platform.of_host()
