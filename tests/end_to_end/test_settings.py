"""Where each setting comes from: the commit says what an image holds, never where it goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.helpers import edited
from tests.end_to_end.house import FILES, House
from tests.rigs.process import run


def test_what_an_image_holds_comes_from_the_commit_not_from_the_work_tree(house: House) -> None:
    commit = edited(house.repository, {"treeship.toml": b'workdir = "/committed"\nexclude = ["docs/"]\n'})
    clean = house.build()
    house.repository.git("checkout", "-q", "-f", commit)
    (house.repository.directory / "treeship.toml").write_text('workdir = "/dirty"\nprefix = "/dirty"\n')
    (house.repository.directory / "pyproject.toml").write_text('[tool.treeship]\nuser = "dirty"\n')
    (house.repository.directory / "train.py").write_text("dirty")
    dirty = house.build(cwd=house.repository.directory)
    assert dirty["digest"] == clean["digest"]
    assert house.config(dirty["digest"])["config"]["WorkingDir"] == "/committed"
    assert sum(layer["paths"] for layer in dirty["layers"]) == len(FILES)  # docs out, treeship.toml in


def test_destinations_in_the_commit_are_not_used(house: House) -> None:
    bad = house.at("attacker/app:main")
    house.repository.git("checkout", "-q", "-f", "-b", "feature")
    house.repository.commit(
        {**FILES, "treeship.toml": f'to = ["{bad}"]\nbase = "oci:base"\n'.encode()}, branch="feature"
    )
    ran = house.treeship(
        "build", "feature", "--repo", house.repository.directory, "--base", house.base, "--json",
        cwd=house.repository.directory,
    )  # fmt: skip
    assert f"to in treeship.toml at commit {ran.json['commit'][:12]} is ignored" in ran.err
    assert [place["reference"] for place in ran.json["destinations"]] == ["oci:.treeship/oci"]
    assert ran.json["destinations"][0]["tags"] == [ran.json["commit"]]
    assert (house.repository.directory / ".treeship/oci/index.json").exists()
    assert all("/bases/" in entry.path for entry in house.registry.log)


class Shared(NamedTuple):
    """A remote, and a clone of it on a feature branch; main's settings name a destination."""

    origin: ThrowAwayRepository
    clone: Path


def to(place: str) -> bytes:
    return f'to = ["{place}"]\n'.encode()


@pytest.fixture
def shared(house: House, tmp_path: Path) -> Shared:
    origin = house.repository
    origin.commit({**FILES, "treeship.toml": to(house.at("from/main:old"))})
    origin.git("clone", "-q", origin.url, str(tmp_path / "clone"))
    commit = origin.commit({**FILES, "treeship.toml": to(house.at("from/feature:x"))}, branch="feature")
    run(["git", "fetch", "-q", "origin", commit], cwd=tmp_path / "clone")
    return Shared(origin, tmp_path / "clone")


def destinations(house: House, repository: Path | str, *words: str, **options: Any) -> list[str]:
    """Where a build of the feature branch went."""
    result = house.treeship.build(repository, *words, "--base", house.base, **options)
    return [f"{place['reference']}:{place['tags'][-1]}" for place in result["destinations"]]


def test_destinations_of_the_protected_branch_are_used(house: House, shared: Shared) -> None:
    assert destinations(house, shared.clone, "FETCH_HEAD") == [f"{house.registry.host}/from/main:old"]


def test_the_protected_branch_is_what_the_remote_says_now(house: House, shared: Shared) -> None:
    """Not what this clone heard of it last, and not what a local ref or branch of that name says."""
    shared.origin.commit({**FILES, "treeship.toml": to(house.at("from/main:new"))})
    run(["git", "update-ref", "refs/remotes/origin/main", "FETCH_HEAD"], cwd=shared.clone)
    run(["git", "update-ref", "refs/heads/main", "FETCH_HEAD"], cwd=shared.clone)
    assert destinations(house, shared.clone, "FETCH_HEAD") == [f"{house.registry.host}/from/main:new"]


def test_the_protected_branch_is_the_remotes_head_whatever_its_name(house: House, shared: Shared) -> None:
    shared.origin.commit({**FILES, "treeship.toml": to(house.at("from/trunk:x"))}, branch="trunk")
    shared.origin.commit({**FILES, "treeship.toml": to(house.at("from/attacker:x"))}, branch="x/HEAD")
    shared.origin.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    assert destinations(house, shared.clone, "FETCH_HEAD") == [f"{house.registry.host}/from/trunk:x"]


def test_with_no_remote_the_local_main_is_protected(house: House) -> None:
    origin = house.repository
    origin.commit({**FILES, "treeship.toml": to(house.at("from/local-main:x"))})
    origin.commit({**FILES, "treeship.toml": to(house.at("from/feature:x"))}, branch="feature")
    assert destinations(house, origin.directory, "feature") == [f"{house.registry.host}/from/local-main:x"]


