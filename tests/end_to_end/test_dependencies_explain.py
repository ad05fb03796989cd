"""`explain` of a lock: each wheel, where it is, why it is there; nothing is fetched, sent or written."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.helpers import Treeship
from tests.end_to_end.house import writes
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

REQUIRES = {"alpha": ["beta", "gamma"], "gamma": ["delta"], "beta": ["gamma"]}
SMALL = Path(__file__).parent / "locks" / "small"


def table(yard: Yard, *more: str) -> list[list[str]]:
    """The lines of what a person sees, in columns."""
    words = tuple(word for word in yard.words("explain", *more) if word != "--json")
    return [line.split() for line in yard.treeship(*words).out.splitlines()]


def test_each_wheel_is_named_with_what_pulled_it_in(yard: Yard) -> None:
    yard.commit(small_lock(), requires=REQUIRES)
    with Watched(yard.index) as index, Watched(yard.registry) as registry:
        lines = table(yard)
        result = yard.explain()
    assert index.requests == []
    assert writes(registry.requests) == []
    head = lines.index(["wheel", "version", "size", "layer", "action", "why"])
    rows = {line[0]: line for line in lines[head + 1 : head + 7]}
    assert " ".join(rows["alpha"]) == "alpha 1.0 5.2 MB wheel-alpha push named in the lock"
    assert rows["delta"][-5:] == ["alpha", "→", "gamma", "→", "delta"]
    said = {each["name"]: each for layer in result["layers"] for each in layer["wheels"]}
    assert set(said) == {"alpha", "beta", "gamma", "delta", "epsilon", "zeta"}
    assert said["gamma"] == {
        "name": "gamma",
        "version": "1.0",
        "size": said["gamma"]["size"],
        "why": "alpha → gamma",
    }
    assert said["alpha"]["size"] == len(small_lock()[0].data)


def test_what_is_not_known_yet_has_no_digest(yard: Yard) -> None:
    """Nobody knows the digest of a layer whose wheels were not read, nor of an image that has it."""
    yard.commit(small_lock())
    before = yard.explain()
    assert before["digest"] is None
    assert set(before["platforms"].values()) == {None}
    assert digests(of_wheels(before)) == {None}
    assert {layer["diff_id"] for layer in of_wheels(before).values()} == {None}
    built = yard.build()
    after = yard.explain()
    assert after["digest"] == built["digest"]
    assert after["platforms"] == built["platforms"]
    assert {layer["action"] for layer in after["layers"]} == {"reuse"}
    assert before["bytes_pushed"] == pytest.approx(built["bytes_pushed"], rel=0.01)
    assert [layer["name"] for layer in before["layers"]] == [layer["name"] for layer in built["layers"]]
    assert [layer["key"] for layer in before["layers"]] == [layer["key"] for layer in built["layers"]]


def test_it_says_what_a_changed_lock_would_send(yard: Yard) -> None:
    yard.commit(small_lock())
    yard.build()
    yard.commit(small_lock(alpha="2.0"))
    with Watched(yard.index) as index:
        result = yard.explain()
    assert index.requests == []
    assert [layer["name"] for layer in result["layers"] if layer["action"] == "push"] == ["wheel-alpha"]
    assert len(small_lock()[0].data) <= result["bytes_pushed"] < len(small_lock()[0].data) + 10_000


def test_another_project_is_told_that_it_would_mount(yard: Yard, tmp_path: Path) -> None:
    yard.commit(small_lock())
    yard.build()
    other = replace(yard, repository=ThrowAwayRepository(tmp_path / "other"))
    other.commit(small_lock(), {"train.py": b"print('other')\n"})
    result = other.explain(to="another/project:main")
    assert {layer["action"] for layer in of_wheels(result).values()} == {"mount"}
    assert result["bytes_pushed"] < 10_000


@pytest.mark.parametrize("kind", ["pylock.toml", "requirements.txt", "without sizes"])
def test_nothing_is_left_behind(yard: Yard, tmp_path: Path, kind: str) -> None:
    """Neither of a requirements file, for which an index has to be asked what the hashes are of, nor of a lock that
    does not say how large its wheels are: then they are fetched for this run."""
    wheels = yard.offer(small_lock())
    lock = pylock(f"http://{yard.index.host}/files/", wheels)
    contents = {
        "pylock.toml": lock,
        "requirements.txt": requirements(yard.index.url, wheels),
        "without sizes": re.sub(rb"\nsize = \d+", b"", lock),
    }
    name = "pylock.toml" if kind == "without sizes" else kind
    yard.repository.commit({**CODE, name: contents[kind]})
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before = everything(yard.treeship.home)
    with Watched(yard.index) as index:
        yard.treeship(*yard.words("explain"), env={"TMPDIR": str(temporary)})
    assert len(index.files) == (len(wheels) if kind == "without sizes" else 0)
    assert everything(yard.treeship.home) == before
    assert list(temporary.iterdir()) == []


@pytest.mark.rig
def test_a_real_uv_lock_says_the_whole_chain(
    treeship: Treeship, repository: ThrowAwayRepository, base_layout: Path, tmp_path: Path
) -> None:
    """From the project down; who requires whom is in the lock."""
    files = {name: (SMALL / name).read_bytes() for name in ("pyproject.toml", "uv.lock")}
    sized = files["uv.lock"].replace(b'", upload-time', b'", size = 1000, upload-time')
    repository.commit({**CODE, **files, "uv.lock": sized})
    words = ("--repo", repository.directory, "--base", f"oci:{base_layout}", "--json")
    result = json.loads(treeship("explain", *words, "--to", f"oci:{tmp_path}/out:x").out)
    why = {each["name"]: each["why"] for layer in result["layers"] for each in layer["wheels"]}
    assert why["botocore"] == "small-lock → boto3 → botocore"
    assert why["metaflow"] == "small-lock → metaflow"
    assert why["certifi"] == "small-lock → requests → certifi"
    assert len(why) == 19
    assert result["dependencies"] == {"lock": "uv.lock", "carried": {}}
