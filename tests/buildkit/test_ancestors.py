"""Ancestors: in which order they are asked, and what their images may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit.ancestors import Hint, hints_of, lineage, read_hints
from buildkit.errors import NotFound
from buildkit.git.repository import Repository
from buildkit.image import media
from buildkit.image.annotations import LAYER_DIFF_ID, LAYER_KEY, LAYER_NAME
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.reference import LayoutReference, parse_reference
from buildkit.layers.layer import Written
from buildkit.testing.repositories import ThrowAwayRepository

ONE, TWO, THREE = Digest.of(b"1"), Digest.of(b"2"), Digest.of(b"3")
REGISTRY = parse_reference("registry.example/team/app")


def ancestors(origin: ThrowAwayRepository, commit: str, most: int | None = None) -> list[str]:
    with Repository(origin.directory) as repository:
        found = repository.commit(commit)
        return list(lineage(repository, found) if most is None else lineage(repository, found, most))


def test_first_parents_come_first_nearest_first_then_the_merged_by_breadth(
    origin: ThrowAwayRepository,
) -> None:
    root = origin.commit({"a": b"0"})
    side = origin.commit({"a": b"s1"}, parents=[root], branch="side")
    side2 = origin.commit({"a": b"s2"}, parents=[side], branch="side")
    other = origin.commit({"a": b"o"}, parents=[root], branch="other")
    middle = origin.commit({"a": b"1"}, parents=[root, other])
    tip = origin.commit({"a": b"2"}, parents=[middle, side2])
    assert ancestors(origin, tip) == [middle, root, side2, other, side]


def test_the_walk_is_bounded_in_a_long_history(origin: ThrowAwayRepository) -> None:
    commits = [origin.commit({"a": b"%d" % n}) for n in range(40)]
    assert ancestors(origin, commits[-1]) == commits[-2:-18:-1]
    assert ancestors(origin, commits[-1], 3) == commits[-2:-5:-1]
    assert ancestors(origin, commits[0]) == []


def test_the_walk_is_bounded_among_many_merged_branches(origin: ThrowAwayRepository) -> None:
    base = origin.commit({"a": b"0"})
    tip = base
    for n in range(30):
        side = origin.commit({"a": b"s%d" % n}, parents=[base], branch=f"side{n}")
        tip = origin.commit({"a": b"m%d" % n}, parents=[tip, side])
    found = ancestors(origin, tip)
    assert len(found) == len(set(found)) == 32
    assert tip not in found


def test_an_octopus_is_walked_and_nobody_is_named_twice(origin: ThrowAwayRepository) -> None:
    root = origin.commit({"a": b"0"})
    arms = [origin.commit({"a": b"%d" % n}, parents=[root], branch=f"b{n}") for n in range(4)]
    tip = origin.commit({"a": b"x"}, parents=arms)
    assert ancestors(origin, tip) == [arms[0], root, *arms[1:]]


def test_a_shallow_clone_names_the_parent_that_it_lacks(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    parent = origin.commit({"a": b"0"})
    origin.commit({"a": b"1"})
    origin.git("clone", "-q", "--bare", "--depth=1", origin.url, str(tmp_path / "clone"))
    with Repository(tmp_path / "clone") as repository:
        assert list(lineage(repository, repository.commit("HEAD"))) == [parent]


def described(key: str = ONE, diff_id: str = TWO, **more: str) -> Descriptor:
    return Descriptor(
        media.OCI_LAYER_GZIP,
        THREE,
        9,
        {LAYER_KEY: key, LAYER_DIFF_ID: diff_id, LAYER_NAME: "light-01", **more},
    )


def manifest(*layers: Descriptor) -> Manifest:
    return Manifest.build(Descriptor(media.OCI_CONFIG, ONE, 2), layers, {})


def test_a_layer_that_says_key_and_diff_id_is_a_hint() -> None:
    origin = ("registry.example", "team/app")
    hint = Hint("light-01", Written(THREE, TWO, 9), origin, described().annotations, frozenset({ONE}))
    assert read_hints([manifest(described())], REGISTRY) == {ONE: hint}
    assert read_hints([manifest(described())], LayoutReference("dir")) == {ONE: hint._replace(origin=None)}


def test_a_hint_tells_what_stands_beside_its_layer_in_the_same_image_and_in_no_other() -> None:
    found = read_hints([manifest(described(), described(key=TWO)), manifest(described(key=THREE))], REGISTRY)
    assert {key: hint.beside for key, hint in found.items()} == {
        ONE: {ONE, TWO},
        TWO: {ONE, TWO},
        THREE: {THREE},
    }


@pytest.mark.parametrize(
    "layer",
    [
        Descriptor(media.OCI_LAYER_GZIP, THREE, 9),
        Descriptor(media.OCI_LAYER_GZIP, THREE, 9, {LAYER_KEY: ONE}),
        Descriptor(media.OCI_LAYER_GZIP, THREE, 9, {LAYER_DIFF_ID: ONE}),
        described(key="sha256:../../x"),
        described(diff_id="no digest"),
        described(key=""),
    ],
)
def test_a_malformed_hint_is_passed_over(layer: Descriptor) -> None:
    good = described(key=TWO)
    assert list(read_hints([manifest(layer, good)], REGISTRY)) == [TWO]


class Images:
    """A source of images by tag, which knows what it was asked for."""

    def __init__(self, **documents: Document) -> None:
        self._documents: dict[str, Document] = dict(documents)
        self.asked: list[str] = []

    def document(self, wanted: str = "") -> Document:
        self.asked.append(wanted)
        for name, document in self._documents.items():
            if wanted in (name, document.digest) or (not wanted and name == "named"):
                return document
        raise NotFound(f"no {wanted}")

    def blob(self, descriptor: Descriptor) -> None:
        raise AssertionError("a hint needs no blob")


def test_the_first_candidate_that_was_built_is_asked_and_no_other() -> None:
    source = Images(c2=manifest(described()), c3=manifest(described(key=TWO)))
    found = hints_of(source, REGISTRY, iter(["c1", "c2", "c3"]))  # type: ignore[arg-type]
    assert list(found) == [ONE]
    assert source.asked == ["c1", "c2"]


def test_without_any_candidate_there_are_no_hints() -> None:
    assert hints_of(Images(), REGISTRY, ["c1", "c2"]) == {}  # type: ignore[arg-type]


def test_an_image_that_is_named_is_the_one() -> None:
    source = Images(named=manifest(described()))
    reference = parse_reference("registry.example/team/app:v1")
    assert list(hints_of(source, reference, ["c1"])) == [ONE]  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        hints_of(Images(), reference, ["c1"])  # type: ignore[arg-type]


def test_an_index_gives_the_hints_of_its_images() -> None:
    children = [manifest(described()), manifest(described(key=TWO))]
    entries = [
        child.descriptor._replace(platform={"os": "linux", "architecture": arch})
        for child, arch in zip(children, ("amd64", "arm64"), strict=True)
    ]
    attestation = Descriptor(media.OCI_MANIFEST, THREE, 1, {}, {"os": "unknown", "architecture": "unknown"})
    source = Images(c1=Index.build([*entries, attestation], {}), a=children[0], b=children[1])
    assert list(hints_of(source, REGISTRY, ["c1"])) == [ONE, TWO]  # type: ignore[arg-type]
