"""Copies between the transports, and what is said about an image."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit import human, inspect, verify
from buildkit.copy import copy, gather, tags_of
from buildkit.endpoints import Action, Sink, Source
from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.image import canonical, media
from buildkit.image.annotations import BASE_DIGEST, BASE_NAME
from buildkit.image.config import ImageConfig
from buildkit.image.digest import Digest
from buildkit.image.manifest import Index, Manifest
from buildkit.image.platform import Platform
from buildkit.image.reference import LayoutReference, RegistryReference, parse_reference
from buildkit.layout import LayoutSink, LayoutSource
from buildkit.registry import Registries
from buildkit.transports import holds_indexes, open_sink, open_source
from tests.buildkit import images
from tests.buildkit.images import AMD64, ARM64
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.ggcr_registry import GgcrRegistry
from tests.rigs.podman import Podman

BASE = images.layer({"base": bytes(50_000)})
AMD = images.image(BASE, images.layer({"hello": b"amd"}), Labels={"a": "b\x1b[1m"})
ARM = images.image(BASE, images.layer({"hello": b"arm"}), platform=ARM64)
BOTH = images.index(AMD, ARM)
DOCKER = images.image(BASE, docker=True)


class LayoutRegistries:
    """Registries that are layouts, for who has no network: each repository in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def source(self, reference: RegistryReference) -> Source:
        return LayoutSource(LayoutReference(f"{self.root}/{reference.name}", reference.tag, reference.digest))

    def sink(self, reference: RegistryReference) -> Sink:
        return LayoutSink(LayoutReference(f"{self.root}/{reference.name}"))


@pytest.fixture
def registries(tmp_path: Path) -> LayoutRegistries:
    return LayoutRegistries(tmp_path / "registries")


def never() -> Registries:
    raise AssertionError("no registry was named")


def image_at(text: str, tag: str = "") -> Manifest:
    return images.manifest_of(open_source(parse_reference(text), never).document(tag))


# Whole, and by platform


def test_an_index_goes_whole(tmp_path: Path) -> None:
    images.publish(tmp_path / "a", BOTH, "v1")
    done = copy(LayoutReference(f"{tmp_path}/a", "v1"), LayoutReference(f"{tmp_path}/b"), never)
    assert done.digest == BOTH.target.digest
    reader = LayoutSource(LayoutReference(f"{tmp_path}/b", "v1"))
    assert [reader.document(d.digest).raw for d in BOTH.documents] == [d.raw for d in BOTH.documents]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    images.publish(tmp_path / "a", AMD, "v1")
    done = copy(LayoutReference(f"{tmp_path}/a"), LayoutReference(f"{tmp_path}/b", "v2"), never, dry_run=True)
    assert set(done.receipt.actions.values()) == {Action.PUSH}
    assert os.listdir(tmp_path) == ["a"]


def test_docker_types_stay(tmp_path: Path) -> None:
    images.publish(tmp_path / "a", DOCKER, "v1")
    copy(LayoutReference(f"{tmp_path}/a"), LayoutReference(f"{tmp_path}/b", "v1"), never)
    found = LayoutSource(LayoutReference(f"{tmp_path}/b", "v1")).document()
    assert (found.media_type, found.raw) == (media.DOCKER_MANIFEST, DOCKER.target.raw)


def test_one_platform_is_its_image(tmp_path: Path) -> None:
    images.publish(tmp_path / "a", BOTH, "v1")
    to = LayoutReference(f"{tmp_path}/b", "v1")
    assert copy(LayoutReference(f"{tmp_path}/a"), to, never, platforms=(ARM64,)).digest == ARM.target.digest
    assert not (tmp_path / "b" / "blobs" / "sha256" / AMD.target.digest.hex).exists()


