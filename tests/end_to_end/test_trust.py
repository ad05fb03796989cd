"""What is believed, what is not, what is refused, and where each setting comes from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from buildkit.testing.registry import InProcessRegistry, Recorded
from buildkit.testing.repositories import File, ThrowAwayRepository
from tests.end_to_end import helpers
from tests.end_to_end.helpers import Json, Treeship, edited, snapshot
from tests.rigs.process import run

FILES: dict[str, bytes | File] = {
    "train.py": b"print('train')\n",
    "data.csv": b"1,2\n",
    "lib/a.py": b"A = 1\n",
    "lib/b.py": b"B = 2\n",
    "docs/guide.md": b"# Guide\n",
}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
KEY, DIFF_ID, NAME = (f"dev.treeship.layer.{word}" for word in ("key", "diff-id", "name"))
REFUSED = 3
Edit = Callable[[Json], object]


class House(NamedTuple):
    """A registry with a base, a repository with a commit, and the command."""

    registry: InProcessRegistry
    repository: ThrowAwayRepository
    treeship: Treeship
    base: str

    def at(self, name: str) -> str:
        return f"docker://{self.registry.host}/{name}"

    def build(self, *words: str, to: str = "team/app:main", **options: Any) -> Json:
        where = ["--base", self.base, "--to", self.at(to)]
        return self.treeship.build(self.repository.directory, *words, *where, **options)

    def check(self, image: str, *words: str, code: int = 0) -> Json:
        """What `check` says, of the image named."""
        return self.treeship("check", self.at(image), "--repo", self.repository.directory, "--json", *words, code=code).json

    def manifest(self, tag: str, name: str = "team/app") -> Json:
        found = self.registry.store.repository(name).manifest(tag)
        assert found is not None
        return found.fields

    def fresh(self, tmp_path: Path, name: str = "fresh") -> House:
        """The same with a machine that has built nothing."""
        return self._replace(treeship=Treeship(tmp_path / name))

    def forge(self, tag: str, edit: Edit, name: str = "team/app") -> str:
        """Put a changed copy of a manifest in its place, as anybody with the right to push may; its digest."""
        fields = self.manifest(tag, name)
        edit(fields)
        raw = json.dumps(fields).encode()
        return self.registry.store.add_manifest(name, raw, MANIFEST, tag)


@pytest.fixture
def house(
    registry: InProcessRegistry, repository: ThrowAwayRepository, treeship: Treeship, tiny_base: Path
) -> House:
    repository.commit(FILES)
    base = f"docker://{registry.host}/bases/tiny:1"
    treeship("copy", f"oci:{tiny_base}", base)
    registry.log.clear()
    return House(registry, repository, treeship, base)


def writes(requests: list[Recorded]) -> list[str]:
    return [f"{entry.method} {entry.path}" for entry in requests if entry.method not in ("GET", "HEAD")]


# An image of an ancestor that lies.


class Lie(NamedTuple):
    """An image of the parent in which one layer's content is evil, under the annotations of the good one."""

    layer: str
    evil: str
    commit: str


@pytest.fixture
def lie(house: House) -> Lie:
    """The commit after the one with the forged image changes another file."""
    parent = house.build()["commit"]
    evil = house.registry.store.add_blob("team/app", b"evil")
    layer = next(layer for layer in house.manifest(parent)["layers"] if layer.get("annotations"))
    name = layer["annotations"][NAME]

    def edit(fields: Json) -> None:
        next(each for each in fields["layers"] if each.get("annotations", {}).get(NAME) == name)["digest"] = evil

    house.forge(parent, edit)
    house.forge("main", edit)
    changed = next(path for path in FILES if _layer_of(house, path) != name)
    commit = edited(house.repository, {changed: b"edited\n"})
    return Lie(name, evil, commit)


def _layer_of(house: House, path: str) -> str:
    """The layer that holds a path, as `explain` tells by its number of paths: each has one here."""
    alone = ThrowAwayRepository(house.treeship.home / "alone" / path.replace("/", "-"))
    alone.commit({path: FILES[path]})
    told = house.treeship("explain", "--repo", alone.directory, "--json", "--base", house.base).json
    return str(told["layers"][0]["name"])


