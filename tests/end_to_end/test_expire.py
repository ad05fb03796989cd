"""`treeship expire`: from builds of real commits to what is left of them, in a registry and in a layout."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from buildkit.testing.registry import InProcessRegistry, faults
from buildkit.testing.repositories import SECONDS, ThrowAwayRepository
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.test_kill import Killer, killed
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.podman import Podman

DAY = 86400


class Team:
    """A repository with four commits, an image of each at `to`, and `main` for the last one."""

    def __init__(self, treeship: Treeship, made: ThrowAwayRepository, to: str) -> None:
        self.treeship = treeship
        self.made = made
        self.to = to
        self.commits = [
            made.commit({"train.py": b"print(%d)\n" % number}, seconds=SECONDS + number * DAY)
            for number in range(4)
        ]
        for commit in self.commits:
            self.build(commit)

    def build(self, commit: str, tag: str = "") -> None:
        to = f"{self.to}:{tag or commit}"
        self.treeship.build(self.made.directory, commit, "--base", "scratch", "--to", to)

    def expire(self, *words: str | Path, code: int = 10) -> Json:
        return self.treeship("expire", "--repo", self.made.directory, "--json", *words, code=code).json

    def removals(self, *words: str | Path, code: int = 10) -> set[str]:
        """The tags that a plan names."""
        found = self.expire(self.to, *words, code=code)["removals"]
        return {tag for removal in found for tag in removal["tags"]}


@pytest.fixture
def team(treeship: Treeship, repository: ThrowAwayRepository, registry: InProcessRegistry) -> Team:
    return Team(treeship, repository, f"docker://{registry.host}/team/app")


def tags(registry: InProcessRegistry) -> set[str]:
    return set(registry.store.repository("team/app").tags)


def test_a_plan_writes_nothing_and_says_by_its_exit_code_whether_there_is_something_to_do(
    team: Team, registry: InProcessRegistry, tmp_path: Path
) -> None:
    before = tags(registry)
    assert team.removals() == set(team.commits[:3])
    assert team.removals("--keep", "2") == set(team.commits[:2])
    assert team.removals("--older-than", "90000d", code=0) == set()
    ran = team.treeship("expire", "--repo", team.made.directory, team.to, code=10)
    assert team.commits[0] in ran.out
    assert "3 manifests with 3 tags may go, 1 tag stays" in ran.out
    assert "1 since a git ref or the settings name it" in ran.out
    assert f"{team.commits[3]}: refs/heads/main" in ran.out
    assert tags(registry) == before
    assert {entry.method for entry in registry.log[-8:]} == {"GET"}


def test_a_plan_is_applied(team: Team, registry: InProcessRegistry, tmp_path: Path) -> None:
    plan = tmp_path / "plan.jsonl"
    team.expire(team.to, "--out", plan)
    header, *lines = map(json.loads, plan.read_text().splitlines())
    assert (header["treeship_expire"], header["repositories"], len(lines)) == (1, [team.to], 3)

    done = team.expire("--apply", plan, code=0)

    assert done["repositories"] == [{"repository": team.to, "removed": 3, "gone_before": 0, "spared": 0}]
    assert tags(registry) == {team.commits[3]}
    assert registry.store.incomplete() == []
    assert team.removals(code=0) == set()
    assert team.expire("--apply", plan, code=0)["repositories"][0]["gone_before"] == 3


def test_what_is_named_after_the_plan_stays(team: Team, registry: InProcessRegistry, tmp_path: Path) -> None:
    """A branch, a tag of git, an entry on the command line, a tag of the image."""
    plan = tmp_path / "plan.jsonl"
    team.expire(team.to, "--out", plan)
    team.made.git("branch", "release", team.commits[0])
    team.treeship("copy", f"{team.to}:{team.commits[1]}", f"{team.to}:production")

    ran = team.treeship(
        "expire", "--repo", team.made.directory, "--apply", plan, "--keep-ref", f"{team.to}:{team.commits[2]}"
    )

    assert "refs/heads/release" in ran.out
    assert "production" in ran.out
    assert "what git and the settings name has changed since the plan" in ran.err
    assert tags(registry) == {*team.commits, "production"}


def test_the_settings_of_everybody_add_up(team: Team) -> None:
    """The protected branch's, the user's, the environment's and the flag's: none replaces another."""
    entries = [f"{team.to.removeprefix('docker://')}:{commit}" for commit in team.commits[:3]]
    team.made.commit({"treeship.toml": f'[expire]\nkeep = ["{entries[0]}"]\n'.encode()}, branch="main")
    team.treeship.user_file.write_text(f'[expire]\nkeep = ["{entries[1]}"]\n')

    assert team.removals() == {team.commits[2], team.commits[3]}
    assert team.removals("--keep-ref", entries[2]) == {team.commits[3]}
    team.treeship.env["TREESHIP_EXPIRE_KEEP"] = f"{entries[2]} {team.commits[3][:9]}*"
    assert team.removals(code=0) == set()


def test_commits_of_branches_that_are_gone_stay_until_they_are_asked_for(team: Team) -> None:
    gone = team.made.commit({"a": b"b"}, branch="feature/x", parents=[], seconds=SECONDS)
    team.build(gone)
    team.build(gone, "feature-x")
    assert team.removals() == set(team.commits[:3])
    team.made.git("branch", "-D", "feature/x")

    assert gone not in team.removals()
    assert gone not in team.removals("--unknown-commits"), "its other tag holds it"
    assert {gone, "feature-x"} <= team.removals("--unknown-commits", "--branch", "feature-*")


@pytest.mark.parametrize("place", ["docker://{host}/team/variants", "oci:{folder}/variants"])
def test_a_branch_holds_the_images_of_all_variants_of_its_tip(
    treeship: Treeship,
    repository: ThrowAwayRepository,
    registry: InProcessRegistry,
    tmp_path: Path,
    place: str,
) -> None:
    """Without a commit's tag, only the image says whose it is; when the branch moves on, its name still does."""
    to = place.format(host=registry.host, folder=tmp_path)
    settings = b'exclude = ["*"]\n[variants.devbox]\n[variants.ci]\nuser = "x"\n'
    repository.commit({"treeship.toml": settings}, branch="feature/x")
    treeship.build(repository.directory, "feature/x", "--variant", "all", "--no-commit-tag", "--base", "scratch",
                   "--to", f"{to}:feature-x")  # fmt: skip
    words = ("expire", "--repo", repository.directory, to, "--branch", "*", "--older-than", "1d", "--json")

    assert treeship(*words).json["removals"] == []
    repository.git("branch", "-m", "feature/x", "renamed")
    kept = treeship(*words).json["kept"]
    assert {one["tag"]: one["by"] for one in kept} == dict.fromkeys(
        ("feature-x-ci", "feature-x-devbox"), "refs/heads/renamed"
    )
    repository.commit({"treeship.toml": settings, "new": b""}, branch="feature/x")
    repository.git("branch", "-D", "renamed")
    assert treeship(*words).json["removals"] == []
    repository.git("branch", "-D", "feature/x")
    gone = treeship(*words, code=10).json["removals"]
    assert {tag for one in gone for tag in one["tags"]} == {"feature-x-ci", "feature-x-devbox"}