def test_some_platforms_are_an_index_of_them(tmp_path: Path) -> None:
    third = images.image(BASE, platform=Platform("linux", "s390x"))
    images.publish(tmp_path / "a", images.index(AMD, third, ARM), "v1")
    to = LayoutReference(f"{tmp_path}/b", "v1")
    copy(LayoutReference(f"{tmp_path}/a"), to, never, platforms=(ARM64, AMD64))
    found = LayoutSource(to).document()
    assert isinstance(found, Index)
    assert [str(platform) for platform, _ in found.images()] == ["linux/amd64", "linux/arm64"]
    assert found.annotations == {"a.test": "yes"}
    assert (tmp_path / "b" / "blobs" / "sha256" / ARM.target.digest.hex).exists()


def test_an_index_of_indexes(tmp_path: Path) -> None:
    nested = Index.build([BOTH.target.descriptor, AMD.target.descriptor], {})
    images.publish(tmp_path / "a", BOTH._replace(documents=(*BOTH.documents, nested)), "v1")
    source = LayoutSource(LayoutReference(f"{tmp_path}/a", "v1"))
    order = [document.digest for document in gather(source).documents]
    assert order == [AMD.target.digest, ARM.target.digest, BOTH.target.digest, nested.digest]


def test_indexes_that_never_end_are_refused(tmp_path: Path) -> None:
    documents = [*AMD.documents]
    for _ in range(6):
        documents.append(Index.build([documents[-1].descriptor], {}))
    images.publish(tmp_path / "a", AMD._replace(documents=tuple(documents)), "v1")
    with pytest.raises(CorruptContent, match="too many"):
        gather(LayoutSource(LayoutReference(f"{tmp_path}/a", "v1")))


@pytest.mark.parametrize("made", [AMD, BOTH], ids=["image", "index"])
def test_a_platform_that_is_not_there(tmp_path: Path, made: images.Made) -> None:
    images.publish(tmp_path / "a", made, "v1")
    with pytest.raises(NotFound, match="linux/s390x"):
        copy(LayoutReference(f"{tmp_path}/a"), LayoutReference(f"{tmp_path}/b"), never,
             platforms=(Platform("linux", "s390x"),))  # fmt: skip
    assert os.listdir(tmp_path) == ["a"]


# To and from places for one platform


def test_an_archive_gets_one_platform(tmp_path: Path) -> None:
    images.publish(tmp_path / "a", BOTH, "v1")
    source = LayoutReference(f"{tmp_path}/a", "v1")
    here = {AMD64: AMD, ARM64: ARM}[Platform.of_host()]
    copy(source, parse_reference(f"docker-archive:{tmp_path}/one.tar:app"), never)
    assert image_at(f"docker-archive:{tmp_path}/one.tar:app:v1").config.digest == here.manifest.config.digest
    copy(source, parse_reference(f"docker-archive:{tmp_path}/two.tar:app:x"), never, platforms=(ARM64,))
    assert image_at(f"docker-archive:{tmp_path}/two.tar", "x").config.digest == ARM.manifest.config.digest
    with pytest.raises(InvalidInput, match="holds one platform"):
        copy(source, parse_reference(f"docker-archive:{tmp_path}/3.tar"), never, platforms=(AMD64, ARM64))


def test_an_archive_becomes_an_oci_image(tmp_path: Path) -> None:
    plain = images.image(images.layer({"hello": b"x"}, compressed=False))
    images.publish(tmp_path / "a", plain, "v1")
    copy(LayoutReference(f"{tmp_path}/a"), parse_reference(f"docker-archive:{tmp_path}/a.tar"), never)
    copy(parse_reference(f"docker-archive:{tmp_path}/a.tar"), LayoutReference(f"{tmp_path}/b", "v1"), never)
    found = image_at(f"oci:{tmp_path}/b:v1")
    assert found.raw == plain.target.raw
    assert found.layers[0].media_type == media.OCI_LAYER


# Names