def test_a_repository_by_url_has_its_own_protected_branch(house: House, shared: Shared) -> None:
    assert destinations(house, shared.origin.url, "feature") == [f"{house.registry.host}/from/main:old"]


def test_a_commit_that_counts_on_a_remote_out_of_reach_is_not_sent_elsewhere(
    house: House, shared: Shared
) -> None:
    shared.origin.directory.rename(shared.origin.directory.with_name("gone"))
    ran = house.treeship(
        "build", "FETCH_HEAD", "--repo", shared.clone, "--base", house.base, cwd=shared.clone, code=None
    )
    assert ran.code in (2, 4)
    assert not (shared.clone / ".treeship").exists()
    assert all("/bases/" in entry.path for entry in house.registry.log)


def test_the_strongest_source_wins(house: House, shared: Shared) -> None:
    """Flag over environment over the user's file over the protected branch; the commit has no say."""
    sources: list[tuple[str, Callable[[], tuple[list[str], dict[str, str]]]]] = [
        ("treeship.toml at origin's HEAD", lambda: ([], {})),
        (str(house.treeship.user_file), lambda: (_write(house.treeship.user_file, to("oci:user:x")), {})),
        ("TREESHIP_TO", lambda: ([], {"TREESHIP_TO": "oci:one:x oci:two:x"})),
        ("flag --to", lambda: (["--to", "oci:flag:x"], {"TREESHIP_TO": "oci:one:x"})),
    ]
    values = [[house.at("from/main:old")], ["oci:user:x"], ["oci:one:x", "oci:two:x"], ["oci:flag:x"]]
    for (origin, arrange), value in zip(sources, values, strict=True):
        words, env = arrange()
        shown = house.treeship(
            "config", "show", "FETCH_HEAD", "--repo", shared.clone, "--json", *words, env=env
        ).json
        assert shown["to"]["value"] == value
        assert shown["to"]["origin"].startswith(origin)


def _write(file: Path, content: bytes) -> list[str]:
    file.write_bytes(content)
    return []


def test_config_show_names_the_source_of_every_setting(house: House) -> None:
    edited(
        house.repository,
        {
            "treeship.toml": b'base = "registry.example/base:1"\nprefix = "/srv/app"\n[variants.gpu]\nuser = "1"\n'
        },
    )
    house.treeship.user_file.write_text(
        'jobs = 3\n[timeouts]\nread = 7\n[reuse]\nfrom = ["registry.example/app"]\n'
    )
    words = [
        "config",
        "show",
        "--repo",
        str(house.repository.directory),
        "--json",
        "--variant",
        "gpu",
        "--no-commit-tag",
    ]
    shown = house.treeship(*words, env={"TREESHIP_TIMEOUTS_CONNECT": "2.5"}).json
    commit = house.repository.git("rev-parse", "HEAD").decode()[:12]
    told = {name: (shown[name]["value"], shown[name]["origin"]) for name in shown}
    assert told["base"][0] == "registry.example/base:1"
    assert commit in told["base"][1]
    assert told["prefix"][0] == "/srv/app"
    assert told["pythonpath"] == (["/srv/app"], "default")
    assert told["user"] == ("1", "[variants.gpu]")
    assert told["variant"] == ("gpu", "flag --variant")
    assert told["commit_tag"] == (False, "flag --no-commit-tag")
    assert told["jobs"] == (3, str(house.treeship.user_file))
    assert told["timeouts.read"] == (7.0, str(house.treeship.user_file))
    assert told["timeouts.connect"] == (2.5, "TREESHIP_TIMEOUTS_CONNECT")
    assert told["reuse.from"] == (["registry.example/app"], str(house.treeship.user_file))
    assert all(set(row) == {"value", "origin"} for row in shown.values())


def test_a_variant_is_the_same_code_otherwise_run(house: House, tmp_path: Path) -> None:
    settings = b"""\
entrypoint = ["python3", "-m", "train"]
environment = { A = "1", B = "1" }
[variants.devbox]
entrypoint = ["bash"]
user = "1000:1000"
environment = { B = "2" }
"""
    edited(house.repository, {"treeship.toml": settings})
    plain, devbox = house.build(), house.build("--variant", "devbox", to="team/app:devbox")
    assert [layer["digest"] for layer in plain["layers"]] == [layer["digest"] for layer in devbox["layers"]]
    assert devbox["bytes_pushed"] == len(house.config_bytes(devbox["digest"])), "only the config is another"
    seen = house.config(devbox["digest"])["config"]
    assert (seen["Entrypoint"], seen["User"]) == (["bash"], "1000:1000")
    assert {"A=1", "B=2"} <= set(seen["Env"])
    assert house.manifest("devbox")["annotations"]["dev.treeship.variant"] == "devbox"
    assert house.check("team/app:devbox")["verdict"] == "equal", "the image says which variant it is"
