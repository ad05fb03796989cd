"""The lock of a commit becomes layers of wheels: what is sent and fetched for them, request by request."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.helpers import Json
from tests.end_to_end.locked import (
    CODE,
    Watched,
    Yard,
    digests,
    everything,
    of_wheels,
    pylock,
    requirements,
    small_lock,
)
from tests.end_to_end.test_kill import faults_of
from tests.rigs.docker_registry import DockerRegistry


def config_of(yard: Yard, result: Json, name: str = "team/app") -> str:
    """The digest of the image's config."""
    manifest = yard.registry.store.repository(name).manifests[result["digest"]]
    return str(manifest.fields["config"]["digest"])


def test_wheels_stand_between_the_base_and_the_code(yard: Yard) -> None:
    """Large ones alone and lowest, small ones together; the whole is what `check` computes again from nothing."""
    yard.commit(small_lock())
    result = yard.build()
    names = [layer["name"] for layer in result["layers"]]
    assert names[:2] == ["wheel-alpha", "wheel-beta"]
    assert all(name.startswith("wheels-") for name in names[2 : len(of_wheels(result))])
    assert not [layer for layer in result["layers"][len(of_wheels(result)) :] if layer["wheels"]]
    told = [wheel["name"] for layer in result["layers"] for wheel in layer["wheels"]]
    assert sorted(told) == ["alpha", "beta", "delta", "epsilon", "gamma", "zeta"]
    manifest = yard.registry.store.repository("team/app").manifests[result["digest"]].fields
    base = yard.registry.store.repository("bases/python").manifest("1")
    assert base is not None
    lowest = [layer["digest"] for layer in base.fields["layers"]]
    stacked = [layer["digest"] for layer in manifest["layers"]]
    assert stacked == [*lowest, *(layer["digest"] for layer in result["layers"])]
    yard.check("team/app:main")


def test_the_same_commit_again_sends_and_fetches_nothing(yard: Yard) -> None:
    yard.commit(small_lock())
    first = yard.build()
    with Watched(yard.registry) as registry, Watched(yard.index) as index:
        again = yard.build()
    assert again["digest"] == first["digest"]
    assert index.requests == []
    assert {entry.method for entry in registry.requests} <= {"GET", "HEAD"}
    assert len(registry.requests) <= 4
    assert (again["bytes_pushed"], again["bytes_mounted"]) == (0, 0)


def test_a_lock_change_of_one_wheel_sends_its_layer_config_and_manifest(yard: Yard) -> None:
    """The lock is no part of the image here (`exclude`), so no layer of the code changes with it."""
    yard.commit(small_lock())
    before = yard.build()
    yard.commit(small_lock(alpha="1.1"))
    with Watched(yard.registry) as registry, Watched(yard.index) as index:
        result = yard.build()
    alpha = of_wheels(result)["wheel-alpha"]
    assert index.files == ["alpha-1.1-py3-none-any.whl"]
    assert registry.uploaded == {alpha["digest"], config_of(yard, result)}
    assert registry.mounted == set()
    assert {layer["name"] for layer in result["layers"] if layer["action"] == "push"} == {"wheel-alpha"}
    assert digests(result["layers"]) - digests(before["layers"]) == {alpha["digest"]}
    yard.check("team/app:main")


def test_a_lock_that_is_in_the_image_changes_its_own_layer_too(yard: Yard) -> None:
    shipped = {"treeship.toml": b""}
    yard.commit(small_lock(), shipped)
    before = yard.build()
    yard.commit(small_lock(beta="1.1"), shipped)
    with Watched(yard.registry) as registry:
        result = yard.build()
    new = {
        layer["digest"]: layer
        for layer in result["layers"]
        if layer["digest"] not in digests(before["layers"])
    }
    assert registry.uploaded == {*new, config_of(yard, result)}
    assert [layer["name"] for layer in new.values() if layer["wheels"]] == ["wheel-beta"]
    assert [layer["changed"] for layer in new.values() if not layer["wheels"]] == [["pylock.toml"]]