@pytest.mark.parametrize(
    ("source", "destination", "tags"),
    [
        ("oci:a:v1", "oci:b:v2", ("v2",)),
        ("oci:a:v1", "oci:b", ("v1",)),
        ("oci:a", "oci:b", ()),
        ("oci:a:v1", "x.example/b", ("v1",)),
        ("oci:a", "docker-archive:b.tar", ()),
        ("x.example/a:v3", "docker-daemon:b", ("v3",)),
    ],
)
def test_the_name_at_the_destination(source: str, destination: str, tags: tuple[str, ...]) -> None:
    assert tags_of(parse_reference(source), parse_reference(destination)) == tags


@pytest.mark.parametrize(
    ("source", "destination"), [("oci:a", "x.example/b"), ("oci:a:v+1", "docker-daemon:b")]
)
def test_a_name_that_has_to_be_given(source: str, destination: str) -> None:
    with pytest.raises(InvalidInput, match="tag"):
        tags_of(parse_reference(source), parse_reference(destination))


def test_the_digest_of_a_destination_is_a_promise(registries: LayoutRegistries, tmp_path: Path) -> None:
    images.publish(tmp_path / "a", AMD, "v1")
    source = LayoutReference(f"{tmp_path}/a")
    with pytest.raises(InvalidInput, match="the destination says"):
        copy(source, RegistryReference("x.example", "b", "", ARM.target.digest), registries)
    copy(source, RegistryReference("x.example", "b", "v1", AMD.target.digest), registries)
    assert registries.source(RegistryReference("x.example", "b", "v1")).document().digest == AMD.target.digest


def test_blobs_of_a_registry_say_where_they_may_be_mounted_from(registries: LayoutRegistries) -> None:
    reference = RegistryReference("x.example", "b", "v1")
    registries.sink(reference).publish(AMD.work("v1"))
    done = copy(reference, RegistryReference("x.example", "c"), registries)
    assert {blob.origin for blob in done.work.blobs} == {("x.example", "b")}


def test_scratch_is_no_place() -> None:
    for use in (open_source, open_sink):
        with pytest.raises(InvalidInput, match="scratch"):
            use(parse_reference("scratch"), never)
    assert not holds_indexes(parse_reference("scratch"))


# Verifying streams


def test_a_stream_is_not_verified_twice() -> None:
    part = AMD.parts[1]
    stream = verify.Verified(images.blob(AMD.blobs[part.digest], part).open(), part, "it")
    with stream:
        assert verify.verified(stream, part, "it") is stream
        assert verify.verified(stream, AMD.parts[2], "it") is not stream
        assert stream.name == "it"


@pytest.mark.parametrize("step", [1, 7, 49, 50, 51, -1])
def test_a_stream_gives_all_or_an_error(step: int) -> None:
    raw = os.urandom(50)
    part = AMD.parts[0]._replace(digest=Digest.of(raw), size=50)
    for given in (raw, raw[:-1], raw + b"x", b"x" + raw[1:], b""):
        with verify.Verified(images.blob(given, part).open(), part, "it") as stream:
            if given == raw:
                assert drained(lambda stream=stream: stream.read(step)) == raw  # type: ignore[misc]
                assert stream.verified
            else:
                with pytest.raises(CorruptContent, match=part.digest):
                    drained(lambda stream=stream: stream.read(step))  # type: ignore[misc]


def drained(read: Callable[[], bytes]) -> bytes:
    return b"".join(iter(read, b""))


# What is said about an image


def test_a_description_of_an_image() -> None:
    config = ImageConfig(AMD.blobs[AMD.manifest.config.digest])
    found = inspect.describe("oci:a:v1", AMD.target, [config])
    assert json.loads(json.dumps(found)) == found
    assert found["platforms"] == ["linux/amd64"]
    assert found["created"] == "2026-01-02T03:04:05Z"
    assert found["size"] == len(AMD.target.raw) + sum(map(len, AMD.blobs.values()))
    assert found["layers"][0] == {"digest": AMD.manifest.layers[0].digest, "diff_id": BASE.diff_id, "name": None,
                                  "key": None, "media_type": media.OCI_LAYER_GZIP, "size": len(BASE.raw)}  # fmt: skip
    text = list(inspect.lines(found))
    assert "label      a=b\\x1b[1m" in text
    assert all(line.isprintable() for line in text)


