"""What a build asks of a registry, request by request: a log is the proof that nothing is sent or fetched in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.testing.registry import InProcessRegistry, Recorded
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end import helpers
from tests.end_to_end.helpers import Json, Treeship, edited
from tests.rigs.docker_registry import DockerRegistry

FILES = {f"package/{number % 9}/{number}.py": b"print(%d)\n" % number for number in range(120)}
BLOB = "GET blob"


class Log:
    """What has reached a registry since the last question."""

    def __init__(self, registry: InProcessRegistry) -> None:
        self._registry = registry
        self._seen = 0

    def since(self) -> list[Recorded]:
        """The requests since the last call."""
        found = self._registry.log[self._seen :]
        self._seen += len(found)
        return found


class Team(NamedTuple):
    """A registry with a base in a repository of its own, a git repository with one commit, and the command."""

    registry: InProcessRegistry
    log: Log
    treeship: Treeship
    repository: ThrowAwayRepository
    base: str
    base_blobs: frozenset[str]

    def build(self, *words: str, to: str = "team/app:main", base: str = "") -> tuple[Json, list[Recorded]]:
        """What a build printed, and what it asked for."""
        self.log.since()
        where = f"docker://{self.registry.host}/{to}"
        result = self.treeship.build(
            self.repository.directory, "--base", base or self.base, "--to", where, *words
        )
        return result, self.log.since()

    def edit(self, name: str = "package/3/3.py") -> str:
        """A commit with one file changed."""
        return edited(self.repository, {name: b"print('edited')\n"})


@pytest.fixture(params=["one platform", "an index"])
def team(
    request: pytest.FixtureRequest, registry: InProcessRegistry, treeship: Treeship,
    repository: ThrowAwayRepository, tiny_base: Path, tiny_index: Path,
) -> Team:  # fmt: skip
    platforms = b"" if request.param == "one platform" else b'platforms = ["linux/amd64", "linux/arm64"]\n'
    repository.commit({**FILES, "treeship.toml": platforms})
    base = f"docker://{registry.host}/bases/tiny:1"
    treeship("copy", f"oci:{tiny_index if platforms else tiny_base}", base)
    blobs = frozenset(registry.store.repository("bases/tiny").blobs)
    return Team(registry, Log(registry), treeship, repository, base, blobs)


def verbs(requests: Sequence[Recorded]) -> Counter[str]:
    return Counter(entry.verb for entry in requests)


def uploads(requests: Sequence[Recorded]) -> list[Recorded]:
    """The requests that carried blob bytes."""
    return [
        entry
        for entry in requests
        if entry.verb in ("PUT upload", "PATCH upload", "POST uploads") and entry.body_bytes
    ]


def named(requests: Sequence[Recorded]) -> set[str]:
    """The digests that these uploads were for."""
    return {entry.path.partition("digest=")[2].replace("%3A", ":") for entry in requests}


def mounts(requests: Sequence[Recorded]) -> list[Recorded]:
    return [entry for entry in requests if "mount=" in entry.path]


def configs(team: Team, result: Json, name: str = "team/app") -> set[str]:
    repository = team.registry.store.repository(name)
    return {
        repository.manifests[digest].fields["config"]["digest"] for digest in result["platforms"].values()
    }


def test_the_same_commit_again_takes_four_requests_at_most_and_no_blob_bytes(team: Team) -> None:
    first, _ = team.build()
    again, requests = team.build()
    assert again["digest"] == first["digest"]
    assert len(requests) <= 4
    assert {entry.method for entry in requests} <= {"GET", "HEAD"}
    assert not [entry for entry in requests if "blob" in entry.verb or entry.body_bytes]
    assert (again["bytes_pushed"], again["bytes_mounted"]) == (0, 0)
    assert again["requests"] == len(requests)


def test_with_the_base_named_by_digest_it_takes_one_request_less(team: Team) -> None:
    digest = team.registry.store.repository("bases/tiny").tags["1"]
    base = f"docker://{team.registry.host}/bases/tiny:1@{digest}"
    team.build(base=base)
    _, requests = team.build(base=base)
    assert len(requests) <= 3
    assert not [entry for entry in requests if "/bases/" in entry.path]


def test_a_new_commit_with_the_same_tree_sends_only_config_and_manifest(team: Team) -> None:
    team.build()
    before = team.repository.git("rev-parse", "HEAD^{tree}").decode()
    team.repository.commit_tree(
        before, team.repository.git("rev-parse", "HEAD").decode(), seconds=1_800_000_000
    )
    result, requests = team.build()
    assert result["tree"] == before
    assert named(uploads(requests)) == configs(team, result)
    children = set(result["platforms"].values()) - {result["digest"]}
    assert written_manifests(requests) == children | {result["commit"], "main"}
    assert mounts(requests) == []
    assert {layer["action"] for layer in result["layers"]} == {"reuse"}
    assert result["bytes_pushed"] == sum(entry.body_bytes for entry in uploads(requests))


def written_manifests(requests: Sequence[Recorded]) -> set[str]:
    """What manifests were put under: digests and tags. The last document goes up under its tags alone."""
    return {entry.path.rpartition("/")[2] for entry in requests if entry.verb == "PUT manifest"}


@pytest.mark.parametrize("memory", ["with the cache", "without a cache"])
def test_one_changed_file_sends_only_its_layer_config_and_manifest(team: Team, memory: str) -> None:
    """Without a cache all layers are made again, but the parent's image says that all except one are there."""
    before, _ = team.build()
    team.edit()
    result, requests = team.build(*(["--no-reuse"] if memory == "without a cache" else []))
    old = {layer["digest"] for layer in before["layers"]}
    changed = {layer["digest"] for layer in result["layers"]} - old
    assert len(changed) == 1
    assert named(uploads(requests)) == changed | configs(team, result)
    assert mounts(requests) == []
    assert {layer["digest"] for layer in result["layers"] if layer["action"] == "push"} == changed
    if (
        memory == "with the cache"
    ):  # No question for what did not change: the parent's manifest has answered it.
        assert verbs(requests)["HEAD blob"] == len(changed | configs(team, result))
    assert (
        len([entry for entry in requests if entry.body_bytes])
        == len(uploads(requests)) + verbs(requests)["PUT manifest"]
    )


