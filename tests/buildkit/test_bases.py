"""Bases: only manifest and config are fetched, once, and checked before anything is built on them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from buildkit.bases.base import resolve
from buildkit.cache import Cache, NoCache
from buildkit.endpoints import Source
from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.image import canonical, media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.platform import Platform
from buildkit.image.reference import LayoutReference, RegistryReference, parse_reference
from buildkit.layout import LayoutSource
from tests.buildkit import images
from tests.buildkit.images import AMD64, ARM64

ONE = images.image(images.layer({"hello": b"one"}))
OTHER = images.image(images.layer({"hello": b"arm"}), platform=ARM64)
BOTH = images.index(ONE, OTHER)


class Counting:
    """A source that knows what was asked of it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.asked: list[str] = []

    def document(self, wanted: str | Digest = "") -> Document:
        self.asked.append(f"document {wanted}".strip())
        return self._source.document(wanted)

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        self.asked.append(f"blob {descriptor.media_type}")
        return self._source.blob(descriptor)


def source_of(folder: Path, made: images.Made, *, tag: str = "v1") -> tuple[LayoutReference, Counting]:
    reference = LayoutReference(str(images.publish(folder, made, tag)), tag)
    return reference, Counting(LayoutSource(reference))


def test_only_manifest_and_config_are_fetched_and_only_the_tag_is_asked_again(tmp_path: Path) -> None:
    reference, source = source_of(tmp_path / "base", ONE)
    cache = Cache(tmp_path / "cache")
    (base,) = resolve(reference, source, (), cache)
    assert base.config.raw == ONE.blobs[ONE.manifest.config.digest]
    assert base.layers == ONE.manifest.layers
    assert (base.digest, base.platform, base.name) == (ONE.target.digest, AMD64, "")
    assert source.asked == ["document", f"blob {media.OCI_CONFIG}"]
    source.asked.clear()
    (again,) = resolve(reference, source, (), cache)
    assert (again.config.raw, again.layers) == (base.config.raw, base.layers)
    assert source.asked == ["document"]


def test_a_base_by_digest_is_not_asked_for_at_all_the_second_time(tmp_path: Path) -> None:
    reference, source = source_of(tmp_path / "base", ONE)
    pinned, cache = reference._replace(tag="", digest=ONE.target.digest), Cache(tmp_path / "cache")
    (base,) = resolve(pinned, source, (AMD64,), cache)
    source.asked.clear()
    (again,) = resolve(pinned, source, (AMD64,), cache)
    assert (again.config.raw, again.layers) == (base.config.raw, base.layers)
    assert source.asked == []


def test_a_layer_is_opened_only_by_who_needs_it(tmp_path: Path) -> None:
    reference, source = source_of(tmp_path / "base", ONE)
    (base,) = resolve(reference, source, (), NoCache())
    (blob,) = base.blobs()
    source.asked.clear()
    with blob.open() as stream:
        assert stream.read() == ONE.blobs[blob.digest]
    assert source.asked == [f"blob {media.OCI_LAYER_GZIP}"]


def test_an_index_gives_a_base_for_each_platform(tmp_path: Path) -> None:
    reference, source = source_of(tmp_path / "base", BOTH)
    bases = resolve(reference, source, (ARM64, AMD64), NoCache())
    assert [base.platform for base in bases] == [ARM64, AMD64]
    assert [base.config.platform for base in bases] == [ARM64, AMD64]
    assert {base.digest for base in bases} == {BOTH.target.digest}
    with pytest.raises(NotFound, match="linux/s390x"):
        resolve(reference, source, (Platform("linux", "s390x"),), NoCache())


def test_of_an_index_this_machine_s_image_is_taken(tmp_path: Path) -> None:
    host = Platform.of_host()
    made = images.index(
        images.image(images.layer({"a": b"1"}), platform=Platform("linux", "s390x")),
        images.image(images.layer({"a": b"2"}), platform=host),
    )
    reference, source = source_of(tmp_path / "base", made)
    (base,) = resolve(reference, source, (), NoCache())
    assert base.platform == host


