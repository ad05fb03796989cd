"""bases.toml and bases.lock: what is taken, what is refused, and that a lock is written the same every time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.bases.dockerfiles.definitions import Definition, parse_definitions
from buildkit.bases.dockerfiles.lock import Pin, dump_lock, parse_lock, pin_of
from buildkit.bases.dockerfiles.order import Node, ordered
from buildkit.config.toml import Place
from buildkit.errors import InvalidInput, NotFound
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform
from buildkit.image.reference import RegistryReference
from tests.sources import ROOT

PLACE = Place("bases.toml")
ROOT_TABLE = 'parent = "registry.example/python:3"\nplatforms = ["linux/amd64", "linux/arm64"]\n'


def parse(text: str) -> dict[str, Definition]:
    return parse_definitions(text.encode(), PLACE)


def test_a_base_has_a_parent_by_tag_or_stands_on_a_neighbour() -> None:
    found = parse(
        f"[slim]\n{ROOT_TABLE}[box]\non = 'slim'\nstage = 'packages'\nplatforms = ['linux/amd64']\n"
    )
    assert list(found) == ["box", "slim"]
    assert found["slim"].parent == RegistryReference("registry.example", "python", "3")
    assert found["slim"].platforms == (Platform("linux", "amd64"), Platform("linux", "arm64"))
    assert (found["box"].on, found["box"].stage) == ("slim", "packages")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[../up]\n", "not TOML"),
        (f"['../up']\n{ROOT_TABLE}", "not a name for a base"),
        (f"[{'a' * 65}]\n{ROOT_TABLE}", "not a name for a base"),
        (f"[Upper]\n{ROOT_TABLE}", "not a name for a base"),
        ("slim = 1\n", "expected a table"),
        ("[slim]\nplatforms = ['linux/amd64']\n", "either a parent, or the base"),
        (f"[slim]\n{ROOT_TABLE}on = 'slim'\n", "either a parent, or the base"),
        (f"[slim]\n{ROOT_TABLE}stage = 'x'\n", "a stage of what?"),
        ("[slim]\nparent = 'registry.example/python:3'\nplatforms = []\n", "platforms: expected a list"),
        ("[slim]\nparent = 'registry.example/python'\nplatforms = ['linux/amd64']\n", "by tag"),
        ("[slim]\nparent = 'oci:/etc:x'\nplatforms = ['linux/amd64']\n", "image of a registry"),
        ("[slim]\nparent = 'scratch'\nplatforms = ['linux/amd64']\n", "image of a registry"),
        (f"[slim]\nparent = 'a.example/b:1@sha256:{'0' * 64}'\nplatforms = ['linux/amd64']\n", "bases.lock"),
        ("[slim]\nparent = 'user:hidden@registry.example/x:1'\nplatforms = ['linux/amd64']\n", "no credentials"),
        (f"[slim]\n{ROOT_TABLE}colour = 'red'\n", "unknown key 'colour'"),
        (f"[slim]\n{ROOT_TABLE}arguments = {{ A = 1 }}\n", "expected text"),
        (f"[slim]\n{ROOT_TABLE}arguments = {{ PARENT = 'x' }}\n", "not a build argument"),
        (f"[slim]\n{ROOT_TABLE}arguments = {{ API_TOKEN = 'hidden' }}\n", "looks like a credential"),
        (f"[slim]\n{ROOT_TABLE}description = \"a\\u001b[31m\"\n", "one line"),
        ("[box]\non = 'slim'\nplatforms = ['linux/amd64']\n", "there is no base 'slim'"),
        (f"[slim]\n{ROOT_TABLE}[box]\non = 'slim'\nplatforms = ['linux/s390x']\n", "not built for linux/s390x"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert fault in caught.value.what
    assert "bases.toml" in caught.value.what
    assert caught.value.remedy
    assert "hidden" not in str(caught.value)


CHAIN = f"""
[c]
{ROOT_TABLE}
[b]
on = "c"
stage = "s"
platforms = ["linux/amd64"]
[a]
on = "b"
platforms = ["linux/amd64"]
"""


def test_what_a_base_stands_on_comes_first_and_once() -> None:
    definitions = parse(CHAIN)
    assert ordered(definitions, ["a", "b", "a"]) == [Node("c", "s"), Node("b"), Node("a")]
    assert ordered(definitions, ["c", "a"]) == [Node("c"), Node("c", "s"), Node("b"), Node("a")]


def test_circles_are_told_and_wrong_names_guessed() -> None:
    definitions = parse(
        "[a]\non = 'b'\nplatforms = ['linux/amd64']\n[b]\non = 'a'\nstage = 's'\nplatforms = ['linux/amd64']\n"
    )
    with pytest.raises(InvalidInput, match="a on b on a:s"):
        ordered(definitions, ["a"])
    with pytest.raises(NotFound) as caught:
        ordered(parse(f"[python-slim]\n{ROOT_TABLE}"), ["python-slin"])
    assert "did you mean python-slim?" in caught.value.remedy


DIGESTS = st.binary(min_size=1, max_size=4).map(Digest.of)
PINS = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,4})?", fullmatch=True),
    st.builds(
        Pin, st.sampled_from(["docker.io/library/python:3.12", "a.example:5000/b:1"]), st.none() | DIGESTS
    ),
)


@given(PINS, st.randoms(use_true_random=False))
def test_a_lock_comes_back_as_it_was_and_depends_on_no_order(pins: dict[str, Pin], shuffle: object) -> None:
    text = dump_lock(pins)
    assert parse_lock(text, Place("bases.lock")) == pins
    assert dump_lock(dict(reversed(pins.items()))) == text


@pytest.mark.parametrize(
    "text",
    [
        "[a]\nparent = 'x.example/a:1'\n",
        "[a]\nparent = 'x.example/a:1'\ndigest = 'sha256:short'\n",
        f"[a]\nparent = 'x.example/a:1'\nunpinned = true\ndigest = 'sha256:{'0' * 64}'\n",
        "[a]\nunpinned = true\n",
        "a = 1\n",
        "[a]\nparent = 'x.example/a:1'\nunpinned = true\nmore = 1\n",
    ],
)
def test_a_lock_that_was_not_written_by_pin_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_lock(text.encode(), Place("bases.lock"))
    assert "treeship base pin" in caught.value.remedy


def test_a_pin_for_another_tag_does_not_count() -> None:
    definition = parse(f"[slim]\n{ROOT_TABLE}")["slim"]
    digest = Digest.of(b"")
    assert pin_of(definition, {"slim": Pin("registry.example/python:3", digest)}) == digest
    assert pin_of(definition, {"slim": Pin("registry.example/python:2", digest)}) is None
    assert pin_of(definition, {}) is None


def test_this_project_s_own_folder_is_well_formed_and_its_lock_is_as_pin_writes_it() -> None:
    folder = ROOT / "dockerfiles"
    definitions = parse_definitions((folder / "bases.toml").read_bytes(), PLACE)
    assert set(definitions) == {
        "python-slim",
        "pytorch",
        "pytorch-cuda",
        "ngc-pytorch",
        "devbox",
        "ci",
        "training",
    }
    assert {item.name for item in folder.iterdir() if item.is_dir()} == set(definitions)
    lock = (folder / "bases.lock").read_bytes()
    pins = parse_lock(lock, Place("bases.lock"))
    assert dump_lock(pins) == lock
    parents = {name: str(definition.parent) for name, definition in definitions.items() if definition.parent}
    assert {name: pin.parent for name, pin in pins.items()} == parents