def test_a_place_that_cannot_be_read_keeps_the_others_as_they_are(
    team: Team, registry: InProcessRegistry, tmp_path: Path
) -> None:
    other = Team(team.treeship, team.made, f"docker://{registry.host}/team/other")
    plan, before = tmp_path / "plan.jsonl", tags(registry)
    team.expire(team.to, other.to, "--out", plan)
    registry.store.repository("team/other").tags["broken"] = f"sha256:{'9' * 64}"

    ran = team.treeship("expire", "--repo", team.made.directory, "--apply", plan, code=4)

    assert "broken" in ran.err
    assert tags(registry) == before


def test_a_shallow_clone_keeps_what_it_cannot_place(team: Team, tmp_path: Path) -> None:
    team.made.git("clone", "-q", "--depth=2", team.made.url, str(tmp_path / "clone"))

    ran = team.treeship("expire", "--repo", tmp_path / "clone", "--json", team.to, code=10)

    assert [removal["tags"] for removal in ran.json["removals"]] == [[team.commits[2]]]
    assert "shallow" in ran.err
    refused = team.treeship("expire", "--repo", tmp_path / "clone", "--unknown-commits", team.to, code=2)
    assert "git fetch --unshallow" in refused.err


def test_the_wrong_repository_removes_nothing(team: Team, tmp_path: Path) -> None:
    other = ThrowAwayRepository(tmp_path / "other")
    other.commit({"a": b"b"})

    assert team.treeship("expire", "--repo", other.directory, "--json", team.to).json["removals"] == []
    ran = team.treeship("expire", "--repo", other.directory, "--unknown-commits", team.to, code=3)
    assert "is it the right one?" in ran.err