def test_a_base_of_the_same_registry_is_mounted_and_never_downloaded(team: Team) -> None:
    result, requests = team.build()
    base_layers = layers_of(team, result) & team.base_blobs
    assert base_layers
    assert {
        entry.path.partition("mount=")[2].partition("&")[0].replace("%3A", ":") for entry in mounts(requests)
    } == base_layers
    assert all(
        "from=bases%2Ftiny" in entry.path or "from=bases/tiny" in entry.path for entry in mounts(requests)
    )
    fetched = {entry.path.rpartition("/")[2] for entry in requests if entry.verb == BLOB}
    assert not fetched & base_layers, "only the base's configs are read"
    assert not named(uploads(requests)) & base_layers
    assert result["bytes_mounted"] > 0


def layers_of(team: Team, result: Json, name: str = "team/app") -> set[str]:
    manifests = team.registry.store.repository(name).manifests
    return {
        layer["digest"]
        for digest in result["platforms"].values()
        for layer in manifests[digest].fields["layers"]
    }


def test_a_base_of_the_same_repository_takes_not_even_a_mount(team: Team) -> None:
    result, requests = team.build(to="bases/tiny:app")
    assert mounts(requests) == []
    assert not named(uploads(requests)) & team.base_blobs
    fetched = {entry.path.rpartition("/")[2] for entry in requests if entry.verb == BLOB}
    assert not fetched & layers_of(team, result, "bases/tiny")
    assert result["bytes_mounted"] == 0


def test_the_base_is_described_once_and_then_from_the_cache(team: Team) -> None:
    team.build()
    team.edit()
    _, requests = team.build()
    of_base = [entry.verb for entry in requests if "/bases/" in entry.path]
    assert of_base == ["GET manifest"], "a tag may have moved; all else is known by digest"
    assert verbs(requests)[BLOB] == 0


def test_a_base_of_another_registry_is_streamed_once(team: Team) -> None:
    with InProcessRegistry() as other:
        log = Log(other)
        where = f"docker://{other.host}/team/app:main"
        words = ["--base", team.base, "--to", where]
        team.log.since()
        result = team.treeship.build(team.repository.directory, *words)
        stored = other.store.repository("team/app")
        base_layers = {
            layer["digest"]
            for digest in result["platforms"].values()
            for layer in stored.manifests[digest].fields["layers"]
        } & team.base_blobs
        fetched = Counter(entry.path.rpartition("/")[2] for entry in team.log.since() if entry.verb == BLOB)
        assert {digest: fetched[digest] for digest in base_layers} == dict.fromkeys(base_layers, 1)
        assert set(fetched.values()) == {1}
        assert base_layers <= named(uploads(log.since()))
        team.edit()
        team.treeship.build(team.repository.directory, *words)
        assert verbs(team.log.since())[BLOB] == 0, "the second time it is there"
        assert not named(uploads(log.since())) & base_layers
        assert other.store.incomplete() == []