def test_where_the_images_repository_is_not_trusted_the_lie_is_ignored(house: House, lie: Lie, tmp_path: Path) -> None:
    """Though it is the very repository that is pushed to."""
    honest = house.fresh(tmp_path, "honest").build("--no-reuse", to="elsewhere/app:main")
    result = house.fresh(tmp_path).build()
    assert result["digest"] == honest["digest"]
    assert lie.evil not in {layer["digest"] for layer in result["layers"]}
    assert {layer["reason"] for layer in result["layers"]} == {"new"}
    assert house.check("team/app:main")["verdict"] == "equal"


def test_where_it_is_trusted_check_names_the_layer_that_lies(house: House, lie: Lie, tmp_path: Path) -> None:
    result = house.fresh(tmp_path).build("--reuse-from", house.at("team/app"))
    assert lie.evil in {layer["digest"] for layer in result["layers"]}, "this is what trust means"
    said = house.check("team/app:main", code=REFUSED)
    assert said["verdict"] == "different"
    assert f"layer {lie.layer}" in [difference["what"] for difference in said["differences"]]
    (named,) = [each for each in said["differences"] if each["found"] == lie.evil]
    assert named["what"] == f"layer {lie.layer}"
    assert named["expected"].startswith("sha256:")


def test_no_reuse_believes_nobody(house: House, lie: Lie, tmp_path: Path) -> None:
    result = house.fresh(tmp_path).build("--reuse-from", house.at("team/app"), "--no-reuse")
    assert lie.evil not in {layer["digest"] for layer in result["layers"]}
    assert house.check("team/app:main")["verdict"] == "equal"


def test_the_commit_cannot_say_whom_to_trust(house: House, lie: Lie, tmp_path: Path) -> None:
    settings = f'[reuse]\nfrom = ["{house.at("team/app")}"]\n'.encode()
    commit = edited(house.repository, {"treeship.toml": settings})
    ran = house.fresh(tmp_path).treeship(
        "build", commit, "--repo", house.repository.directory, "--base", house.base, "--to", house.at("team/app"),
        "--json",
    )  # fmt: skip
    assert f"reuse.from in treeship.toml at commit {commit[:12]} is ignored" in ran.err
    assert lie.evil not in {layer["digest"] for layer in ran.json["layers"]}


@pytest.mark.parametrize("forged", ["another layer's key", "no digest at all", "another diff id"])
def test_annotations_that_make_no_sense_do_not_break_a_build(house: House, tmp_path: Path, forged: str) -> None:
    """A hint that is wrong about the key is taken for what it says; what cannot be parsed is passed over."""
    parent = house.build()["commit"]

    def edit(fields: Json) -> None:
        for layer in fields["layers"]:
            if KEY in layer.get("annotations", {}):
                layer["annotations"] |= {
                    "another layer's key": {KEY: "sha256:" + "0" * 64},
                    "no digest at all": {KEY: "../../etc", DIFF_ID: "\0"},
                    "another diff id": {DIFF_ID: "sha512:1"},
                }[forged]

    house.forge(parent, edit)
    edited(house.repository, {"train.py": b"edited\n"})
    result = house.fresh(tmp_path).build("--reuse-from", house.at("team/app"), to="other/app:main")
    assert {layer["reason"] for layer in result["layers"]} <= {"new", "changed"}
    assert house.check("other/app:main")["verdict"] == "equal"


def test_an_incremental_build_is_a_fresh_one(house: House, tmp_path: Path) -> None:
    house.build()
    edited(house.repository, {"lib/a.py": b"A = 2\n"})
    results = [
        house.build(to="cached/app:main"),
        house.fresh(tmp_path, "hinted").build("--reuse-from", house.at("team/app"), to="hinted/app:main"),
        house.build("--no-reuse", to="alone/app:main"),
        house.fresh(tmp_path, "first").build(to="first/app:main"),
    ]
    assert len({result["digest"] for result in results}) == 1
    reasons = [{layer["reason"] for layer in result["layers"]} for result in results]
    assert reasons == [{"cached", "changed"}, {"ancestor", "changed"}, {"new"}, {"new"}]


# A commit's tag stands for one image.


def test_moving_a_commits_tag_is_refused_before_anything_is_sent(house: House, tmp_path: Path) -> None:
    house.build()
    other = f"oci:{helpers.tiny_base(tmp_path / 'other', files={'etc/motd': b'other'})}"
    before = dict(house.registry.store.repository("team/app").tags)
    house.registry.log.clear()
    second = house.at("second/app:main")
    ran = house.treeship(
        "build", "--repo", house.repository.directory, "--base", other, "--to", second, "--to", house.at("team/app:main"),
        code=REFUSED,
    )  # fmt: skip
    assert "already" in ran.err
    assert "--retag" in ran.err
    assert writes(house.registry.log) == []
    assert house.registry.store.repository("team/app").tags == before
    assert not house.registry.store.repository("second/app").blobs