def test_a_remote_that_cannot_be_asked_ends_it(team: Team, tmp_path: Path) -> None:
    team.made.git("clone", "-q", team.made.url, str(tmp_path / "clone"))
    team.made.directory.rename(tmp_path / "away")

    ran = team.treeship("expire", "--repo", tmp_path / "clone", team.to, code=None)

    assert ran.code in (2, 4)


def test_a_registry_that_deletes_nothing(team: Team, registry: InProcessRegistry, tmp_path: Path) -> None:
    plan = tmp_path / "plan.jsonl"
    team.expire(team.to, "--out", plan)
    registry.faults.append(faults.NoDeletes())

    ran = team.treeship("expire", "--repo", team.made.directory, "--apply", plan, code=2)

    assert "REGISTRY_STORAGE_DELETE_ENABLED" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no repository is named"),
        (("oci:x:tag",), "is one image"),
        (("docker-daemon:app",), "no tags that could expire"),
        (("oci:nowhere",), "no OCI layout"),
        (("oci:x", "--older-than", "30"), "write it like 12h"),
        (("oci:x", "--older-than", "-1d"), ""),
        (("oci:x", "--keep", "many"), "--keep 20"),
        (("oci:x", "--older-than", ""), "write it like 12h"),
        (("oci:x", "--keep", ""), "--keep 20"),
        (("oci:x", "--branch", ""), "--branch 'feature-*'"),
        (("oci:x", "--branch", "feature/x"), "--branch 'feature-*'"),
        (("oci:x", "--keep-ref", "@"), "nothing can be kept by '@'"),
        (("oci:x", "--keep-ref", ""), "nothing can be kept by ''"),
        (("--apply", "plan.jsonl", "--branch", ""), "from the plan"),
        (("oci:x", "--keep-ref", "registry.example/app"), "names no image"),
        (("oci:x", "--repo", "https://git.example/x"), "not a URL"),
        (("oci:x", "--apply", "plan.jsonl"), "from the plan"),
        (("--apply", "plan.jsonl", "--keep", "3"), "from the plan"),
        (("--apply", "nowhere.jsonl"), "nowhere.jsonl"),
    ],
)
def test_wrong_usage(
    treeship: Treeship, repository: ThrowAwayRepository, words: tuple[str, ...], said: str
) -> None:
    repository.commit({"a": b"b"})

    ran = treeship("expire", *words, cwd=repository.directory, code=2)

    assert said in ran.err


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "{", '{"treeship_expire": 2}', '{"treeship_expire": 1}', "\x00\xff",
        '{"treeship_expire":1,"made":"x","keep_set":"","repositories":[],"rules":{}}',
        '{"treeship_expire":1,"made":"2023-11-14T00:00:00Z","keep_set":"","repositories":["oci:x"],'
        '"rules":{"older_than":-1,"keep":0,"branches":[],"unknown_commits":false}}',
        '{"treeship_expire":1,"made":"2023-11-14T00:00:00Z","keep_set":"","repositories":["oci:x"],'
        '"rules":{"older_than":1,"keep":0,"branches":[],"unknown_commits":false}}\n{"repository":"oci:y"}',
        '{"treeship_expire":1,"made":"2023-11-14T00:00:00Z","keep_set":"","repositories":["registry.example/app"],'
        '"rules":{"older_than":1,"keep":0,"branches":[],"unknown_commits":false}}',
    ],
)  # fmt: skip
def test_what_is_no_plan(
    treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path, text: str
) -> None:
    (tmp_path / "plan.jsonl").write_text(text, encoding="latin-1")
    repository.commit({"a": b"b"})

    assert (
        "plan" in treeship("expire", "--apply", tmp_path / "plan.jsonl", cwd=repository.directory, code=2).err
    )


def test_a_layout(treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path) -> None:
    team = Team(treeship, repository, f"oci:{tmp_path}/oci")
    sizes = _size(tmp_path / "oci")
    assert team.removals() == set(team.commits[:3])

    team.expire(team.to, "--out", tmp_path / "plan.jsonl")
    team.expire("--apply", tmp_path / "plan.jsonl", code=0)

    assert _size(tmp_path / "oci") < sizes
    treeship("check", f"{team.to}:{team.commits[3]}", "--repo", repository.directory)
    assert team.removals(code=0) == set()


