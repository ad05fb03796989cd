"""`base list`, `pin` and `build` with a folder of one's own: a real engine, and a registry with the parent."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.end_to_end.complaints import complains
from tests.end_to_end.helpers import Json, Ran, Treeship
from tests.rigs.base_image import FOREIGN, NATIVE
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.process import run

pytestmark = pytest.mark.rig
BASES = """\
[lower]
description = "The lower one"
parent = "{host}/bases-test/parent:1"
platforms = ["linux/{native}", "linux/{foreign}"]
arguments = {{ GREETING = "hello" }}

[upper]
on = "lower"
platforms = ["linux/{native}"]
"""
LOWER = "ARG PARENT\nFROM ${PARENT}\nARG GREETING\nLABEL greeting=${GREETING}\nCOPY lower.txt /lower.txt\n"
UPPER = "ARG PARENT\nFROM ${PARENT}\nCOPY upper.txt /upper.txt\n"


class Yard(NamedTuple):
    """A work tree with two bases, the command, an engine and a registry."""

    treeship: Treeship
    engine: DockerEngine
    host: str
    folder: Path

    def __call__(self, *words: str, code: int = 0) -> Ran:
        return self.treeship(*words, "--repo", str(self.folder.parent), code=code)

    def build(self, *words: str) -> dict[str, str]:
        """What became of each base."""
        return {
            base["name"]: base["action"] for base in self("base", "build", *words, "--json").json["bases"]
        }

    def at(self, name: str) -> str:
        """A place of this test's own in the registry."""
        return f"docker://{self.host}/{self.folder.parent.name}/{name}"

    def lock(self) -> str:
        """bases.lock."""
        return (self.folder / "bases.lock").read_text()

    def labels(self, image: str) -> Json:
        """Of an image in the engine."""
        labels = json.loads(self.engine.docker("inspect", image).stdout)[0]["Config"]["Labels"]
        assert isinstance(labels, dict)
        return labels


@pytest.fixture
def yard(
    docker_engine: DockerEngine, docker_registry: DockerRegistry, tiny_index: Path, tmp_path: Path
) -> Yard:
    treeship = Treeship(tmp_path / "home", docker_engine.env)
    folder = tmp_path / f"yard-{tmp_path.name[-20:].replace('_', '-').lower()}x" / "dockerfiles"
    for name, text in (("lower", LOWER), ("upper", UPPER)):
        (folder / name).mkdir(parents=True)
        (folder / name / "Dockerfile").write_text(text)
        # Of this test's own, or the engine's steps of another test would be used.
        (folder / name / f"{name}.txt").write_text(str(tmp_path))
    run(["git", "init", "--quiet", folder.parent])
    treeship("copy", f"oci:{tiny_index}", f"docker://{docker_registry.host}/bases-test/parent:1")
    (folder / "bases.toml").write_text(
        BASES.format(host=docker_registry.host, native=NATIVE, foreign=FOREIGN)
    )
    return Yard(treeship, docker_engine, docker_registry.host, folder)


def test_a_base_is_pinned_built_once_and_listed(yard: Yard) -> None:
    pinned = yard("base", "pin", "--json").json
    (lower,) = pinned["bases"]
    assert (pinned["changed"], lower["action"]) == (True, "pinned")
    assert f'digest = "{lower["digest"]}"' in yard.lock()
    assert (
        lower["digest"]
        == yard.treeship("inspect", f"docker://{yard.host}/bases-test/parent:1", "--json").json["digest"]
    )
    again = yard("base", "pin", "--json").json
    assert (again["changed"], again["bases"][0]["action"]) == (False, "unchanged")

    before = {base["name"]: base for base in yard("base", "list", "--json").json["bases"]}
    assert (before["lower"]["built"], before["upper"]["on"]) == (False, "lower")
    assert yard.build("upper", "--frozen") == {"lower": "built", "upper": "built"}
    assert yard.build("upper", "--frozen") == {"lower": "unchanged", "upper": "unchanged"}
    after = {base["name"]: base for base in yard("base", "list", "--json").json["bases"]}
    assert (after["lower"]["built"], after["upper"]["built"]) == (True, True)
    for name in ("lower", "upper"):
        labels = yard.labels(f"treeship-base/{name}")
        assert labels["dev.treeship.base.key"] == before[name]["key"] == after[name]["key"]
        assert labels["org.opencontainers.image.base.digest"] == lower["digest"]
        assert labels["greeting"] == "hello"
    assert "The lower one" in yard("base", "list").out