def test_retag_moves_it(house: House, tmp_path: Path) -> None:
    first = house.build()
    moved = house._replace(base=f"oci:{helpers.tiny_base(tmp_path / 'moved', files={'etc/motd': b'moved'})}")
    second = moved.build("--retag")
    assert second["commit"] == first["commit"]
    assert second["digest"] != first["digest"]
    assert house.registry.store.repository("team/app").tags == dict.fromkeys((first["commit"], "main"), second["digest"])
    assert moved.build()["digest"] == second["digest"], "now it stands for the second"


def test_other_tags_move_freely_and_other_variants_have_tags_of_their_own(house: House) -> None:
    commit = edited(house.repository, {"treeship.toml": b"[variants.gpu]\nuser = '1000'\n"})
    first, gpu = house.build(), house.build("--variant", "gpu")
    assert house.registry.store.repository("team/app").tags == {
        commit: first["digest"], f"{commit}-gpu": gpu["digest"], "main": gpu["digest"]
    }  # fmt: skip
    later = edited(house.repository, {"train.py": b"later\n"})
    moved = house.build()
    assert house.registry.store.repository("team/app").tags["main"] == moved["digest"]
    assert house.registry.store.repository("team/app").tags[later] == moved["digest"]
    assert house.registry.store.repository("team/app").tags[commit] == first["digest"]


def test_no_commit_tag_writes_only_what_was_asked_for(house: House, tmp_path: Path) -> None:
    result = house.build("--no-commit-tag", to="team/app:only")
    assert house.registry.store.repository("team/app").tags == {"only": result["digest"]}
    other = house._replace(base=f"oci:{helpers.tiny_base(tmp_path / 'other', files={'etc/motd': b'other'})}")
    again = other.build("--no-commit-tag", to="team/app:only")
    assert house.registry.store.repository("team/app").tags == {"only": again["digest"]}, "it is no commit's tag"


# Where settings come from.


def config_of(house: House, digest: str, name: str = "team/app") -> Json:
    config = house.manifest(digest, name)["config"]["digest"]
    value = json.loads(house.registry.store.blobs[config])
    assert isinstance(value, dict)
    return value


def test_what_an_image_holds_comes_from_the_commit_not_from_the_work_tree(house: House) -> None:
    commit = edited(house.repository, {"treeship.toml": b'workdir = "/committed"\nexclude = ["docs/"]\n'})
    clean = house.build()
    house.repository.git("checkout", "-q", "-f", commit)
    (house.repository.directory / "treeship.toml").write_text('workdir = "/dirty"\nprefix = "/dirty"\n')
    (house.repository.directory / "pyproject.toml").write_text('[tool.treeship]\nuser = "dirty"\n')
    (house.repository.directory / "train.py").write_text("dirty")
    dirty = house.build(cwd=house.repository.directory)
    assert dirty["digest"] == clean["digest"]
    assert config_of(house, dirty["digest"])["config"]["WorkingDir"] == "/committed"
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


def test_a_commit_that_counts_on_a_remote_out_of_reach_is_not_sent_elsewhere(house: House, shared: Shared) -> None:
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
        shown = house.treeship("config", "show", "FETCH_HEAD", "--repo", shared.clone, "--json", *words, env=env).json
        assert shown["to"]["value"] == value
        assert shown["to"]["origin"].startswith(origin)


def _write(file: Path, content: bytes) -> list[str]:
    file.write_bytes(content)
    return []


def test_config_show_names_the_source_of_every_setting(house: House) -> None:
    edited(house.repository, {"treeship.toml": b'base = "registry.example/base:1"\nprefix = "/srv/app"\n[variants.gpu]\nuser = "1"\n'})
    house.treeship.user_file.write_text('jobs = 3\n[timeouts]\nread = 7\n[reuse]\nfrom = ["registry.example/app"]\n')
    words = ["config", "show", "--repo", house.repository.directory, "--json", "--variant", "gpu", "--no-commit-tag"]
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
    assert devbox["bytes_pushed"] == len(config_bytes(house, devbox["digest"])), "only the config is another"
    seen = config_of(house, devbox["digest"])["config"]
    assert (seen["Entrypoint"], seen["User"]) == (["bash"], "1000:1000")
    assert {"A=1", "B=2"} <= set(seen["Env"])
    assert house.manifest("devbox")["annotations"]["dev.treeship.variant"] == "devbox"
    assert house.check("team/app:devbox")["verdict"] == "equal", "the image says which variant it is"


