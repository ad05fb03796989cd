"""One build in four kinds of place and for two kinds of machine: one config each, and it runs from everywhere."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from buildkit.image.platform import Platform
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end import programs
from tests.end_to_end.helpers import Json, Treeship
from tests.rigs.binfmt import Binfmt
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.podman import Podman

pytestmark = pytest.mark.rig
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
PLATFORMS = tuple(MACHINES)
MODEL = Random(3).randbytes(300_000)


class Placed(NamedTuple):
    """A commit with an LFS file: as an index in a registry and a layout, and alone for each platform in all four."""

    both: Json
    alone: Mapping[str, Json]
    folder: Path
    host: str

    def registry(self, platform: str) -> str:
        return f"{self.host}/sinks/{_word(platform)}:it"

    def layout(self, platform: str) -> str:
        return f"oci:{self.folder}/layout:{_word(platform)}"

    def archive(self, platform: str) -> Path:
        return self.folder / f"{_word(platform)}.tar"

    def document(self, digest: str) -> Json:
        """Any blob of the layout that is JSON."""
        raw = (self.folder / "layout/blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
        value = json.loads(raw)
        assert isinstance(value, dict)
        return value


def _word(platform: str) -> str:
    return platform.replace("/", "-")


def engine_name(platform: str) -> str:
    return f"sinks/{_word(platform)}:it"


@pytest.fixture(scope="module")
def placed(
    docker_registry: DockerRegistry, docker_engine: DockerEngine, multi_layout: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Placed:  # fmt: skip
    folder = tmp_path_factory.mktemp("placed")
    repository = ThrowAwayRepository(folder / "repository")
    repository.commit(programs.with_model(MODEL))
    oid = hashlib.sha256(MODEL).hexdigest()
    stored = repository.directory / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid
    stored.parent.mkdir(parents=True)
    stored.write_bytes(MODEL)
    treeship = Treeship(folder / "home", docker_engine.env)
    base = ["--base", f"oci:{multi_layout}"]
    each = [f"--platform={platform}" for platform in PLATFORMS]
    found = Placed({}, {}, folder, docker_registry.host)
    to = ["--to", f"{docker_registry.host}/sinks/index:it", "--to", f"oci:{folder}/layout:index"]
    both = treeship.build(repository.directory, *base, *each, *to)
    alone = {}
    for platform in PLATFORMS:
        places = [
            found.registry(platform), found.layout(platform), f"docker-daemon:{engine_name(platform)}",
            f"docker-archive:{found.archive(platform)}:archived/{engine_name(platform)}",
        ]  # fmt: skip
        alone[platform] = treeship.build(
            repository.directory, *base, f"--platform={platform}", *(f"--to={place}" for place in places)
        )
    return found._replace(both=both, alone=alone)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_four_sinks_and_the_index_have_the_same_config(
    placed: Placed, docker_engine: DockerEngine, podman: Podman, platform: str
) -> None:
    digest = placed.alone[platform]["digest"]
    config = placed.document(digest)["config"]["digest"]
    assert placed.both["platforms"][platform] == digest, "the index holds the very image"
    raw = podman.skopeo("inspect", "--raw", f"docker://{placed.registry(platform)}").stdout
    assert json.loads(raw)["config"]["digest"] == config
    with tarfile.open(placed.archive(platform)) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        member = tar.extractfile(entry["Config"])
        assert member is not None
        assert f"sha256:{hashlib.sha256(member.read()).hexdigest()}" == config
    shown = docker_engine.docker("image", "inspect", "--format={{.Id}}", engine_name(platform)).stdout.strip()
    assert shown == config


@pytest.mark.parametrize("place", ["registry", "layout", "archive", "index"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_podman_runs_it(placed: Placed, podman: Podman, binfmt: Binfmt, platform: str, place: str) -> None:
    source = {
        "registry": f"docker://{placed.registry(platform)}",
        "layout": placed.layout(platform),
        "archive": f"docker-archive:{placed.archive(platform)}",
        "index": f"docker://{placed.host}/sinks/index:it",
    }[place]
    pulled = podman.podman("pull", "--quiet", f"--platform={platform}", source).stdout.split()[-1]
    config = placed.document(placed.alone[platform]["digest"])["config"]["digest"]
    assert f"sha256:{pulled}" == config
    runs_well(json.loads(podman.podman("run", "--rm", f"--platform={platform}", pulled).stdout), platform)


@pytest.mark.parametrize("place", ["registry", "daemon", "archive", "index"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_docker_engine_runs_it(
    placed: Placed, docker_engine: DockerEngine, binfmt: Binfmt, platform: str, place: str
) -> None:
    name = {
        "registry": placed.registry(platform),
        "daemon": engine_name(platform),
        "archive": f"archived/{engine_name(platform)}",
        "index": f"{placed.host}/sinks/index:it",
    }[place]
    if place == "archive":
        docker_engine.docker("load", "--quiet", "--input", placed.archive(platform))
    if place == "index":
        docker_engine.docker("pull", "--quiet", f"--platform={platform}", name)
    ran = docker_engine.docker("run", "--rm", "--network=none", f"--platform={platform}", name)
    runs_well(json.loads(ran.stdout), platform)


def runs_well(seen: Json, platform: str) -> None:
    """The program of the commit ran on the right machine, and the LFS content is what was put there."""
    assert seen["machine"] == MACHINES[platform]
    assert seen["said"] == "from the commit"
    assert seen["model"] == hashlib.sha256(MODEL).hexdigest()
    assert seen["unreadable"] == []
    assert seen["tmp"] == "0o1777"
    assert seen["merged"]["bin"] == "usr/bin"


def test_this_machine_is_one_of_them() -> None:
    """Else none of the tests above would show what runs without emulation."""
    assert str(Platform.of_host()) in PLATFORMS