def test_what_changed_is_built_with_what_stands_on_it(yard: Yard) -> None:
    yard("base", "pin")
    yard.build("upper")
    (yard.folder / "upper" / "more").touch()
    assert yard.build("upper") == {"lower": "unchanged", "upper": "built"}
    assert yard.build("upper", "--build-arg=GREETING=bye") == {"lower": "built", "upper": "built"}
    assert yard.labels("treeship-base/upper")["greeting"] == "bye"
    assert yard.build("upper") == {"lower": "built", "upper": "built"}, "its name had moved on"


def test_steps_are_lines_in_a_log_and_a_failing_one_is_explained(yard: Yard) -> None:
    yard("base", "pin")
    ran = yard("base", "build", "lower")
    assert "lower [5/" in ran.err
    assert "\033" not in ran.err
    with (yard.folder / "lower" / "Dockerfile").open("a") as file:
        file.write("COPY absent /\n")
    complains(
        yard("base", "build", "lower", code=2), 2, "building lower, step 6 of", "COPY absent /", "absent"
    )


def test_an_unpinned_parent_is_noted_or_refused(yard: Yard) -> None:
    ran = yard("base", "build", "lower")
    assert "is not pinned; today it is sha256:" in ran.err
    complains(yard("base", "build", "lower", "--frozen", code=3), 3, "is not pinned", "treeship base pin")
    assert yard.build("lower") == {"lower": "unchanged"}


def test_a_parent_that_only_the_engine_has_is_taken_from_there(yard: Yard) -> None:
    yard("base", "build", "lower")
    toml = yard.folder / "bases.toml"
    toml.write_text(toml.read_text().replace("bases-test/parent:1", "bases-test/gone:1"))
    complains(yard("base", "build", "lower", code=2), 2, "bases-test/gone")
    yard.engine.docker("tag", "treeship-base/lower", f"{yard.host}/bases-test/gone:1")
    assert "taken as the Docker Engine has it" in yard("base", "build", "lower").err


def test_an_image_goes_where_it_is_told_and_is_not_built_for_a_place_that_has_it(yard: Yard) -> None:
    yard("base", "pin")
    to = ("--to", yard.at("{name}:main"), "--to", f"oci:{yard.folder.parent}/images-{{name}}:main")
    first = yard("base", "build", "lower", "upper", *to, "--json").json["bases"]
    sent = [each for base in first for each in base["destinations"]]
    assert [each["action"] for each in sent] == ["sent"] * 4
    index = yard.treeship("inspect", f"docker://{yard.host}/bases-test/parent:1", "--json").json
    native = next(each["digest"] for each in index["images"] if each["platform"] == f"linux/{NATIVE}")
    parent = yard.treeship("inspect", f"docker://{yard.host}/bases-test/parent@{native}", "--json").json
    image = yard.treeship("inspect", yard.at("upper:main"), "--json").json
    layers = [layer["digest"] for layer in image["layers"]]
    assert layers[: len(parent["layers"])] == [layer["digest"] for layer in parent["layers"]], (
        "the parent's, as they are"
    )
    assert {layer["media_type"].rpartition("+")[2] for layer in image["layers"]} == {"gzip"}
    yard.engine.docker("rmi", "--force", "treeship-base/upper", "treeship-base/lower")
    again = yard("base", "build", "lower", "upper", *to, "--json").json["bases"]
    assert {base["action"] for base in again} == {"not needed"}
    assert [each["digest"] for base in again for each in base["destinations"]] == [
        each["digest"] for each in sent
    ]
    yard.engine.docker("pull", "--quiet", yard.at("upper:main").removeprefix("docker://"))


def test_other_parents_can_be_given(yard: Yard, tiny_base: Path) -> None:
    assert yard.build("upper", "--parent", f"oci:{tiny_base}") == {"lower": "built", "upper": "built"}
    image = yard.labels("treeship-base/upper")
    assert image["org.opencontainers.image.base.name"] == "", "a layout means something on this machine only"
    yard.engine.docker("tag", "treeship-base/lower", "treeship-test/mine:1")
    assert yard.build("lower", "--parent", "lower=docker-daemon:treeship-test/mine:1") == {"lower": "built"}
    complains(
        yard("base", "build", "lower", "--parent", "scratch", code=2), 2, "scratch has nothing to run in"
    )


