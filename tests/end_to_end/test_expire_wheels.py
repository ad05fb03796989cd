"""`treeship expire` where images share layers of wheels: what stays is whole, also when the rest is collected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildkit.testing.index import InProcessIndex
from buildkit.testing.repositories import SECONDS, ThrowAwayRepository
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.locked import CODE, Wheel, Yard, digests, of_wheels, pylock, small_lock, wheel
from tests.end_to_end.test_dependencies_real import LOCKS, PLATFORMS
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import Start, skipping
from tests.rigs.podman import Podman
from tests.rigs.wheels import wheelhouse

DAY = 86400
SLIM = {"treeship.toml": bytes(CODE["treeship.toml"]) + b'slim = ["tests"]\nestargz = true\n'}  # type: ignore[arg-type]


def expired(treeship: Treeship, repository: ThrowAwayRepository, place: str, plan: Path) -> list[str]:
    """Plan, apply; the tags that went."""
    words = ("expire", "--repo", repository.directory, "--json")
    found = treeship(*words, place, "--out", plan, code=10).json
    done = treeship(*words, "--apply", plan).json
    assert [each["removed"] for each in done["repositories"]] == [len(found["removals"])]
    return sorted(tag for each in found["removals"] for tag in each["tags"])


@pytest.mark.parametrize("files", [CODE, SLIM], ids=["plain", "slim and estargz"])
def test_what_stays_is_whole_and_equal_to_its_commit(
    yard: Yard, tmp_path: Path, files: dict[str, bytes]
) -> None:
    """Two commits whose locks differ in one wheel; another project has mounted their layers."""
    first = yard.commit(small_lock(), files)
    before = yard.build()
    lock = pylock(f"http://{yard.index.host}/files/", yard.offer(small_lock(beta="1.1")))
    second = yard.repository.commit(
        {**CODE, **files, "pylock.toml": lock}, parents=[first], seconds=SECONDS + DAY
    )
    after = yard.build()
    other = yard.build("--no-commit-tag", first, to="another/app:main")
    shared = digests(of_wheels(before)) & digests(of_wheels(after))
    assert len(shared) >= 3

    assert expired(yard.treeship, yard.repository, yard.at("team/app"), tmp_path / "plan.jsonl") == [first]

    assert set(yard.registry.store.repository("team/app").tags) == {"main", second}
    assert yard.registry.store.incomplete() == []
    yard.treeship("copy", yard.at("team/app:main"), f"oci:{tmp_path}/copy:it")
    yard.check("team/app:main")
    yard.check("another/app:main", "--commit", first)
    assert other["digest"] == before["digest"]
    assert yard.build("--no-commit-tag", first, to="team/app:again")["digest"] == before["digest"]


def test_of_a_layout_the_blobs_that_no_image_shares_go(yard: Yard, tmp_path: Path) -> None:
    """There it is treeship that removes them."""
    place = f"oci:{tmp_path}/out"
    words = (
        "--repo",
        yard.repository.directory,
        "--json",
        "--base",
        yard.base,
        "--wheel-host",
        yard.index.host,
    )
    first = yard.commit(small_lock())
    lock = pylock(f"http://{yard.index.host}/files/", yard.offer(small_lock(beta="1.1")))
    second = yard.repository.commit({**CODE, "pylock.toml": lock}, parents=[first], seconds=SECONDS + DAY)
    before, after = (
        yard.treeship("build", *words, commit, "--to", f"{place}:{commit}").json for commit in (first, second)
    )
    assert expired(yard.treeship, yard.repository, place, tmp_path / "plan.jsonl") == [first]
    gone = digests(before["layers"]) - digests(after["layers"])
    assert {layer["name"] for layer in before["layers"] if layer["digest"] in gone} == {"wheel-beta"}
    left = {f"sha256:{path.name}" for path in (tmp_path / "out" / "blobs" / "sha256").iterdir()}
    assert digests(after["layers"]) <= left
    assert not gone & left
    found = yard.treeship("check", f"{place}:{second}", *words[:3], "--wheel-host", yard.index.host).json
    assert found["verdict"] == "equal"
    again = yard.treeship("build", *words, first, "--to", f"{place}:again").json
    assert again["digest"] == before["digest"]
    assert gone <= {f"sha256:{path.name}" for path in (tmp_path / "out" / "blobs" / "sha256").iterdir()}


@pytest.mark.rig
@pytest.mark.slow
def test_the_kept_image_runs_when_the_registry_has_collected(
    start: Start,
    podman: Podman,
    base_layout: Path,
    treeship: Treeship,
    repository: ThrowAwayRepository,
    tmp_path: Path,
) -> None:
    """Real wheels, one of which both images have; then the image that went is built again, by the cache's memory."""
    registry = start(DockerRegistry())
    place = f"docker://{registry.host}/team/app"
    treeship("copy", f"oci:{base_layout}:latest", f"docker://{registry.host}/bases/debian:1")
    wheels = real_wheels()
    with InProcessIndex() as index:
        words = ("--base", f"docker://{registry.host}/bases/debian:1", "--wheel-host", index.host)
        results, commits = [], []
        for number in (1, 2):
            lock = [*wheels, wheel("mine", f"{number}.0", size=5 << 20)]
            index.files.update({each.filename: each.data for each in lock})
            text = pylock(f"http://{index.host}/files/", lock)
            commits.append(repository.commit({**CODE, "pylock.toml": text}, seconds=SECONDS + number * DAY))
            results.append(treeship.build(repository.directory, *words, "--to", f"{place}:main"))
        first, second = (of_wheels(result) for result in results)
        assert first["wheel-numpy"]["digest"] == second["wheel-numpy"]["digest"]
        gone = first["wheel-mine"]["digest"]
        assert stored(registry, gone)

        assert expired(treeship, repository, place, tmp_path / "plan.jsonl") == [commits[0]]
        registry.collect_garbage()

        assert not stored(registry, gone)
        assert runs(podman, f"{registry.host}/team/app:main") == [6, "2.0"]
        assert runs(podman, f"{registry.host}/team/app:{commits[1]}") == [6, "2.0"]
        again = treeship.build(repository.directory, commits[0], *words, "--to", f"{place}:again")
    assert again["digest"] == results[0]["digest"]
    assert actions(again) == {"wheel-numpy": "reuse", "wheel-mine": "push"}
    assert runs(podman, f"{registry.host}/team/app:again") == [6, "1.0"]


def real_wheels() -> list[Wheel]:
    """numpy alone."""
    with skipping():
        house = wheelhouse(LOCKS / "requirements.txt", "3.11", *PLATFORMS)
    return [Wheel(path.name, path.read_bytes()) for path in house.glob("numpy-*.whl")]


def stored(registry: DockerRegistry, digest: str) -> bool:
    """Whether the registry keeps this blob."""
    return any(registry.storage.rglob(f"blobs/sha256/*/{digest.removeprefix('sha256:')}/data"))


def runs(podman: Podman, image: str) -> list[object]:
    """What a program with both wheels says, pulled anew."""
    program = "import json, mine, numpy; print(json.dumps([int(numpy.arange(4).sum()), mine.VERSION]))"
    ran = podman.podman("run", "--rm", "--pull=always", "--network=none", image, "python3", "-c", program)
    said = json.loads(ran.stdout)
    assert isinstance(said, list)
    return said


def actions(result: Json) -> dict[str, str]:
    """What was done about each layer of wheels."""
    return {name: layer["action"] for name, layer in of_wheels(result).items()}