def test_one_of_the_small_wheels_changes_the_layer_that_it_shares(yard: Yard) -> None:
    yard.commit(small_lock())
    before = yard.build()
    yard.commit(small_lock(gamma="1.1"))
    with Watched(yard.registry) as registry, Watched(yard.index) as index:
        result = yard.build()
    (changed,) = [layer for layer in result["layers"] if layer["digest"] not in digests(before["layers"])]
    assert "gamma" in {wheel["name"] for wheel in changed["wheels"]}
    assert registry.uploaded == {changed["digest"], config_of(yard, result)}
    assert index.files == ["gamma-1.1-py3-none-any.whl"], "its neighbours are in the store"


def test_another_project_with_the_same_lock_mounts_every_wheel_layer(yard: Yard, tmp_path: Path) -> None:
    """Also where it is another git repository with other code: layers of wheels know of no project."""
    yard.commit(small_lock())
    first = yard.build()
    other = replace(yard, repository=ThrowAwayRepository(tmp_path / "other"))
    other.commit(small_lock(), {"train.py": b"print('other')\n"})
    with Watched(yard.registry) as registry, Watched(yard.index) as index:
        result = other.build(to="another/project:main")
    layers = of_wheels(result)
    assert digests(layers) == digests(of_wheels(first))
    assert {layer["action"] for layer in layers.values()} == {"mount"}
    assert digests(layers) <= registry.mounted
    assert registry.uploaded.isdisjoint(digests(layers))
    assert index.requests == []
    assert other.registry.store.incomplete() == []


@pytest.mark.parametrize("how", ["named", "not named"])
def test_on_another_machine_a_trusted_image_stands_in_for_the_cache(
    yard: Yard, tmp_path: Path, how: str
) -> None:
    """With --reuse-from nothing is fetched and all is mounted; without it, nobody's word is taken for it."""
    yard.commit(small_lock())
    first = yard.build()
    other = replace(yard, repository=ThrowAwayRepository(tmp_path / "other")).elsewhere(
        tmp_path / "elsewhere"
    )
    other.commit(small_lock(), {"train.py": b"print('other')\n"})
    trusting = ["--reuse-from", yard.at("team/app:main")] if how == "named" else []
    with Watched(yard.registry) as registry, Watched(yard.index) as index:
        result = other.build(*trusting, to="another/project:main")
    layers = of_wheels(result)
    assert digests(layers) == digests(of_wheels(first))
    if how == "named":
        assert {layer["reason"] for layer in layers.values()} == {"ancestor"}
        assert {layer["action"] for layer in layers.values()} == {"mount"}
        assert index.requests == []
        assert registry.uploaded.isdisjoint(digests(layers))
    else:
        assert {layer["reason"] for layer in layers.values()} == {"new"}
        assert len(index.files) == 6
        assert digests(layers) <= registry.uploaded
    replace(yard, repository=other.repository).check("another/project:main")


