"""Images for several platforms: one index, whose code layers are the same on each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end import programs
from tests.end_to_end.helpers import Treeship
from tests.rigs.binfmt import Binfmt
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.podman import Podman

BOTH = ["--platform", "linux/amd64", "--platform", "linux/arm64"]
FILES = {"train.py": b"print(1)\n", "data.csv": b"1,2\n"}


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    repository.commit(FILES)
    return repository


def test_the_layers_of_the_code_are_sent_once_for_all_platforms(
    registry: InProcessRegistry, treeship: Treeship, made: ThrowAwayRepository, tiny_index: Path
) -> None:
    to = f"docker://{registry.host}/app:it"
    result = treeship.build(made.directory, "--base", f"oci:{tiny_index}", *BOTH, "--to", to)
    stored = registry.store.repository("app")
    layers = {
        platform: [layer["digest"] for layer in stored.manifests[digest].fields["layers"]]
        for platform, digest in result["platforms"].items()
    }
    own = [layer["digest"] for layer in result["layers"]]
    assert [found[-len(own) :] for found in layers.values()] == [own, own]
    assert layers["linux/amd64"][0] != layers["linux/arm64"][0], "the bases are not the same"
    sent = [entry.path.partition("digest=")[2] for entry in registry.log if entry.verb == "PUT upload"]
    assert len(sent) == len(set(sent))


def test_the_index_says_which_is_which(
    registry: InProcessRegistry, treeship: Treeship, made: ThrowAwayRepository, tiny_index: Path
) -> None:
    to = f"docker://{registry.host}/app:it"
    result = treeship.build(made.directory, "--base", f"oci:{tiny_index}", *BOTH, "--to", to)
    stored = registry.store.repository("app")
    index = stored.manifests[result["digest"]].fields
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert {
        f"{entry['platform']['os']}/{entry['platform']['architecture']}": entry["digest"]
        for entry in index["manifests"]
    } == result["platforms"]
    for platform, digest in result["platforms"].items():
        config = json.loads(registry.store.blobs[stored.manifests[digest].fields["config"]["digest"]])
        assert f"{config['os']}/{config['architecture']}" == platform
    assert index["annotations"]["org.opencontainers.image.revision"] == result["commit"]
    assert set(stored.tags) == {"it", result["commit"]}


def test_platforms_may_be_a_setting_of_the_commit_and_of_a_variant(
    treeship: Treeship, repository: ThrowAwayRepository, tiny_index: Path, tmp_path: Path
) -> None:
    settings = b'platforms = ["linux/amd64", "linux/arm64"]\n[variants.one]\nplatforms = ["linux/arm64"]\n'
    repository.commit({**FILES, "treeship.toml": settings})
    base = ["--base", f"oci:{tiny_index}", "--to", f"oci:{tmp_path}/layout:it"]
    assert set(treeship.build(repository.directory, *base)["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert set(treeship.build(repository.directory, *base, "--variant", "one")["platforms"]) == {
        "linux/arm64"
    }
    given = treeship.build(repository.directory, *base, "--platform", "linux/amd64")
    assert set(given["platforms"]) == {"linux/amd64"}


def test_asking_for_one_platform_twice_is_asking_once(
    treeship: Treeship, made: ThrowAwayRepository, tiny_index: Path, tmp_path: Path
) -> None:
    words = ["--base", f"oci:{tiny_index}", "--to", f"oci:{tmp_path}/layout:it", "--platform", "linux/arm64"]
    once = treeship.build(made.directory, *words)
    assert treeship.build(made.directory, *words, "--platform", "linux/arm64/v8")["platforms"].keys() <= {
        "linux/arm64", "linux/arm64/v8"
    }  # fmt: skip
    assert once["platforms"] == {"linux/arm64": once["digest"]}


@pytest.mark.parametrize("place", ["docker-daemon:name:it", "docker-archive:file.tar:name:it"])
def test_where_only_one_fits_an_index_is_refused_before_anything_is_written(
    registry: InProcessRegistry, treeship: Treeship, made: ThrowAwayRepository, tiny_index: Path, place: str
) -> None:
    to = ["--to", f"docker://{registry.host}/app:it", "--to", place]
    ran = treeship("build", "--repo", made.directory, "--base", f"oci:{tiny_index}", *BOTH, *to, code=2)
    assert "one platform, not 2" in ran.err
    assert not [entry for entry in registry.log if entry.method not in ("GET", "HEAD")]


@pytest.mark.rig
def test_a_base_for_another_machine_needs_nothing_said(
    docker_registry: DockerRegistry, foreign_layout: Path, podman: Podman, binfmt: Binfmt, treeship: Treeship,
    repository: ThrowAwayRepository,
) -> None:  # fmt: skip
    """The image is for the machine that its base is for, and runs there."""
    repository.commit(programs.NUMERIC)
    image = f"{docker_registry.host}/platforms/foreign:it"
    result = treeship.build(repository.directory, "--base", f"oci:{foreign_layout}", "--to", image)
    assert list(result["platforms"]) in (["linux/arm64"], ["linux/arm64/v8"])
    shown = json.loads(
        podman.skopeo("inspect", "--config", "--override-arch=arm64", f"docker://{image}").stdout
    )
    assert shown["architecture"] == "arm64"
    ran = podman.podman("run", "--rm", "--platform=linux/arm64", image)
    assert json.loads(ran.stdout)["machine"] == "aarch64"


@pytest.mark.rig
def test_skopeo_copies_a_whole_index_to_a_layout_and_back_with_the_same_digest(
    docker_registry: DockerRegistry, podman: Podman, treeship: Treeship, made: ThrowAwayRepository, tiny_index: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    image = f"{docker_registry.host}/platforms/index"
    result = treeship.build(made.directory, "--base", f"oci:{tiny_index}", *BOTH, "--to", f"{image}:it")
    podman.skopeo("copy", "--all", f"docker://{image}:it", f"oci:{tmp_path}/layout:it")
    podman.skopeo("copy", "--all", f"oci:{tmp_path}/layout:it", f"docker://{image}:back")
    for where in (f"oci:{tmp_path}/layout:it", f"{image}:back"):
        assert treeship("inspect", where, "--json").json["digest"] == result["digest"]