def config_bytes(house: House, digest: str) -> bytes:
    return house.registry.store.blobs[house.manifest(digest)["config"]["digest"]]


# explain writes nothing.


@pytest.mark.parametrize("case", ["first build", "one file changed", "nothing changed", "another registry repository"])
def test_explain_writes_nothing_and_is_right_about_the_build_that_follows(house: House, tmp_path: Path, case: str) -> None:
    to = "team/app:main"
    if case != "first build":
        house.build()
    if case == "one file changed":
        edited(house.repository, {"train.py": b"print('edited')\n"})
    if case == "another registry repository":
        to = "team/other:main"
    words = ["--repo", house.repository.directory, "--base", house.base, "--to", house.at(to), "--to", f"oci:{tmp_path}/layout:it", "--reuse-from", house.at("team/app")]  # fmt: skip
    if case == "first build":
        words = words[:-2]
    house.registry.log.clear()
    before = state(house, tmp_path)
    told = house.treeship("explain", "--json", *words, cwd=tmp_path).json
    assert state(house, tmp_path) == before
    assert writes(house.registry.log) == []
    done = house.treeship("build", "--json", *words, cwd=tmp_path).json
    for key in set(done) - {"requests", "seconds", "layers"}:
        assert told[key] == done[key], key
    assert told["layers"] == done["layers"]
    if case == "one file changed":
        assert [layer["changed"] for layer in told["layers"] if layer["reason"] == "changed"] == [["train.py"]]


def state(house: House, folder: Path) -> Mapping[str, object]:
    """Everything that a run could have touched: files, tags, manifests, blobs, sessions."""
    store = house.registry.store
    held = {name: (set(each.blobs), dict(each.tags), set(each.manifests)) for name, each in store.repositories.items()}
    return {"files": snapshot(folder), "store": {name: what for name, what in held.items() if any(what)}, "uploads": list(store.uploads), "blobs": set(store.blobs)}


# check.


def test_check_is_equal_for_what_was_built(house: House) -> None:
    built = house.build()
    said = house.check("team/app:main", "--base", house.base)
    assert said == {
        "digest": built["digest"], "commit": built["commit"], "verdict": "equal", "base_source": "flag", "differences": [],
    }  # fmt: skip


@pytest.mark.parametrize("named", ["annotation", "settings", "flag"])
def test_check_says_who_named_the_base(house: House, named: str) -> None:
    if named == "settings":
        edited(house.repository, {"treeship.toml": f'base = "{house.base}"\n'.encode()})
    given = [] if named == "settings" else ["--base", house.base]
    house.treeship.build(house.repository.directory, *given, "--to", house.at("team/app:main"))
    said = house.check("team/app:main", *(given if named == "flag" else []))
    assert (said["verdict"], said["base_source"]) == ("equal", named)