def test_an_image_for_one_platform_is_not_taken_for_another(tmp_path: Path) -> None:
    reference, source = source_of(tmp_path / "base", ONE)
    with pytest.raises(InvalidInput, match="linux/amd64, not for linux/arm64"):
        resolve(reference, source, (ARM64,), NoCache())
    with pytest.raises(InvalidInput, match="alone"):
        resolve(reference, source, (AMD64, Platform("linux", "amd64", "v2")), NoCache())


def test_scratch_needs_no_source() -> None:
    (host,) = resolve(parse_reference("scratch"), None, (), NoCache())
    assert (host.platform, host.layers, host.digest, host.name, host.blobs()) == (
        Platform.of_host(),
        (),
        None,
        "scratch",
        (),
    )
    assert [
        base.platform for base in resolve(parse_reference("scratch"), None, (ARM64, AMD64), NoCache())
    ] == [ARM64, AMD64]


def test_a_registry_s_base_can_be_mounted_and_is_named_without_its_digest(tmp_path: Path) -> None:
    _, source = source_of(tmp_path / "base", ONE)
    reference = parse_reference(f"registry.example/team/base:1@{ONE.target.digest}")
    assert isinstance(reference, RegistryReference)
    (base,) = resolve(reference, source, (), NoCache())
    assert base.name == "registry.example/team/base:1"
    assert [blob.origin for blob in base.blobs()] == [("registry.example", "team/base")]


class Fixed:
    """A source of one document and its config."""

    def __init__(self, document: Document, config: bytes = b"") -> None:
        self._document = document
        self._config = config

    def document(self, wanted: str | Digest = "") -> Document:
        return self._document

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        return io.BytesIO(self._config)


def base_with(layers: int, **fields: Any) -> Fixed:
    raw = canonical.dump(
        {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [Digest.of(b"x")]}, **fields}
    )
    parts = [Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"l"), 3)] * layers
    return Fixed(Manifest.build(Descriptor.of(raw, media.OCI_CONFIG), parts, {}), raw)


REFERENCE = parse_reference("registry.example/base:1")


def test_a_base_whose_config_does_not_count_its_layers_is_corrupt() -> None:
    resolve(REFERENCE, base_with(1), (), NoCache())
    with pytest.raises(CorruptContent, match="2 layers, but 1 diff ids"):
        resolve(REFERENCE, base_with(2), (), NoCache())


@pytest.mark.parametrize(
    "fields", [{"os": ""}, {"architecture": ""}, {"architecture": None}, {"os": {"a": 1}}]
)
def test_a_base_without_platform_is_refused_with_the_reason(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="names no operating system"):
        resolve(REFERENCE, base_with(1, **fields), (), NoCache())


def test_a_config_of_a_gigabyte_is_not_fetched() -> None:
    huge = Manifest.build(Descriptor(media.OCI_CONFIG, Digest.of(b""), 1 << 30), [], {})
    with pytest.raises(CorruptContent, match="1073741824 bytes"):
        resolve(REFERENCE, Fixed(huge), (), NoCache())


def test_an_index_within_an_index_is_refused() -> None:
    inner = Index.build([], {})
    entry = inner.descriptor._replace(platform=AMD64.to_json())
    outer = Index.build([entry], {})

    class Nested(Fixed):
        def document(self, wanted: str | Digest = "") -> Document:
            return inner if wanted else outer

    with pytest.raises(CorruptContent, match="index within an index"):
        resolve(REFERENCE, Nested(outer), (AMD64,), NoCache())


def test_a_base_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    reference, source = source_of(tmp_path / "base", ONE)
    gone = LayoutReference(reference.directory, "v2")
    with pytest.raises(NotFound):
        resolve(gone, LayoutSource(gone), (), NoCache())
    with pytest.raises(NotFound):
        resolve(reference._replace(digest=Digest.of(b"gone")), source, (), NoCache())
