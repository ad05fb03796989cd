"""Destinations: which tags an image gets where, what is asked there, and what may not move."""

from __future__ import annotations

import pytest

from buildkit.destinations import (
    EMBEDDED,
    Destination,
    Standing,
    destinations,
    glance,
    publication,
    refuse_moved_tag,
    refuse_unfit,
    stand,
)
from buildkit.endpoints import Publication, Receipt
from buildkit.errors import InvalidInput, Refused
from buildkit.image import media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.reference import parse_reference

COMMIT = "c" * 40


def wanted(*to: str, variant: str = "", commit_tag: bool = True) -> list[tuple[str, tuple[str, ...], str]]:
    return [
        (str(found.reference), found.tags, found.guarded)
        for found in destinations(to, COMMIT, variant, commit_tag=commit_tag)
    ]


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ([], [("oci:.treeship/oci", (COMMIT,), "")]),
        (["host.example/a"], [("host.example/a", (COMMIT,), COMMIT)]),
        (["host.example/a:v1"], [("host.example/a", (COMMIT, "v1"), COMMIT)]),
        (
            ["host.example/a:v1", "docker://host.example/a:v2", "host.example/a:v1"],
            [("host.example/a", (COMMIT, "v1", "v2"), COMMIT)],
        ),
        (
            ["host.example/a", "host.example/b"],
            [("host.example/a", (COMMIT,), COMMIT), ("host.example/b", (COMMIT,), COMMIT)],
        ),
        (["oci:dir"], [("oci:dir", (COMMIT,), "")]),
        (["oci:dir:v1", "oci:dir"], [("oci:dir", ("v1", COMMIT), "")]),
        (["docker-daemon:app"], [("docker-daemon:app", (COMMIT,), "")]),
        (["docker-daemon:app:v1"], [("docker-daemon:app", ("v1",), "")]),
        (["docker-archive:f.tar"], [("docker-archive:f.tar", (), "")]),
        (["docker-archive:f.tar:app"], [("docker-archive:f.tar:app", (COMMIT,), "")]),
        (["docker-archive:f.tar:app:v1"], [("docker-archive:f.tar:app", ("v1",), "")]),
    ],
)
def test_the_names_an_image_gets(to: list[str], expected: list[tuple[str, tuple[str, ...], str]]) -> None:
    assert wanted(*to) == expected


def test_a_variant_has_a_commit_tag_of_its_own() -> None:
    assert wanted("host.example/a", variant="devbox") == [
        ("host.example/a", (f"{COMMIT}-devbox",), f"{COMMIT}-devbox")
    ]
    assert wanted(variant="devbox") == [(EMBEDDED, (f"{COMMIT}-devbox",), "")]


def test_without_the_commit_s_tag_only_what_was_asked_for_is_written() -> None:
    assert wanted("host.example/a:v1", commit_tag=False) == [("host.example/a", ("v1",), "")]
    with pytest.raises(InvalidInput, match="no tag is left"):
        wanted("host.example/a", commit_tag=False)


@pytest.mark.parametrize(
    "text", ["scratch", f"host.example/a@{Digest.of(b'')}", f"oci:dir@{Digest.of(b'')}", "http://x"]
)
def test_no_image_can_be_sent_there(text: str) -> None:
    with pytest.raises(InvalidInput):
        wanted(text)


@pytest.mark.parametrize("text", ["docker-daemon:app", "docker-archive:f.tar"])
def test_several_platforms_need_a_place_that_holds_an_index(text: str) -> None:
    refuse_unfit(destinations([text, "host.example/a", "oci:dir"], COMMIT, "", commit_tag=True), 1)
    refuse_unfit(destinations(["host.example/a", "oci:dir"], COMMIT, "", commit_tag=True), 2)
    with pytest.raises(InvalidInput, match="one platform, not 2"):
        refuse_unfit(destinations([text], COMMIT, "", commit_tag=True), 2)


def image(name: bytes) -> Manifest:
    layers = [Descriptor(media.OCI_LAYER_GZIP, Digest.of(name + b" layer"), 3)]
    return Manifest.build(Descriptor(media.OCI_CONFIG, Digest.of(name + b" config"), 2), layers, {})


def blobs(*images: Manifest) -> frozenset[Digest]:
    return frozenset(digest for made in images for digest in (made.config.digest, made.layers[0].digest))


OURS, OTHER, PARENT = image(b"ours"), image(b"other"), image(b"parent")
PLACE = Destination(parse_reference("host.example/a"), (COMMIT, "v1"), COMMIT)


class Place:
    """A sink that knows what it has and was asked for, and to which nothing may be written."""

    def __init__(self, **documents: Document) -> None:
        self._documents = documents
        self.asked: list[str] = []

    def lookup(self, tag: str) -> Document | None:
        self.asked.append(tag)
        by_digest = {document.digest: document for document in self._documents.values()}
        return self._documents.get(tag) or by_digest.get(tag)  # type: ignore[call-overload]

    def survey(self, work: Publication) -> Receipt:
        raise AssertionError("surveyed")

    def publish(self, work: Publication) -> Receipt:
        raise AssertionError("written to")


def test_a_place_that_has_the_image_is_asked_for_its_tags_alone() -> None:
    place = Place(**{COMMIT: OURS, "v1": OTHER})
    standing = stand(glance(PLACE, place, ["parent"]), place, OURS.digest)
    assert place.asked == [COMMIT, "v1"]
    assert standing == Standing({COMMIT: OURS, "v1": OTHER}, blobs(OURS, OTHER))


def test_a_place_that_has_none_of_our_tags_is_asked_for_the_parent_s() -> None:
    place = Place(second=PARENT)
    standing = stand(glance(PLACE, place, ["first", "second", "third"]), place, OURS.digest)
    assert place.asked == [COMMIT, "v1", "first", "second"]
    assert standing == Standing({}, blobs(PARENT))


def test_an_index_proves_the_blobs_of_its_images() -> None:
    entries = [
        made.descriptor._replace(platform={"os": "linux", "architecture": "amd64"})
        for made in (OTHER, PARENT)
    ]
    place = Place(v1=Index.build(entries, {}), a=OTHER, b=PARENT)
    assert stand(glance(PLACE, place, []), place, OURS.digest).present == blobs(OTHER, PARENT)


def test_the_tag_of_a_commit_does_not_move() -> None:
    refuse_moved_tag(PLACE, Standing({}, frozenset()), OURS.digest)
    refuse_moved_tag(PLACE, Standing({COMMIT: OURS, "v1": OTHER}, frozenset()), OURS.digest)
    with pytest.raises(Refused) as caught:
        refuse_moved_tag(PLACE, Standing({COMMIT: OTHER}, frozenset()), OURS.digest)
    assert OTHER.digest in caught.value.what
    assert OURS.digest in caught.value.what
    assert "--retag" in caught.value.remedy


def test_elsewhere_any_tag_may_move() -> None:
    free = PLACE._replace(guarded="")
    refuse_moved_tag(free, Standing({COMMIT: OTHER}, frozenset()), OURS.digest)


def test_only_tags_that_are_not_right_yet_are_written() -> None:
    work = Publication((OURS,), (), ())
    standing = Standing({COMMIT: OURS, "v1": OTHER}, blobs(OTHER))
    assert publication(PLACE, standing, work) == Publication((OURS,), (), ("v1",), blobs(OTHER))
    assert publication(PLACE, Standing({}, frozenset()), work).tags == (COMMIT, "v1")
    assert publication(PLACE, Standing({COMMIT: OURS, "v1": OURS}, frozenset()), work).tags == ()