def test_a_description_of_an_index() -> None:
    found = inspect.describe("oci:a:v1", BOTH.target)
    assert found["platforms"] == ["linux/amd64", "linux/arm64"]
    assert [image["digest"] for image in found["images"]] == [AMD.target.digest, ARM.target.digest]
    assert any(str(ARM.target.digest) in line for line in inspect.lines(found))


def test_a_description_of_what_is_broken() -> None:
    with pytest.raises(CorruptContent):
        inspect.describe("x", AMD.target, [ImageConfig(ARM.blobs[ARM.manifest.config.digest])])
    bare = Manifest.build(AMD.manifest.config, AMD.manifest.layers, {BASE_NAME: "b", BASE_DIGEST: "d"})
    found = inspect.describe("x", bare)
    assert (found["platforms"], found["layers"][0]["diff_id"], found["base"]) == (
        [],
        None,
        {"name": "b", "digest": "d"},
    )


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (3 * 10**15, "3000.0 TB")]
)
def test_sizes(size: int, text: str) -> None:
    assert human.size(size) == text


# With real registries, an engine, and skopeo


@pytest.mark.rig
def test_through_two_registries_and_back(
    tmp_path: Path, docker_registry: DockerRegistry, ggcr_registry: GgcrRegistry
) -> None:
    images.publish(tmp_path / "a", BOTH, "v1")
    hosts = [registry.host for registry in (docker_registry, ggcr_registry)]
    one, two = (RegistryReference(host, "test-copy/app", "v1") for host in hosts)
    with Registries() as registries:
        copy(LayoutReference(f"{tmp_path}/a"), one, registries)
        copy(one, two, registries)
        copy(two, LayoutReference(f"{tmp_path}/b", "v1"), registries)
    reader = LayoutSource(LayoutReference(f"{tmp_path}/b", "v1"))
    assert [reader.document(d.digest).raw for d in BOTH.documents] == [d.raw for d in BOTH.documents]
    assert all(images.read(reader, part) == BOTH.blobs[part.digest] for part in BOTH.parts)


@pytest.mark.rig
def test_within_a_registry_blobs_are_mounted(tmp_path: Path, docker_registry: DockerRegistry) -> None:
    images.publish(tmp_path / "a", AMD, "v1")
    one, two = (RegistryReference(docker_registry.host, f"test-copy/{name}", "v1") for name in ("one", "two"))
    with Registries() as registries:
        copy(LayoutReference(f"{tmp_path}/a"), one, registries)
        assert set(copy(one, two, registries).receipt.actions.values()) == {Action.MOUNT}


@pytest.mark.rig
def test_an_image_of_the_engine_becomes_a_layout(
    tmp_path: Path, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, podman: Podman
) -> None:
    for name, value in docker_engine.env.items():
        monkeypatch.setenv(name, value)
    images.publish(tmp_path / "a", BOTH, "v1")
    daemon = parse_reference("docker-daemon:test-copy/app:v1")
    copy(LayoutReference(f"{tmp_path}/a"), daemon, never, platforms=(AMD64,))
    copy(daemon, LayoutReference(f"{tmp_path}/b"), never)
    assert image_at(f"oci:{tmp_path}/b:v1").config.digest == AMD.manifest.config.digest
    found = json.loads(podman.skopeo("inspect", "--config", f"oci:{tmp_path}/b:v1").stdout)
    assert canonical.dump(found["rootfs"]["diff_ids"]) == canonical.dump([BASE.diff_id, AMD_CODE])
    docker_engine.docker("rmi", "--force", "test-copy/app:v1")


AMD_CODE = images.layer({"hello": b"amd"}).diff_id
