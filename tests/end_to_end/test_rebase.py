"""`treeship rebase`: what a build on the new base would give, without the build, the code, or the repository."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from buildkit.image.annotations import BASE_DIGEST, BASE_NAME
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform
from buildkit.testing.registry import InProcessRegistry, faults
from buildkit.testing.registry.exchange import Exchange, Reply
from buildkit.testing.registry.store import Store
from buildkit.testing.repositories import ThrowAwayRepository
from tests.buildkit import images
from tests.buildkit.bases_facts import support
from tests.buildkit.images import AMD64, ARM64, Layer, Made
from tests.end_to_end import programs
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.house import writes
from tests.end_to_end.test_kill import Killer, killed
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.podman import Podman

CHANGES, REFUSED = 10, 3
SETTINGS = b"""\
path = ["/app/bin"]
entrypoint = ["python", "-m", "train"]
[labels]
team = "forecast"
[environment]
COLOUR = "blue"
"""
FILES = {
    "train.py": b"print('train')\n",
    "data.csv": b"1,2\n",
    "big.bin": random.Random(3).randbytes(200_000),
    "bin/tool": b"#!/bin/sh\n",
    "treeship.toml": SETTINGS,
}
SHARED = images.layer({"etc/os": b"the same in both"})


def python_layer(minor: str = "3.12", libc: str = "2.36") -> Layer:
    """A Python and a C library, as far as facts look at them."""
    raw = support.tar(
        *support.python_files(minor=minor, version=f"{minor}.4"),
        support.file("usr/lib/x86_64-linux-gnu/libc.so.6", support.LIBC.replace(b"2.36", libc.encode())),
    )
    return Layer(gzip.compress(raw, 1, mtime=0), Digest.of(raw))


def old_base(platform: Platform = AMD64, **config: Any) -> Made:
    said: dict[str, Any] = {
        "Env": ["PATH=/usr/local/bin:/usr/bin", "LANG=C", "GONE=1"], "Cmd": ["sh"], "Labels": {"vendor": "us"},
        **config,
    }  # fmt: skip
    return images.image(SHARED, images.layer({"etc/version": b"1"}), platform=platform, **said)


def new_base(platform: Platform = AMD64, **config: Any) -> Made:
    said: dict[str, Any] = {
        "Env": ["LANG=C.UTF-8", "PATH=/opt/bin:/usr/bin", "NEW=1"], "Cmd": ["bash"], "User": "app",
        "Labels": {"vendor": "them", "org.opencontainers.image.title": "a base"}, **config,
    }  # fmt: skip
    layers = (
        SHARED,
        images.layer({"etc/version": b"2"}),
        images.layer({"etc/more": platform.architecture.encode()}),
    )
    return images.image(*layers, platform=platform, **said)


class Yard:
    """A registry with two bases, an image of a commit on the first of them, and the command."""

    def __init__(
        self, registry: InProcessRegistry, treeship: Treeship, repository: ThrowAwayRepository, folder: Path
    ) -> None:
        self.registry = registry
        self.treeship = treeship
        self.repository = repository
        self.folder = folder
        self.commit = repository.commit(FILES)
        self.a = self.base("python:1", old_base())
        self.b = self.base("python:2", new_base())
        self.image = self.at("team/app:main")

    def at(self, name: str) -> str:
        return f"docker://{self.registry.host}/{name}"

    def base(self, name: str, made: Made) -> str:
        layout = images.publish(self.folder / name.replace(":", "-"), made, "it")
        self.treeship("copy", f"oci:{layout}:it", self.at(f"bases/{name}"))
        return self.at(f"bases/{name}")

    def build(self, base: str, *words: str, to: str = "team/app:main") -> Json:
        return self.treeship.build(self.repository.directory, "--base", base, "--to", self.at(to), *words)

    def rebase(self, *words: str | Path, code: int | None = 0) -> Json:
        self.registry.log.clear()
        return self.treeship("rebase", *words, "--json", code=code).json

    def refused(self, *words: str, code: int = REFUSED) -> str:
        """What is said on stderr; nothing has been written."""
        self.registry.log.clear()
        said = self.treeship("rebase", *words, code=code).err
        assert not writes(self.registry.log)
        return said

    def digest(self, name: str) -> str | None:
        repository, _, tag = name.partition(":")
        return self.registry.store.repository(repository).tags.get(tag)

    def uploads(self) -> set[str]:
        return {
            entry.path.partition("digest=")[2] for entry in self.registry.log if entry.verb == "PUT upload"
        }


@pytest.fixture
def yard(
    registry: InProcessRegistry, treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path
) -> Yard:
    return Yard(registry, treeship, repository, tmp_path / "bases")


# What comes out


def test_it_gives_what_a_build_of_the_commit_on_the_new_base_gives(yard: Yard) -> None:
    yard.build(yard.a)
    done = yard.rebase(yard.image, "--onto", yard.b)
    assert done["digest"] == yard.build(yard.b, "--no-commit-tag", to="fresh/app:main")["digest"]
    assert yard.digest("team/app:main") == done["digest"]
    assert yard.digest(f"team/app:{yard.commit}") == done["digest_before"], "the commit's tag is left alone"


def test_the_layers_of_the_commit_are_neither_read_nor_sent_and_those_of_the_base_are_mounted(
    yard: Yard,
) -> None:
    built = yard.build(yard.a)
    done = yard.rebase(yard.image, "--onto", yard.b)
    own = {layer["digest"] for layer in built["layers"]}
    assert not [entry.path for entry in yard.registry.log if any(digest in entry.path for digest in own)]
    config = yard.registry.store.repository("team/app").manifests[done["digest"]].fields["config"]
    assert yard.uploads() == {config["digest"]}
    assert (done["bytes_pushed"], done["bytes_mounted"] > 0) == (config["size"], True)


def test_twice_is_once_and_back_again_is_the_image_that_was_there(yard: Yard) -> None:
    before = yard.build(yard.a)["digest"]
    there = yard.rebase(yard.image, "--onto", yard.b)
    again = yard.rebase(yard.image, "--onto", yard.b)
    assert (there["changed"], again["changed"], again["digest"]) == (True, False, there["digest"])
    assert not writes(yard.registry.log)
    assert yard.rebase(yard.image, "--onto", yard.a)["digest"] == before


def test_an_image_that_another_tool_has_made_in_dockers_types_becomes_one_of_oci(yard: Yard) -> None:
    base = old_base()
    own = images.layer({"app/x": b"1"})
    labels = {BASE_NAME: yard.a.removeprefix("docker://"), BASE_DIGEST: base.target.digest}
    layers = (SHARED, images.layer({"etc/version": b"1"}), own)
    made = images.image(*layers, docker=True, Env=["PATH=/usr/bin"], Labels=labels)
    yard.base("foreign:1", made)
    done = yard.rebase(yard.at("bases/foreign:1"), "--onto", yard.b)
    fields = yard.registry.store.repository("bases/foreign").manifests[done["digest"]].fields
    assert "docker" not in json.dumps(fields).replace("docker://", "")
    assert fields["annotations"][BASE_NAME] == yard.b.removeprefix("docker://")


def test_every_platform_of_an_index_or_none(yard: Yard) -> None:
    old = yard.base("both:1", images.index(old_base(), old_base(ARM64)))
    new = yard.base("both:2", images.index(new_base(), new_base(ARM64)))
    both = ["--platform", "linux/amd64", "--platform", "linux/arm64"]
    yard.build(old, *both)
    assert "linux/arm64" in yard.refused(yard.image, "--onto", yard.b)
    half = yard.base("half:1", images.index(new_base()))
    assert "no image for linux/arm64" in yard.refused(yard.image, "--onto", half, code=2)
    done = yard.rebase(yard.image, "--onto", new)
    assert done["digest"] == yard.build(new, *both, to="fresh/app:main")["digest"]
    assert [part["platform"] for part in done["platforms"]] == ["linux/amd64", "linux/arm64"]


# Where it goes


def test_a_commits_tag_moves_only_with_retag(yard: Yard) -> None:
    built = yard.build(yard.a)
    image = f"{yard.at('team/app')}:{yard.commit}"
    assert "--retag" in yard.refused(image, "--onto", yard.b)
    other = yard.rebase(image, "--onto", yard.b, "--to", yard.at("team/app:next"))
    assert yard.digest("team/app:next") == other["digest"]
    assert yard.digest(f"team/app:{yard.commit}") == built["digest"]
    yard.rebase(image, "--onto", yard.b, "--retag")
    assert yard.digest(f"team/app:{yard.commit}") == other["digest"]
    checked = yard.treeship("check", image, "--repo", yard.repository.directory, "--json").json
    assert checked["verdict"] == "equal"


def test_it_goes_to_a_layout_or_to_another_registry_with_all_that_it_needs(
    yard: Yard, tmp_path: Path
) -> None:
    yard.build(yard.a)
    digest = yard.rebase(yard.image, "--onto", yard.b, "--to", f"oci:{tmp_path}/layout:it")["digest"]
    assert yard.treeship("inspect", f"oci:{tmp_path}/layout:it", "--json").json["digest"] == digest
    with InProcessRegistry() as other:
        yard.rebase(yard.image, "--onto", yard.b, "--to", f"docker://{other.host}/app:it")
        assert other.store.repository("app").tags == {"it": digest}
        assert other.store.incomplete() == []


class Mover(faults.Fault):
    """Somebody who moves a tag to another image as soon as a request of this kind has been answered."""

    def __init__(self, verb: str, repository: str, tag: str) -> None:
        super().__init__(verb)
        self.repository = repository
        self.tag = tag
        self.armed = False

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        if self.armed and (exchange.verb, exchange.repository) == (self.verb, self.repository):
            tags = store.repository("team/app").tags
            tags[self.tag] = tags["other"]
        return reply


def test_a_tag_that_somebody_moves_meanwhile_is_not_moved_back(
    treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path
) -> None:
    """While the base is read; and while other images are written."""
    while_reading = Mover("GET manifest", "bases/python", "main")
    while_writing = Mover("PUT manifest", "team/app", "next")
    with InProcessRegistry(faults=[while_reading, while_writing]) as registry:
        yard = Yard(registry, treeship, repository, tmp_path / "bases")
        yard.build(yard.a)
        yard.treeship("copy", yard.a, yard.at("team/app:other"))
        while_reading.armed = True
        assert "has become" in yard.treeship("rebase", yard.image, "--onto", yard.b, code=REFUSED).err
        assert yard.digest("team/app:main") == yard.digest("team/app:other")
        while_reading.armed = False
        yard.build(yard.a)
        repository.commit({**FILES, "train.py": b"2\n"})
        yard.build(yard.a, "--no-commit-tag", to="team/app:next")
        while_writing.armed = True
        result = yard.rebase("--all-from", yard.a, "--onto", yard.b, yard.at("team/app"), code=REFUSED)
        assert by_tag(result) == {"main": "changed", "next": "refused"}
        assert yard.digest("team/app:next") == yard.digest("team/app:other")


# Plans


def test_a_dry_run_shows_the_plan_and_writes_nothing(yard: Yard) -> None:
    before = yard.build(yard.a)["digest"]
    plan = yard.rebase(yard.image, "--onto", yard.b, "--dry-run", code=CHANGES)
    assert not writes(yard.registry.log)
    (part,) = plan["platforms"]
    config = {change["what"]: (change["before"], change["after"]) for change in part["config"]}
    assert config.pop(f"Label {BASE_NAME}")[1].endswith("bases/python:2")
    assert set(config.pop(f"Label {BASE_DIGEST}")) == {old_base().target.digest, new_base().target.digest}
    assert config == {
        "Env LANG": ("C", "C.UTF-8"),
        "Env GONE": ("1", ""),
        "Env NEW": ("", "1"),
        "Env PATH": ("/app/bin:/usr/local/bin:/usr/bin", "/app/bin:/opt/bin:/usr/bin"),
        "User": ("", "app"),
        "Label vendor": ("us", "them"),
    }
    assert (len(part["layers_removed"]), len(part["layers_added"])) == (1, 2), "the lowest one is in both"
    assert part["notes"] == ["Cmd: the image and the new base have both changed it; the image's stays"]
    assert (plan["digest_before"], plan["tags"], plan["changed"]) == (before, ["main"], True)
    done = yard.rebase(yard.image, "--onto", yard.b)
    assert (done["digest"], done["bytes_pushed"]) == (plan["digest"], plan["bytes_pushed"])
    assert yard.rebase(yard.image, "--onto", yard.b, "--dry-run")["changed"] is False


def test_people_read_a_diff(yard: Yard) -> None:
    yard.build(yard.a)
    shown = yard.treeship("rebase", yard.image, "--onto", yard.b, "--dry-run", code=CHANGES).out
    assert "  - Env LANG: C\n  + Env LANG: C.UTF-8\n" in shown
    assert "1 of the old base go, 2 of the new one come" in shown
    assert "would push" in shown


# The old base


def test_an_old_base_whose_tag_has_moved_or_gone_is_found_by_digest(yard: Yard) -> None:
    yard.build(yard.a)
    yard.registry.store.repository("bases/python").tags.pop("1")
    yard.rebase(yard.image, "--onto", yard.b)


def test_an_old_base_that_is_nowhere_is_named_by_hand(yard: Yard, tmp_path: Path) -> None:
    yard.build(yard.a)
    layout = tmp_path / "bases" / "python-1"
    store = yard.registry.store.repository("bases/python")
    store.manifests.pop(store.tags.pop("1"))
    fresh = Treeship(tmp_path / "elsewhere")
    assert "--from" in fresh("rebase", yard.image, "--onto", yard.b, code=2).err
    done = fresh("rebase", yard.image, "--onto", yard.b, "--from", f"oci:{layout}:it", "--json").json
    assert done["digest"] == yard.build(yard.b, to="fresh/app:main")["digest"]


def test_an_image_that_does_not_stand_on_it_is_refused_with_what_differs(yard: Yard) -> None:
    yard.build(yard.a)
    said = yard.refused(yard.image, "--onto", yard.a, "--from", yard.b)
    assert "does not stand on" in said
    assert "layer 1 is sha256:" in said
    packed = images.image(SHARED, images.layer({"etc/version": b"1"}, compressed=False))
    assert "packed as" in yard.refused(yard.image, "--onto", yard.b, "--from", yard.base("packed:1", packed))


@pytest.mark.parametrize("name", ["", "oci:/etc", "docker-daemon:it", "scratch:5000/x@y", "../../etc"])
def test_a_base_that_an_image_names_is_one_of_a_registry_or_none(yard: Yard, name: str) -> None:
    """Whoever pushes an image must not make others read their files."""
    yard.build(yard.a)
    digest = yard.digest("team/app:main")
    assert digest is not None
    fields = yard.registry.store.repository("team/app").manifests[digest].fields
    config = json.loads(yard.registry.store.blobs[fields["config"]["digest"]])
    for said in (fields["annotations"], config["config"]["Labels"]):
        said[BASE_NAME] = name
    raw = json.dumps(config).encode()
    fields["config"] |= {"digest": yard.registry.store.add_blob("team/app", raw), "size": len(raw)}
    yard.registry.store.add_manifest("team/app", json.dumps(fields).encode(), fields["mediaType"], "main")
    assert "error" in yard.refused(yard.image, "--onto", yard.b, code=2)


# What would break


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (python_layer("3.13"), "Python is 3.12.4 in the old base and 3.13.4 in the new one"),
        (
            python_layer(libc="2.31"),
            "the C library is glibc 2.36 in the old base and glibc 2.31 in the new one",
        ),
        (images.layer({"etc/os": b"none"}), "Python is 3.12.4 in the old base and absent in the new one"),
    ],
)
def test_what_would_break_is_refused_by_name(yard: Yard, layer: Layer, what: str) -> None:
    path: dict[str, Any] = {"Env": ["PATH=/usr/local/bin:/usr/bin"]}
    old = yard.base("with:1", images.image(python_layer(), **path))
    new = yard.base("with:2", images.image(layer, **path))
    yard.build(old)
    assert what in yard.refused(yard.image, "--onto", new)
    assert what in yard.refused(yard.image, "--onto", new, "--dry-run")


def test_a_newer_c_library_under_the_same_python_is_fine(yard: Yard) -> None:
    path: dict[str, Any] = {"Env": ["PATH=/usr/local/bin:/usr/bin"]}
    old = yard.base("with:1", images.image(python_layer(), **path))
    new = yard.base("with:2", images.image(python_layer(libc="2.41"), **path))
    yard.build(old)
    digest = yard.rebase(yard.image, "--onto", new)["digest"]
    assert digest == yard.build(new, to="fresh/app:main")["digest"]


def test_more_layers_than_runtimes_take_are_refused(yard: Yard) -> None:
    tall = images.image(*(images.layer({f"etc/{number}": b"x"}) for number in range(124)))
    yard.build(yard.a)
    assert "125 in all" in yard.refused(yard.image, "--onto", yard.base("tall:1", tall), code=2)


# Interrupted


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "within", "after"])
def test_killed_at_any_request_it_leaves_one_image_or_the_other_and_the_next_run_finishes(
    moment: str, treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path
) -> None:
    killer = Killer()
    with InProcessRegistry(faults=[killer]) as registry:
        yard = Yard(registry, treeship, repository, tmp_path / "bases")
        before = yard.build(yard.a)["digest"]
        target = yard.rebase(yard.image, "--onto", yard.b, "--dry-run", code=CHANGES)["digest"]
        words = ("rebase", yard.image, "--onto", yard.b, "--to")
        killer.aim(0, "")
        assert killed(treeship, killer, *words, yard.at("count:it")) == 0
        for at in range(1, killer.count + 1):
            name = f"at{at}"
            yard.treeship("copy", yard.image, yard.at(f"{name}:it"))
            killer.aim(at, moment)
            assert killed(treeship, killer, *words, yard.at(f"{name}:it")) in (0, -9)
            assert registry.store.incomplete() == []
            assert yard.digest(f"{name}:it") in (before, target)
            yard.rebase(*words[1:], yard.at(f"{name}:it"))
            assert yard.digest(f"{name}:it") == target
    assert registry.store.incomplete() == []


# On a real Debian


@pytest.mark.rig
def test_podman_runs_an_image_on_a_newer_debian(
    docker_registry: DockerRegistry, podman: Podman, base_layout: Path, treeship: Treeship,
    repository: ThrowAwayRepository, tmp_path: Path,
) -> None:  # fmt: skip
    """The newer one is the same Debian with one more layer, as a point release is: files and environment change."""
    host = f"{docker_registry.host}/rebase"
    repository.commit(programs.FILES)
    treeship("copy", f"oci:{base_layout}:latest", f"{host}/debian:1")
    newer(base_layout, tmp_path / "newer")
    treeship("copy", f"oci:{tmp_path}/newer:latest", f"{host}/debian:2")
    built = treeship.build(
        repository.directory, "--base", f"{host}/debian:1", "--to", f"{host}/app:main", "--no-commit-tag"
    )
    shown = treeship(
        "rebase", f"{host}/app:main", "--onto", f"{host}/debian:2", "--dry-run", code=CHANGES
    ).out
    assert "+ Env RELEASE: 2" in shown
    already = len(docker_registry.requests())
    done = treeship("rebase", f"{host}/app:main", "--onto", f"{host}/debian:2", "--json").json
    asked = docker_registry.requests()[already:]
    assert not [each for each in asked for layer in built["layers"] if layer["digest"] in each.path]
    assert len([each for each in asked if each.method == "PUT" and "/blobs/" in each.path]) == 1, "the config"
    fresh = treeship.build(repository.directory, "--base", f"{host}/debian:2", "--to", f"{host}/fresh:main")
    assert done["digest"] == fresh["digest"]
    for image in (f"{host}/app:main", f"{host}/app@{built['digest']}"):
        assert json.loads(podman.podman("run", "--rm", image).stdout)["said"] == "from the commit"
    seen = podman.podman(
        "run", "--rm", "--entrypoint=/bin/sh", f"{host}/app:main", "-c", "cat /etc/release; echo $RELEASE"
    )
    assert seen.stdout == "a point release\n2\n"


def newer(base: Path, folder: Path) -> None:
    """The layout of a base with one more layer and variable."""
    index = json.loads((base / "index.json").read_bytes())
    manifest = json.loads((base / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_bytes())
    config = json.loads((base / "blobs/sha256" / manifest["config"]["digest"][7:]).read_bytes())
    layer = images.layer({"etc/release": b"a point release\n"})
    config["config"]["Env"].append("RELEASE=2")
    config["rootfs"]["diff_ids"].append(layer.diff_id)
    config["history"].append({"created_by": "a point release"})
    shutil.copytree(base, folder)
    blobs = folder / "blobs/sha256"

    def put(raw: bytes) -> dict[str, Any]:
        digest = Digest.of(raw)
        (blobs / digest.hex).write_bytes(raw)
        return {"digest": digest, "size": len(raw)}

    manifest["layers"].append({"mediaType": layer.media_type, **put(layer.raw)})
    manifest["config"] |= put(json.dumps(config).encode())
    index["manifests"][0] |= put(json.dumps(manifest).encode())
    (folder / "index.json").write_bytes(json.dumps(index).encode())


# Whole repositories


def by_tag(result: Mapping[str, Any]) -> dict[str, str]:
    return {tag: image["status"] for image in result["images"] for tag in image["tags"]}


def test_all_images_of_an_outdated_base_are_found_and_rebased(yard: Yard) -> None:
    """The tag of the base has moved to another image, as it does; images tell by name and digest."""
    first = yard.build(yard.a)["commit"]
    yard.build(yard.a, to="team/app:stable")
    second = yard.repository.commit({**FILES, "train.py": b"2\n"}, parents=[first])
    yard.build(yard.b, to="team/app:other")
    third = yard.repository.commit({**FILES, "train.py": b"3\n"}, parents=[second])
    yard.build(yard.a, to="team/app:next")
    yard.base("python:1", new_base())
    words = ["--all-from", yard.a, "--onto", yard.a, yard.at("team/app")]
    plan = yard.rebase(*words, "--dry-run", code=CHANGES)
    assert by_tag(plan) == dict.fromkeys(("main", "stable", "next"), "changed")
    assert [image["tags_held"] for image in plan["images"]] == [[held] for held in sorted((first, third))]
    assert not writes(yard.registry.log)
    yard.rebase(*words)
    found = {
        name: yard.digest(f"team/app:{name}") for name in ("main", "stable", "next", "other", first, third)
    }
    assert found["main"] == found["stable"] != found[first]
    assert found["next"] == yard.build(yard.a, "--no-commit-tag", to="fresh/app:next")["digest"]
    again = yard.rebase(*words, "--dry-run")
    assert by_tag(again) == {
        first: "held", third: "held", "main": "unchanged", "stable": "unchanged", "next": "unchanged",
    }  # fmt: skip
    assert yard.rebase(*words, "--retag")["tags_seen"] == 7
    assert yard.digest(f"team/app:{first}") == found["main"]


def test_an_outdated_base_by_digest_and_what_cannot_be_rebased_is_listed(yard: Yard) -> None:
    yard.build(yard.a)
    digest = old_base().target.digest
    lying = images.image(
        images.layer({"x": b"1"}), Labels={BASE_NAME: yard.a.removeprefix("docker://"), BASE_DIGEST: digest}
    )
    layout = images.publish(yard.folder / "lying", lying, "it")
    yard.treeship("copy", f"oci:{layout}:it", yard.at("team/app:lying"))
    words = ["--all-from", f"{yard.a}@{digest}", "--onto", yard.b, yard.at("team/app")]
    result = yard.rebase(*words, code=REFUSED)
    assert by_tag(result) == {"main": "changed", "lying": "refused"}
    assert yard.digest("team/app:main") == yard.build(yard.b, to="fresh/app:main")["digest"]
    shown = yard.treeship("rebase", *words, "--dry-run", code=REFUSED).out
    assert "does not stand on" in shown


@pytest.mark.parametrize(
    "words",
    [
        ["{app}:main", "--all-from", "{a}"],
        ["{app}", "--all-from", "{a}", "--to", "{app}:x"],
        ["{app}", "--all-from", "{a}", "--from", "{a}"],
        ["{app}", "--all-from", "oci:there:it"],
        ["oci:there", "--all-from", "{a}"],
        ["{app}:main", "{app}:other"],
        ["{app}:main", "--from", ""],
        ["{app}:main", "--to", ""],
        ["{app}:main", "--all-from", ""],
    ],
)
def test_words_that_do_not_go_together_are_wrong_usage(yard: Yard, words: list[str]) -> None:
    given = [word.format(app=yard.at("team/app"), a=yard.a) for word in words]
    yard.refused(*given, "--onto", yard.b, code=2)


def test_without_a_cache_it_is_the_same(yard: Yard, tmp_path: Path) -> None:
    """And nothing of the run is left behind."""
    path: dict[str, Any] = {"Env": ["PATH=/usr/local/bin:/usr/bin"]}
    old = yard.base("with:1", images.image(python_layer(), **path))
    new = yard.base("with:2", images.image(python_layer(libc="2.41"), **path))
    yard.build(old, "--no-commit-tag")
    yard.build(old, "--no-commit-tag", to="team/app:next")
    words = ["--all-from", old, "--onto", new, yard.at("team/app"), "--dry-run"]
    (tmp_path / "scratch").mkdir()
    ran = yard.treeship(
        "rebase", *words, "--no-reuse", "--json", code=CHANGES, env={"TMPDIR": f"{tmp_path}/scratch"}
    )
    assert ran.json["images"] == yard.rebase(*words, code=CHANGES)["images"]
    assert not list((tmp_path / "scratch").iterdir())