def test_a_wheelhouse_is_used_in_place(yard: Yard, tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    wheels = small_lock()
    for each in wheels:
        (house / each.filename).write_bytes(each.data)
    yard.commit(wheels)
    with Watched(yard.index) as index:
        result = yard.build("--wheelhouse", str(house))
    assert index.requests == []
    assert everything(yard.treeship.cache / "wheels" / "incoming") == {}
    assert len(of_wheels(result)) == 5
    assert not list((yard.treeship.cache / "wheels").rglob("*.whl"))


def test_a_pylock_and_requirements_of_the_same_wheels_give_the_same_layers(
    yard: Yard, tmp_path: Path
) -> None:
    wheels = small_lock()
    yard.commit(wheels)
    first = of_wheels(yard.build())
    yard.repository.commit({**CODE, "requirements.txt": requirements(yard.index.url, wheels)})
    fresh = yard.elsewhere(tmp_path / "elsewhere")
    result = fresh.build(to="other/app:main")
    assert result["dependencies"]["lock"] == "requirements.txt"
    assert {name: layer["digest"] for name, layer in of_wheels(result).items()} == {
        name: layer["digest"] for name, layer in first.items()
    }


@pytest.mark.parametrize("how", ["by path", "by a folder"])
def test_wheels_of_the_commit_itself_need_no_index(yard: Yard, how: str) -> None:
    """Named by the lock, or found in a folder that the requirements name."""
    wheels = small_lock()[2:]
    files = {f"vendor/{each.filename}": each.data for each in wheels}
    lock = pylock("vendor/", wheels).replace(b"url =", b"path =")
    listed = b"--no-index\n--find-links vendor\n" + requirements("x", wheels).partition(b"\n")[2]
    named = {"pylock.toml": lock} if how == "by path" else {"requirements.txt": listed}
    yard.repository.commit({**CODE, **files, **named})
    with Watched(yard.index) as index:
        result = yard.build()
    assert index.requests == []
    yard.commit(wheels)
    assert digests(of_wheels(result)) == digests(of_wheels(yard.build(to="other/app:main")))


def test_every_sink_gets_the_same_layers(yard: Yard, tmp_path: Path) -> None:
    """A registry, a layout and an archive, in one go."""
    yard.commit(small_lock())
    archive = tmp_path / "archive.tar"
    result = yard.build("--to", f"oci:{tmp_path}/layout:it", "--to", f"docker-archive:{archive}:app:it")
    assert faults_of(tmp_path / "layout") == []
    with tarfile.open(archive) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json") or BytesIO())
        found = [sha256((tar.extractfile(name) or BytesIO()).read()).hexdigest() for name in entry["Layers"]]
        config = json.load(tar.extractfile(entry["Config"]) or BytesIO())
    wanted = [layer for layer in result["layers"] if layer["wheels"]]
    assert config["rootfs"]["diff_ids"][1 : len(wanted) + 1] == [layer["diff_id"] for layer in wanted]
    kinds = [{layer[kind].partition(":")[2] for layer in wanted} for kind in ("digest", "diff_id")]
    assert any(kind <= set(found) for kind in kinds)


def test_without_dependencies_nothing_is_asked_for(yard: Yard) -> None:
    yard.commit(small_lock())
    with Watched(yard.index) as index:
        result = yard.build("--no-dependencies")
    assert (index.requests, of_wheels(result), result["dependencies"]) == ([], {}, None)


class Distribution(NamedTuple):
    """Debian's docker-registry with Debian as a base; what builds ask of it."""

    registry: DockerRegistry
    yard: Yard

    def build(self, where: Yard, name: str) -> tuple[Json, Counter[str], set[str]]:
        """What a build printed, the methods of its requests, and the digests of the blobs that it sent."""
        before, host = len(self.registry.requests()), self.registry.host
        words = ("--base", f"docker://{host}/wheels/base:1", "--wheel-host", where.index.host)
        with Watched(where.index) as index:
            result = where.treeship.build(
                where.repository.directory, *words, "--to", f"docker://{host}/wheels/{name}:main"
            )
        made = self.registry.requests()[before:]
        assert len(made) + len(index.requests) == result["requests"]
        sent = {
            each.path.partition("digest=")[2].replace("%3A", ":") for each in made if each.method == "PUT"
        }
        return result, Counter(each.method for each in made), sent - {""}


@pytest.mark.rig
def test_distribution_logs_the_same(
    docker_registry: DockerRegistry, base_layout: Path, yard: Yard, tmp_path: Path
) -> None:
    """The log of Debian's docker-registry itself, on Debian with its own Python."""
    yard.treeship("copy", f"oci:{base_layout}", f"docker://{docker_registry.host}/wheels/base:1")
    registry = Distribution(docker_registry, yard)
    yard.commit(small_lock())
    first, _, sent = registry.build(yard, "one")
    assert digests(of_wheels(first)) <= sent
    _, methods, _ = registry.build(yard, "one")
    assert set(methods) <= {"GET", "HEAD"}
    yard.commit(small_lock(alpha="1.1"))
    changed, _, sent = registry.build(yard, "one")
    assert {layer["name"] for layer in changed["layers"] if layer["digest"] in sent} == {"wheel-alpha"}
    assert len(sent) == 2, "that layer, and the config"
    other = replace(yard, repository=ThrowAwayRepository(tmp_path / "other"))
    other.commit(small_lock(), {"train.py": b"print('other')\n"})
    result, methods, sent = registry.build(other, "two")
    assert {layer["action"] for layer in of_wheels(result).values()} == {"mount"}
    assert sent.isdisjoint(digests(of_wheels(result)))
    assert methods["POST"] == len(of_wheels(result)) + 1 + len(sent), (
        "mounts, with the base's layer, and uploads"
    )
