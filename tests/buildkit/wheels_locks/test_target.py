"""A target's tags and markers are what packaging says where that Python runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import default_environment
from packaging.tags import sys_tags

from buildkit.errors import InvalidInput
from buildkit.image.platform import Platform
from buildkit.wheels.target import MACHINES, Target
from tests.buildkit.wheels_locks.support import BASE, host


def test_the_hosts_tags_are_those_that_packaging_finds() -> None:
    assert host().tags() == list(sys_tags())


def test_the_hosts_environment_is_packagings_but_for_the_kernel() -> None:
    unknown = {"platform_release": "", "platform_version": ""}
    assert {**host().environment()} == {**default_environment(), **unknown}


def test_tags_of_another_python_ask_nothing_of_the_host() -> None:
    tags = [str(tag) for tag in Target("3.13.1", Platform("linux", "arm64"), musl=(1, 2), flags="t").tags()]
    assert tags[:2] == ["cp313-cp313t-linux_aarch64", "cp313-cp313t-musllinux_1_2_aarch64"]
    assert "cp313-abi3-musllinux_1_2_aarch64" not in tags
    assert not any("manylinux" in tag or "x86_64" in tag for tag in tags)
    assert tags[-1] == "py30-none-any"


def test_a_debug_build_loads_what_others_were_built_for() -> None:
    tags = [str(tag) for tag in BASE._replace(flags="d").tags()]
    assert tags.index("cp311-cp311d-linux_x86_64") < tags.index("cp311-cp311-linux_x86_64")


def test_older_manylinux_names_follow_their_version() -> None:
    tags = list(BASE._replace(glibc=(2, 18)).platforms())
    assert tags[:4] == [
        "linux_x86_64",
        "manylinux_2_18_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    ]
    assert tags[-1] == "manylinux1_x86_64"


@given(
    minor=st.integers(8, 16),
    machine=st.sampled_from(sorted(MACHINES)),
    glibc=st.none() | st.integers(0, 60).map(lambda minor: (2, minor)),
)
def test_every_tag_once_and_the_pure_ones_at_the_end(
    minor: int, machine: str, glibc: tuple[int, int] | None
) -> None:
    tags = Target(f"3.{minor}.0", Platform("linux", machine), glibc).tags()
    assert len(tags) == len(set(tags))
    assert [tag.platform for tag in tags[-minor - 2 :]] == ["any"] * (minor + 2)


@pytest.mark.parametrize(
    "target",
    [
        BASE._replace(implementation="pypy"),
        BASE._replace(python="2.7.18"),
        BASE._replace(python="3.11"),
        BASE._replace(flags="m"),
        BASE._replace(platform=Platform("windows", "amd64")),
        BASE._replace(platform=Platform("linux", "386")),
        BASE._replace(glibc=(2, 10**9)),
        BASE._replace(glibc=(3, 1)),
    ],
)
def test_what_no_wheels_are_known_for_is_refused(target: Target) -> None:
    with pytest.raises(InvalidInput):
        target.tags()