def test_check_is_equal_for_an_index(house: House, tiny_index: Path) -> None:
    both = ["--platform", "linux/amd64", "--platform", "linux/arm64"]
    base = house.at("bases/both:1")
    house.treeship("copy", f"oci:{tiny_index}", base)
    built = house._replace(base=base).build(*both)
    assert set(built["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert house.check("team/app:main")["verdict"] == "equal"
    child = built["platforms"]["linux/arm64"]
    evil = house.registry.store.add_blob("team/app", b"evil")
    forged = house.forge(child, lambda fields: fields["layers"][-1].update(digest=evil))
    index = house.manifest("main")
    next(entry for entry in index["manifests"] if entry["digest"] == child).update(
        digest=forged, size=len(house.registry.store.repository("team/app").manifests[forged].raw)
    )
    house.registry.store.add_manifest(
        "team/app", json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json", "main"
    )
    said = house.check("team/app:main", code=REFUSED)
    assert {difference["what"].partition(": ")[0] for difference in said["differences"]} == {"linux/arm64"}


def test_check_is_different_for_another_commit(house: House) -> None:
    house.build()
    other = edited(house.repository, {"train.py": b"other\n"})
    said = house.check("team/app:main", "--base", house.base, "--commit", other, code=REFUSED)
    assert (said["verdict"], said["commit"]) == ("different", other)
    assert any(difference["what"].startswith("layer ") for difference in said["differences"])
    assert "annotation org.opencontainers.image.revision" in [difference["what"] for difference in said["differences"]]


def test_check_is_different_when_the_base_has_moved(house: House, tmp_path: Path) -> None:
    edited(house.repository, {"treeship.toml": f'base = "{house.base}"\n'.encode()})
    house.treeship.build(house.repository.directory, "--to", house.at("team/app:main"))
    assert house.check("team/app:main")["verdict"] == "equal"
    moved = helpers.tiny_base(tmp_path / "moved", files={"etc/motd": b"patched"})
    house.treeship("copy", f"oci:{moved}", house.base)
    said = house.check("team/app:main", code=REFUSED)
    assert said["base_source"] == "settings"
    assert "base layer 0" in [difference["what"] for difference in said["differences"]]
    before = f"{house.base}@{house.manifest('main')['annotations']['org.opencontainers.image.base.digest']}"
    said = house.check("team/app:main", "--base", before)
    assert (said["verdict"], said["base_source"]) == ("equal", "flag"), "it is the base that moved, and nothing else"


def test_check_is_different_when_a_base_layer_or_the_config_was_exchanged(house: House) -> None:
    house.build()
    evil = house.registry.store.add_blob("team/app", b"evil")
    house.forge("main", lambda fields: fields["layers"][0].update(digest=evil))
    said = house.check("team/app:main", code=REFUSED)
    assert "base layer 0" in [difference["what"] for difference in said["differences"]]
    house.build("--retag")
    config = config_of(house, "main")
    config["config"]["Entrypoint"] = ["/bin/evil"]
    raw = json.dumps(config).encode()
    digest = house.registry.store.add_blob("team/app", raw)
    house.forge("main", lambda fields: fields["config"].update(digest=digest, size=len(raw)))
    said = house.check("team/app:main", "--base", house.base, code=REFUSED)
    assert "config Entrypoint" in [difference["what"] for difference in said["differences"]]


def test_check_trusts_no_memory(house: House) -> None:
    """The cache that has just built the image is not asked, be it full of lies."""
    house.build()
    for entry in (house.treeship.cache / "v1").rglob("*"):
        if entry.is_file():
            entry.write_bytes(b"lies")
    assert house.check("team/app:main", "--base", house.base)["verdict"] == "equal"


# The keys of --json are documented and stable.

BUILD_KEYS = {
    "commit", "tree", "digest", "base", "layers", "bytes_pushed", "bytes_mounted", "bytes_reused", "requests", "seconds",
}  # fmt: skip
LAYER_KEYS = {"key", "digest", "diff_id", "size", "paths", "reason", "action"}
ADDED_KEYS = {"platforms", "lfs_pointers", "destinations"}
ADDED_LAYER_KEYS = {"name", "changed"}


@pytest.mark.parametrize("verb", ["build", "explain"])
def test_the_keys_that_are_printed(house: House, verb: str) -> None:
    words = [verb, "--repo", house.repository.directory, "--base", house.base, "--to", house.at("team/app:main")]
    ran = house.treeship(*words, "--json")
    assert ran.out.count("\n") == 1, "one object, one line"
    assert set(ran.json) == BUILD_KEYS | ADDED_KEYS
    assert set(ran.json["base"]) == {"reference", "digest"}
    for layer in ran.json["layers"]:
        assert set(layer) == LAYER_KEYS | ADDED_LAYER_KEYS
        assert layer["reason"] in {"new", "changed", "cached", "ancestor"}
        assert layer["action"] in {"push", "mount", "reuse"}
    assert sum(layer["paths"] for layer in ran.json["layers"]) == len(FILES)
    assert ran.json["bytes_pushed"] >= sum(layer["size"] for layer in ran.json["layers"])


def test_without_json_there_is_a_short_table_and_no_colour(house: House) -> None:
    words = ["build", "--repo", house.repository.directory, "--base", house.base, "--to", house.at("team/app:main")]
    ran = house.treeship(*words)
    assert ran.out.splitlines()[0].split() == ["layer", "reason", "action", "size", "paths", "key"]
    assert "\x1b" not in ran.out + ran.err
    assert f"{house.registry.host}/team/app:main@sha256:" in ran.out
    assert "layers unchanged" in house.treeship(*words).out
