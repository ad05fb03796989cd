"""`treeship rebase` of images with dependencies: their layers stay where they are, and must fit the new base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildkit.testing.index import InProcessIndex
from buildkit.testing.repositories import ThrowAwayRepository
from tests.buildkit.bases_facts.support import LIBC, Entry, distribution, file, python_files, tar
from tests.buildkit.dependencies.support import layout_base
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.house import writes
from tests.end_to_end.locked import (
    CODE,
    SITE,
    Watched,
    Wheel,
    Yard,
    digests,
    of_wheels,
    pylock,
    small_lock,
    wheel,
)
from tests.end_to_end.test_dependencies_real import LOCKS, PLATFORMS
from tests.end_to_end.test_rebase import newer
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import skipping
from tests.rigs.podman import Podman
from tests.rigs.wheels import wheelhouse

REFUSED = 3
SETTINGS = bytes(CODE["treeship.toml"])  # type: ignore[arg-type]
MANNERS = {"plain": b"", "slim": b'slim = ["tests"]\n', "lazy": b'slim = ["tests"]\nestargz = true\n'}


def base(yard: Yard, folder: Path, *entries: Entry, minor: str = "3.12") -> str:
    """Another base of the registry: a Python, and what else is given."""
    libc = file("usr/lib/x86_64-linux-gnu/libc.so.6", LIBC)
    layout_base(folder, tar(*python_files(minor=minor, version=f"{minor}.9"), libc, *entries))
    yard.treeship("copy", f"oci:{folder}:latest", yard.at(f"bases/{folder.name}:1"))
    return yard.at(f"bases/{folder.name}:1")


def rebase(yard: Yard, onto: str, *more: str) -> Json:
    return yard.treeship("rebase", yard.at("team/app:main"), "--onto", onto, "--json", *more).json


@pytest.mark.parametrize("manner", MANNERS)
def test_the_layers_of_wheels_stay_and_the_image_is_that_of_a_build_on_the_new_base(
    yard: Yard, tmp_path: Path, manner: str
) -> None:
    """Whatever their form; what their descriptors tell comes along."""
    yard.commit(small_lock(), {"treeship.toml": SETTINGS + MANNERS[manner]})
    built = yard.build()
    onto = base(yard, tmp_path / "next", file("etc/release", b"2\n"))
    with Watched(yard.registry) as registry, Watched(yard.index) as index:
        done = rebase(yard, onto)
    assert index.requests == []
    own = digests(built["layers"])
    assert not [entry.path for entry in registry.requests if any(digest in entry.path for digest in own)]
    manifest = yard.registry.store.repository("team/app").manifests[done["digest"]].fields
    assert registry.uploaded == {manifest["config"]["digest"]}
    assert yard.registry.store.incomplete() == []
    fresh = yard.elsewhere(tmp_path / "elsewhere").build(base=onto, to="fresh/app:main")
    assert done["digest"] == fresh["digest"]
    yard.check("team/app:main")


def test_another_python_is_refused(yard: Yard, tmp_path: Path) -> None:
    yard.commit(small_lock())
    yard.build()
    onto = base(yard, tmp_path / "next", minor="3.13")
    said = refused(yard, onto)
    assert "Python is 3.12.4 in the old base and 3.13.9 in the new one" in said


def refused(yard: Yard, onto: str) -> str:
    """What is said of a rebase that writes nothing, with and without --dry-run."""
    with Watched(yard.registry) as registry:
        ran = [
            yard.treeship("rebase", yard.at("team/app:main"), "--onto", onto, *words, code=REFUSED).err
            for words in ((), ("--dry-run",))
        ]
    assert writes(registry.requests) == []
    assert ran[0] == ran[1]
    return ran[0]


def test_a_base_that_brings_a_wheel_of_the_image_in_another_version_is_refused(
    yard: Yard, tmp_path: Path
) -> None:
    """A build on it would be too: two versions would lie in one folder."""
    yard.commit(small_lock())
    yard.build()
    onto = base(yard, tmp_path / "next", *distribution(SITE, "alpha", "2.0"))
    said = refused(yard, onto)
    assert "alpha, of which the image has 1.0," in said
    assert "2.0 in the new one" in said
    assert "the base has alpha 2.0" in yard.fails(base=onto, to="fresh/app:main").err


@pytest.mark.parametrize("version", ["1.0", "1.0.0", "v1"])
def test_one_that_brings_it_in_the_same_version_is_not(yard: Yard, tmp_path: Path, version: str) -> None:
    """However that is written."""
    yard.commit(small_lock())
    yard.build()
    onto = base(yard, tmp_path / "next", *distribution(SITE, "alpha", version))
    rebase(yard, onto)
    assert "alpha" in yard.build(base=onto, to="fresh/app:main")["dependencies"]["carried"]


def test_wheels_of_a_base_that_treeship_has_built_are_the_bases(yard: Yard, tmp_path: Path) -> None:
    """They go with it, and may come in another version."""
    for version in ("1.0", "2.0"):
        yard.commit([wheel("alpha", version)])
        yard.build("--no-commit-tag", to=f"bases/ours:{version}")
    old, new = yard.at("bases/ours:1.0"), yard.at("bases/ours:2.0")
    yard.commit([wheel("mine")])
    yard.build(base=old)
    done = rebase(yard, new)
    assert (
        done["digest"]
        == yard.elsewhere(tmp_path / "elsewhere").build(base=new, to="fresh/app:main")["digest"]
    )


def test_what_the_old_base_brought_and_the_new_one_does_not_is_noted(yard: Yard, tmp_path: Path) -> None:
    """A wheel that the base has is not in the image, and the image does not say that its lock counts on it."""
    carrying = base(yard, tmp_path / "carrying", *distribution(SITE, "alpha", "1.0"))
    yard.commit(small_lock())
    built = yard.build(base=carrying)
    assert built["dependencies"]["carried"] == {"alpha": "1.0"}
    said = yard.treeship("rebase", yard.at("team/app:main"), "--onto", yard.base, "--dry-run", code=10).out
    assert "the old base brought alpha 1.0, the new one does not: wheels may count on it" in said


@pytest.mark.rig
@pytest.mark.slow
@pytest.mark.parametrize("manner", ["plain", "lazy"])
def test_podman_runs_real_wheels_on_a_newer_debian(
    docker_registry: DockerRegistry, podman: Podman, base_layout: Path, treeship: Treeship,
    repository: ThrowAwayRepository, tmp_path: Path, manner: str,
) -> None:  # fmt: skip
    """Nothing of the wheels or the code is sent or read again; only the base's new layer and a config are new."""
    with skipping():
        house = wheelhouse(LOCKS / "requirements.txt", "3.11", *PLATFORMS)
    chosen = [path for path in house.iterdir() if path.name.partition("-")[0] in ("numpy", "six")]
    wheels = [Wheel(path.name, path.read_bytes()) for path in sorted(chosen)]
    host = f"{docker_registry.host}/rebase-wheels/{manner}"
    newer(base_layout, tmp_path / "newer")
    for name, layout in (("1", base_layout), ("2", tmp_path / "newer")):
        treeship("copy", f"oci:{layout}:latest", f"{host}/debian:{name}")
    with InProcessIndex({each.filename: each.data for each in wheels}) as index:
        lock = pylock(f"http://{index.host}/files/", wheels)
        repository.commit({**CODE, "treeship.toml": SETTINGS + MANNERS[manner], "pylock.toml": lock})
        words = ("--wheel-host", index.host, "--no-commit-tag")
        built = treeship.build(
            repository.directory, *words, "--base", f"{host}/debian:1", "--to", f"{host}/app:main"
        )
        already = len(docker_registry.requests())
        done = treeship("rebase", f"{host}/app:main", "--onto", f"{host}/debian:2", "--json").json
        asked = docker_registry.requests()[already:]
        fresh = treeship.build(
            repository.directory, *words, "--base", f"{host}/debian:2", "--to", f"{host}/fresh:main"
        )
    assert {layer["name"] for layer in of_wheels(built).values()} >= {"wheel-numpy"}
    assert not [each for each in asked for layer in built["layers"] if layer["digest"] in each.path]
    assert len([each for each in asked if each.method == "PUT" and "/blobs/" in each.path]) == 1, "the config"
    assert done["digest"] == fresh["digest"] != built["digest"]
    program = "import numpy, six, json, os; print(json.dumps([int(numpy.arange(4).sum()), os.environ.get('RELEASE')]))"
    for image, release in ((f"{host}/app:main", "2"), (f"{host}/app@{built['digest']}", None)):
        ran = podman.podman("run", "--rm", "--network=none", image, "python3", "-c", program)
        assert json.loads(ran.stdout) == [6, release]