# The encoder, with a mark in a file for each call.
COUNTING = """\
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
found = PathFinder.find_spec("deflate", [place for place in sys.path if place != {folder!r}])
__path__ = found.submodule_search_locations
real = module_from_spec(found)
found.loader.exec_module(real)
DeflateError, deflate_decompress = real.DeflateError, real.deflate_decompress
def deflate_compress(data, level=6):
    with open({calls!r}, "ab") as file:
        file.write(b".")
    return real.deflate_compress(data, level)
"""


def test_several_destinations_take_one_build(team: Team, tmp_path: Path) -> None:
    """What is made is made once for all; a base blob is read once for each destination that lacks it."""
    calls, folder = tmp_path / "calls", tmp_path / "counting"
    folder.mkdir()
    (folder / "deflate.py").write_text(COUNTING.format(folder=str(folder), calls=str(calls)))
    path = f"{folder}:{team.treeship.environment()['PYTHONPATH']}"
    counting = team._replace(treeship=Treeship(tmp_path / "counting-home", {"PYTHONPATH": path}))
    with InProcessRegistry() as other:
        places = [
            f"docker://{other.host}/a/app:1",
            f"docker://{other.host}/a/app:2",
            f"oci:{tmp_path}/layout:it",
        ]
        counting.build("--no-reuse", to="alone/app:main")
        alone, _ = calls.read_bytes(), calls.write_bytes(b"")
        result, requests = counting.build("--no-reuse", *(f"--to={place}" for place in places))
        assert alone
        assert calls.read_bytes() == alone, "as much was compressed as for one destination"
        fetched = Counter(entry.path.rpartition("/")[2] for entry in requests if entry.verb == BLOB)
        base_layers = layers_of(team, result) & team.base_blobs
        assert {digest: fetched[digest] for digest in base_layers} == dict.fromkeys(base_layers, 2)
        for place in places:
            assert team.treeship("inspect", place, "--json").json["digest"] == result["digest"]
        assert other.store.repository("a/app").tags == dict.fromkeys(
            ("1", "2", result["commit"]), result["digest"]
        )
        assert [entry["tags"] for entry in result["destinations"]] == [
            [result["commit"], "main"], [result["commit"], "1", "2"], ["it"],
        ]  # fmt: skip
        for store in (team.registry.store, other.store):
            assert store.incomplete() == []


def test_a_trusted_image_of_another_repository_is_mounted_layer_by_layer(team: Team, tmp_path: Path) -> None:
    """A fresh clone on a fresh machine: layers of the parent's image are mounted, and only the change is made."""
    team.build(to="main/app:main")
    team.edit()
    elsewhere = Treeship(tmp_path / "elsewhere")
    result, requests = team._replace(treeship=elsewhere).build(
        "--reuse-from", f"docker://{team.registry.host}/main/app", to="branches/app:b"
    )
    assert Counter(layer["reason"] for layer in result["layers"])["changed"] == 1
    changed = {layer["digest"] for layer in result["layers"] if layer["reason"] == "changed"}
    assert {layer["action"] for layer in result["layers"] if layer["reason"] == "ancestor"} == {"mount"}
    assert named(uploads(requests)) == changed | configs(team, result, "branches/app")


@pytest.mark.rig
def test_distribution_logs_the_same(
    docker_registry: DockerRegistry, treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path
) -> None:
    """The log of Debian's docker-registry itself, for the three cases that matter most."""
    base = helpers.tiny_base(tmp_path / "base")
    repository.commit(FILES)
    host = docker_registry.host
    treeship("copy", f"oci:{base}", f"docker://{host}/requests/base:1")

    def build() -> tuple[Json, Counter[str]]:
        before = len(docker_registry.requests())
        words = ["--base", f"docker://{host}/requests/base:1", "--to", f"docker://{host}/requests/app:main"]
        result = treeship.build(repository.directory, *words)
        made = docker_registry.requests()[before:]
        assert len(made) == result["requests"]
        return result, Counter(
            f"{entry.method} {'manifest' if '/manifests/' in entry.path else 'blob'}" for entry in made
        )

    first, requests = build()
    assert requests["GET blob"] == 1, "the base's config"
    assert first["bytes_mounted"] > 0
    _, requests = build()
    assert requests.total() <= 4
    assert set(requests) <= {"GET manifest", "HEAD manifest"}
    repository.commit(FILES, message="the same tree")
    _, requests = build()
    assert (requests["POST blob"], requests["PUT blob"], requests["PUT manifest"]) == (1, 1, 2)
    edited(repository, {"package/3/3.py": b"edited\n"})
    result, requests = build()
    assert (requests["POST blob"], requests["PUT blob"], requests["PUT manifest"]) == (2, 2, 2)
    assert requests["GET blob"] == 0
    assert [layer["reason"] for layer in result["layers"] if layer["action"] == "push"] == ["changed"]