@pytest.mark.rig
def test_docker_registry(
    treeship: Treeship,
    repository: ThrowAwayRepository,
    docker_registry: DockerRegistry,
    podman: Podman,
    tmp_path: Path,
) -> None:
    team = Team(
        treeship, repository, f"docker://{docker_registry.host}/expire/{tmp_path.name.replace('_', '-')}"
    )

    team.expire(team.to, "--out", tmp_path / "plan.jsonl")
    team.expire("--apply", tmp_path / "plan.jsonl", code=0)

    kept = f"{team.to}:{team.commits[3]}"
    podman.skopeo("copy", "--src-tls-verify=false", kept, f"oci:{tmp_path}/copy:main")
    listed = podman.skopeo("list-tags", "--tls-verify=false", team.to)
    assert json.loads(listed.stdout)["Tags"] == [team.commits[3]]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_apply_killed_at_any_request_leaves_everything_whole_and_the_next_finishes(
    moment: str, treeship: Treeship, repository: ThrowAwayRepository, tiny_index: Path, tmp_path: Path
) -> None:
    """Indexes of two platforms, of which one shares an image with what stays; signatures on both."""
    killer = Killer()
    with InProcessRegistry(faults=[killer]) as registry:
        place = f"docker://{registry.host}/team/app"
        commits = [repository.commit({"a": b"%d" % number}, seconds=SECONDS + number) for number in range(3)]
        for commit in commits:
            treeship.build(repository.directory, commit, "--base", f"oci:{tiny_index}", "--platform", "linux/amd64",
                           "--platform", "linux/arm64", "--to", f"{place}:{commit}")  # fmt: skip
        store = registry.store.repository("team/app")
        shared = next(d for d in store.manifests[store.tags[commits[0]]].fields["manifests"])["digest"]
        store.tags["shared"] = shared
        for digest in list(store.tags.values()):
            _sign(registry, digest)
        plan = tmp_path / "plan.jsonl"
        treeship("expire", "--repo", repository.directory, place, "--out", plan, code=10)
        words = ("expire", "--repo", repository.directory, "--apply", plan, "--jobs", "1")
        full = (dict(store.manifests), dict(store.tags))

        def restore() -> None:
            store.manifests, store.tags = dict(full[0]), dict(full[1])
            killer.aim(0, "")

        treeship(*words)
        requests, expected = killer.count, (dict(store.manifests), dict(store.tags))
        restore()
        treeship(*words)
        requests = killer.count
        assert len(full[0]) - len(expected[0]) >= 5
        for at in range(1, requests + 1):
            restore()
            killer.aim(at, moment)
            assert killed(treeship, killer, *words) == -signal.SIGKILL, f"request {at} of {requests}"
            assert registry.store.incomplete() == []
            assert shared in store.manifests
            killer.aim(0, "")
            treeship(*words)
            assert (store.manifests, store.tags) == expected


def _sign(registry: InProcessRegistry, digest: str) -> None:
    """As cosign does, both ways: a referrer, and a tag."""
    store = registry.store
    config = store.add_blob("team/app", b"{}")
    entry = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2}
    media_type = "application/vnd.oci.image.manifest.v1+json"
    fields = {"schemaVersion": 2, "mediaType": media_type, "config": entry, "layers": []}
    subject = {"mediaType": media_type, "digest": digest, "size": 1}
    store.add_manifest("team/app", json.dumps({**fields, "subject": subject}).encode(), media_type)
    text = json.dumps({**fields, "annotations": {"of": digest}}).encode()
    store.add_manifest("team/app", text, media_type, f"{digest.replace(':', '-')}.sig")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in (folder / "blobs").rglob("*") if file.is_file())


@pytest.mark.slow
def test_ten_thousand_tags(
    treeship: Treeship, repository: ThrowAwayRepository, registry: InProcessRegistry, tmp_path: Path
) -> None:
    """One request for each tag, and eleven for the list; then one for each that goes."""
    team = Team(treeship, repository, f"docker://{registry.host}/team/app")
    store = registry.store.repository("team/app")
    image = store.manifests[store.tags[team.commits[0]]]
    for number in range(10_000):
        text = image.raw.replace(b'"annotations":{', b'"annotations":{"number":"%d",' % number, 1)
        registry.store.add_manifest("team/app", text, image.media_type, f"{number:040x}")
    registry.log.clear()
    began = time.monotonic()

    found = team.expire(team.to, "--unknown-commits", "--out", tmp_path / "plan.jsonl")
    planned, requests = time.monotonic() - began, len(registry.log)

    assert len(found["removals"]) == 10_003
    # A tag each, its referrers each, and the pages.
    assert requests <= 2 * 10_004 + 15
    print(f"plan: {planned:.1f} s, {requests} requests")