def test_a_registry_that_gives_no_answer_never_changes_a_pin(yard: Yard) -> None:
    yard("base", "pin")
    lock = yard.lock()
    toml = yard.folder / "bases.toml"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        elsewhere = f"127.0.0.1:{closed.getsockname()[1]}"
        third = f'[third]\nparent = "{elsewhere}/x:1"\nplatforms = ["linux/{NATIVE}"]\n'
        toml.write_text(toml.read_text() + third)
        ran = yard("base", "pin", code=4)
    assert "third: " in ran.err
    assert "it stays unpinned" in ran.err
    assert yard.lock() == lock + f'\n[third]\nparent = "{elsewhere}/x:1"\nunpinned = true\n'
    toml.write_text(toml.read_text().replace(f"{elsewhere}/x:1", f"{yard.host}/bases-test/absent:1"))
    absent = yard("base", "pin", "third", "--json", code=2).json["bases"][0]
    assert (absent["digest"], absent["action"]) == (None, "not reached")
    assert "404" in absent["reason"]
    complains(yard("base", "pin", "upper", code=2), 2, "pin lower")
    toml.write_text(
        toml.read_text().replace("absent:1", "parent:1").replace(f'["linux/{NATIVE}"]\n', '["linux/s390x"]\n')
    )
    assert "linux/s390x" in yard("base", "pin", "third", code=2).err


def test_a_pin_outlives_its_registry(yard: Yard) -> None:
    toml = yard.folder / "bases.toml"
    yard("base", "pin")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        elsewhere = f"127.0.0.1:{closed.getsockname()[1]}"
        toml.write_text(toml.read_text().replace(yard.host, elsewhere))
        lock = yard.lock().replace(yard.host, elsewhere)
        (yard.folder / "bases.lock").write_text(lock)
        assert "its digest stays sha256:" in yard("base", "pin", code=4).err
    assert yard.lock() == lock


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("build", "lover"), "did you mean lower?"),
        (("build", "lower", "--build-arg", "TOKEN=hidden"), "looks like a credential"),
        (("build", "lower", "--build-arg", "GREETING=https://me:hidden@x.example/"), "holds a credential"),
        (("build", "lower", "--build-arg", "GREETNG=x"), "GREETING"),
        (("build", "lower", "upper", "--to", "registry.example/x:1"), "{name}"),
        (("build", "upper", "--platform", f"linux/{FOREIGN}"), f"not for linux/{FOREIGN}"),
        (("pin", "nothing"), "there is no base"),
    ],
)
def test_wrong_usage_is_explained(yard: Yard, words: tuple[str, ...], says: str) -> None:
    yard("base", "pin")
    ran = yard("base", *words, code=2)
    complains(ran, 2, says)
    assert "hidden" not in ran.err


CIRCLE = "[a]\non = 'b'\nplatforms = ['linux/amd64']\n[b]\non = 'a'\nplatforms = ['linux/amd64']\n"
ALONE = f"[a]\nparent = 'registry.example/x:1'\nplatforms = ['linux/{NATIVE}']\n"


@pytest.mark.parametrize(
    ("words", "toml", "lock", "says"),
    [
        (("build", "a"), CIRCLE, "", "stand on each other"),
        (("list",), CIRCLE, "", "stand on each other"),
        (("pin",), CIRCLE, "", "stand on each other"),
        (("pin", "a"), ALONE + CIRCLE.replace("[a]", "[c]").replace("'a'", "'c'"), "", "stand on each other"),
        (("build", "a"), ALONE, "[a]\n", "bases.lock"),
        (("build", "a", "--build-arg", "X=1"), ALONE, "", "none of these bases takes"),
    ],
)
def test_what_is_wrong_with_the_files_is_said_without_engine_and_registry(
    treeship: Treeship, tmp_path: Path, words: tuple[str, ...], toml: str, lock: str, says: str
) -> None:
    folder = tmp_path / "work" / "dockerfiles"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "Dockerfile").write_text(LOWER)
    (folder / "bases.toml").write_text(toml)
    if lock:
        (folder / "bases.lock").write_text(lock)
    run(["git", "init", "--quiet", folder.parent])
    treeship.env["DOCKER_HOST"] = f"unix://{tmp_path}/absent.sock"
    complains(treeship("base", *words, "--repo", folder.parent, code=2), 2, says)


def test_a_folder_is_needed_and_an_engine_only_to_build(yard: Yard, tmp_path: Path) -> None:
    no_engine = {"DOCKER_HOST": f"unix://{tmp_path}/absent.sock"}
    repository = ("--repo", str(yard.folder.parent))
    yard("base", "pin")
    ran = yard.treeship("base", "list", "--json", *repository, env=no_engine)
    assert [base["built"] for base in ran.json["bases"]] == [None, None]
    complains(
        yard.treeship("base", "build", "lower", *repository, env=no_engine, code=4),
        4,
        "no Docker Engine answers",
    )
    (yard.folder / "bases.toml").unlink()
    complains(yard("base", "list", code=2), 2, "bases.toml")
    complains(yard.treeship("base", "list", "--repo", tmp_path, code=2), 2, "not a git repository")
    run(["git", "init", "--quiet", tmp_path / "other"])
    complains(
        yard.treeship("base", "list", "--repo", tmp_path / "other", code=2), 2, "no folder", "dockerfiles"
    )
