"""Descriptors, manifests, indexes and configs: views that lose nothing, and refuse what is malformed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import CorruptContent, NotFound, TreeshipError
from buildkit.image import canonical, media
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.image.config import AddedLayer, ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Index, Manifest, parse_document
from buildkit.image.platform import Platform

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
AMD64 = Platform("linux", "amd64")


def descriptor(media_type: str = media.OCI_LAYER_GZIP, digest: str = ONE, **other: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": 3, **other}


def config_of(**fields: Any) -> ImageConfig:
    return ImageConfig(canonical.dump({"rootfs": {"type": "layers", "diff_ids": []}, **fields}))


# Canonical JSON


def test_equal_values_have_equal_bytes_whatever_their_order() -> None:
    assert canonical.dump({"b": [1, {"d": None, "c": True}], "a": "é<>&"}) == (
        '{"a":"é<>&","b":[1,{"c":true,"d":null}]}'.encode()
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_canonical_json_is_json(value: dict[str, Any]) -> None:
    try:
        raw = canonical.dump(value)
    except CorruptContent:
        assert any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(value, ensure_ascii=False))
        return
    assert canonical.load_object(raw, "it") == value
    assert canonical.dump(canonical.load_object(raw, "it")) == raw


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{", b"{}x", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"\0",
     b" " * (DOCUMENT_LIMIT + 1)],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_json_object_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptContent, match="it"):
        canonical.load_object(raw, "it")
    for parse in (ImageConfig, Manifest, Index, lambda raw: parse_document(raw, "")):
        with pytest.raises(CorruptContent):
            parse(raw)


@pytest.mark.parametrize("text", ['"\\ud800"', "NaN", "-Infinity", "[" * 600 + "]" * 600])
def test_what_cannot_be_written_again_is_corrupt_content_of_the_base(text: str) -> None:
    raw = b'{"x":%s,"rootfs":{"diff_ids":[]}}' % text.encode()
    try:
        config = ImageConfig(raw)
        extended = config.extend(platform=AMD64, created="2026-01-01T00:00:00Z", layers=[], runtime={})
        assert b'"x":[[' in extended.raw  # deep, and still within what can be written
    except CorruptContent:
        pass


# Descriptors


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["urls", "data", "artifactType", "x"]), json_values, max_size=3),
)
def test_a_descriptor_carries_what_it_does_not_know(
    annotations: dict[str, str], other: dict[str, Any]
) -> None:
    fields = {**other, **descriptor(annotations=annotations, platform={"os": "linux", "os.features": ["x"]})}
    assert Descriptor.from_json(fields, "it").to_json() == fields


@pytest.mark.parametrize(
    "value",
    [None, [], "x", {}, descriptor(digest="sha256:12"), descriptor(digest="sha512:" + "a" * 128),
     {**descriptor(), "size": -1}, {**descriptor(), "size": True}, {**descriptor(), "size": 1.0},
     {**descriptor(), "size": "1"}, {**descriptor(), "mediaType": 1}, {**descriptor(), "annotations": {"a": 1}},
     {**descriptor(), "annotations": [1]}, {**descriptor(), "platform": "linux"}, {"mediaType": "x", "size": 1}],
)  # fmt: skip
def test_a_malformed_descriptor_is_corrupt(value: object) -> None:
    with pytest.raises(CorruptContent, match="the thing"):
        Descriptor.from_json(value, "the thing")


# Manifests and indexes


def test_a_manifest_keeps_the_bytes_that_came() -> None:
    raw = json.dumps(
        {"schemaVersion": 2, "layers": [descriptor()], "config": descriptor(media.OCI_CONFIG), "foreign": 1},
        indent=3,
    ).encode()
    manifest = Manifest(raw)
    assert manifest.raw == raw
    assert manifest.digest == Digest.of(raw)
    assert manifest.descriptor == Descriptor(media.OCI_MANIFEST, Digest.of(raw), len(raw))
    assert manifest.layers == (Descriptor(media.OCI_LAYER_GZIP, ONE, 3),)


def test_what_is_built_is_oci_from_top_to_bottom() -> None:
    built = Manifest.build(
        Descriptor(media.DOCKER_CONFIG, ONE, 3),
        [
            Descriptor(media.DOCKER_LAYER_GZIP, TWO, 3, {"kept": "yes"}, None, {"urls": ["u"]}),
            Descriptor(media.DOCKER_FOREIGN_LAYER_GZIP, TWO, 3),
            Descriptor(media.OCI_LAYER_ZSTD, TWO, 3),
            Descriptor("application/x-own", TWO, 3),
        ],
        {"a": "b"},
    )
    fields = json.loads(built.raw)
    assert fields["mediaType"] == media.OCI_MANIFEST
    assert fields["config"]["mediaType"] == media.OCI_CONFIG
    assert [layer["mediaType"] for layer in fields["layers"]] == [
        media.OCI_LAYER_GZIP, media.OCI_FOREIGN_LAYER_GZIP, media.OCI_LAYER_ZSTD, "application/x-own",
    ]  # fmt: skip
    assert fields["layers"][0]["annotations"] == {"kept": "yes"}
    assert fields["layers"][0]["urls"] == ["u"]
    assert fields["annotations"] == built.annotations == {"a": "b"}
    assert b"docker" not in built.raw


@pytest.mark.parametrize(
    ("docker", "oci"),
    [
        (media.DOCKER_MANIFEST, media.OCI_MANIFEST),
        (media.DOCKER_INDEX, media.OCI_INDEX),
        (media.DOCKER_CONFIG, media.OCI_CONFIG),
        (media.DOCKER_LAYER, media.OCI_LAYER),
        (media.DOCKER_LAYER_GZIP, media.OCI_LAYER_GZIP),
        (media.DOCKER_FOREIGN_LAYER_GZIP, media.OCI_FOREIGN_LAYER_GZIP),
    ],
)
def test_every_docker_type_has_its_oci_name(docker: str, oci: str) -> None:
    assert media.to_oci(docker) == media.to_oci(oci) == oci


def image_fields(**more: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "config": descriptor(), "layers": [], **more}


@pytest.mark.parametrize(
    ("fields", "given", "kind"),
    [
        (image_fields(), "", Manifest),
        (image_fields(), "application/octet-stream", Manifest),
        (image_fields(mediaType=media.DOCKER_MANIFEST), "", Manifest),
        (image_fields(), media.OCI_MANIFEST + "; charset=utf-8", Manifest),
        ({"manifests": []}, "", Index),
        ({"manifests": [], "mediaType": media.DOCKER_INDEX}, media.OCI_MANIFEST, Index),
        ({"manifests": []}, media.DOCKER_INDEX, Index),
    ],
)
def test_the_kind_of_a_document(fields: dict[str, Any], given: str, kind: type) -> None:
    document = parse_document(canonical.dump(fields), given)
    assert type(document) is kind
    assert document.media_type in media.DOCUMENTS


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"mediaType": media.OCI_MANIFEST},
        {"mediaType": media.OCI_INDEX},
        {"mediaType": "text/plain"},
        {"mediaType": ["x"], "layers": []},
        {"mediaType": {"a": 1}, "manifests": []},
        image_fields(config=None),
        image_fields(layers={}),
        image_fields(layers=[1]),
        image_fields(annotations={"a": 1}),
        image_fields(manifests=[]),
        {"manifests": [], "layers": [], "mediaType": media.OCI_INDEX},
        {"manifests": {}},
        {
            "schemaVersion": 1,
            "fsLayers": [],
            "mediaType": "application/vnd.docker.distribution.manifest.v1+json",
        },
    ],
)
def test_a_document_of_no_kind_or_of_two_is_corrupt(fields: dict[str, Any]) -> None:
    with pytest.raises(CorruptContent):
        parse_document(canonical.dump(fields), "")


descriptor_like = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": json_values | st.sampled_from(media.DOCUMENTS),
        "digest": json_values | st.just(ONE) | st.just("sha256:x"),
        "size": json_values | st.integers(0, 10),
        "platform": json_values | st.fixed_dictionaries({"os": json_values, "architecture": json_values}),
        "annotations": json_values,
    },
)
document_like = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": json_values | st.sampled_from(media.DOCUMENTS),
        "config": json_values | descriptor_like | st.just(descriptor()),
        "layers": json_values | st.lists(descriptor_like, max_size=2),
        "manifests": json_values | st.lists(descriptor_like, max_size=2),
        "annotations": json_values,
    },
)
config_like: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"rootfs": json_values | st.just({"diff_ids": []}) | st.just({"diff_ids": [ONE]}) | st.just({"diff_ids": ["x"]})},
    optional={
        "config": json_values | st.fixed_dictionaries({}, optional={"Env": json_values, "Labels": json_values}),
        "history": json_values | st.lists(st.fixed_dictionaries({}, optional={"empty_layer": json_values}), max_size=2),
        "os": json_values, "architecture": json_values, "variant": json_values,
    },
)  # fmt: skip


@given(document_like, st.sampled_from(["", *media.DOCUMENTS]))
def test_any_json_is_a_document_or_corrupt(value: Any, media_type: str) -> None:
    raw = json.dumps(value).encode()
    try:
        document = parse_document(raw, media_type)
    except CorruptContent:
        return
    assert document.raw == raw
    if isinstance(document, Index):
        document.images()
        try:
            assert document.select(AMD64) in document.manifests
        except NotFound:
            pass


@given(config_like)
def test_any_json_is_a_config_or_corrupt(value: Any) -> None:
    try:
        config = ImageConfig(json.dumps(value).encode())
        runtime = {**config.runtime, "Env": list(config.runtime.get("Env") or [])}
        layer = AddedLayer(TWO, "x")
        made = config.extend(platform=AMD64, created="2026-01-01T00:00:00Z", layers=[layer], runtime=runtime)
    except CorruptContent:
        return
    assert all(isinstance(word, str) for word in config.platform)
    assert made.diff_ids == (*config.diff_ids, TWO)


# Choosing from an index


def index_of(*platforms: str | None, **annotations: str) -> Index:
    entries = []
    for number, text in enumerate(platforms):
        words = dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False)) if text else None
        entries.append(Descriptor(media.OCI_MANIFEST, Digest.of(b"%d" % number), number, annotations, words))
    return Index.build(entries, {})


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64/v1"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v3"], 1),
        ("linux/arm64", ["windows/arm64", "linux/arm64/v8"], 1),
        ("linux/arm64/v8", ["linux/arm64"], 0),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm/v8"], 2),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], 1),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm"], 1),
        ("linux/arm", ["linux/arm/v5", "linux/arm/v7"], 1),
        ("linux/amd64", ["unknown/unknown", None, "linux/amd64"], 2),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
    ],
)
def test_the_best_image_for_a_platform(wanted: str, offered: list[str | None], chosen: int) -> None:
    index = index_of(*offered)
    assert index.select(Platform.parse(wanted)) == index.manifests[chosen]


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [
        ("linux/arm/v6", ["linux/arm/v7"]),
        ("linux/arm/v5", ["linux/arm64"]),
        ("windows/amd64", ["linux/amd64"]),
        ("linux/amd64", ["unknown/unknown", None]),
        ("linux/amd64", []),
        ("linux/riscv64/odd", ["linux/riscv64/other"]),
    ],
)
def test_an_index_without_an_image_for_a_platform_says_what_it_has(
    wanted: str, offered: list[str | None]
) -> None:
    with pytest.raises(NotFound, match="it offers"):
        index_of(*offered).select(Platform.parse(wanted))


def test_attestations_are_no_images() -> None:
    index = index_of(
        "linux/amd64", "unknown/unknown", **{"vnd.docker.reference.type": "attestation-manifest"}
    )
    assert [str(platform) for platform, _ in index.images()] == ["linux/amd64"]


# Configs


def test_a_config_keeps_every_field_it_does_not_know() -> None:
    base = config_of(
        os="linux", architecture="amd64", **{"os.features": ["x"]}, author="them", docker_version="1",
        container="abc", container_config={"Cmd": ["x"]}, foreign={"deep": [1, 2.5, None]},
    )  # fmt: skip
    runtime = {"Healthcheck": {"Test": ["NONE"]}, "OnBuild": None, "Shell": ["/bin/sh"]}
    made = base.extend(platform=AMD64, created="2026-01-01T00:00:00Z", layers=[], runtime=runtime)
    assert {key: made.fields[key] for key in ("os.features", "author", "docker_version", "foreign")} == {
        "os.features": ["x"], "author": "them", "docker_version": "1", "foreign": {"deep": [1, 2.5, None]},
    }  # fmt: skip
    assert made.runtime == runtime
    assert "container" not in made.fields
    assert "container_config" not in made.fields
    assert base.fields["container"] == "abc"
    assert made.raw == canonical.dump(made.fields)


def test_layers_are_added_with_their_history() -> None:
    history = [{"created_by": "one"}, {"created_by": "ENV", "empty_layer": True}]
    base = config_of(rootfs={"type": "layers", "diff_ids": [ONE]}, history=history)
    made = base.extend(
        platform=AMD64, created="2026-01-01T00:00:00Z", layers=[AddedLayer(TWO, "us")], runtime={}
    )
    assert made.diff_ids == (ONE, TWO)
    assert made.fields["history"] == [
        *history, {"created": "2026-01-01T00:00:00Z", "created_by": "us", "comment": "treeship"},
    ]  # fmt: skip
    assert base.fields["history"] == history


@pytest.mark.parametrize("history", [None, [], [{"created_by": "a"}] * 3, [{"empty_layer": True}]])
def test_a_history_that_does_not_count_the_layers_is_completed(history: Any) -> None:
    base = config_of(rootfs={"diff_ids": [ONE, TWO]}, history=history)
    made = base.extend(
        platform=AMD64, created="2026-01-01T00:00:00Z", layers=[AddedLayer(TWO, "us")], runtime={}
    )
    assert sum(not entry.get("empty_layer") for entry in made.fields["history"]) == len(made.diff_ids) == 3


def test_platform_and_time_are_always_there() -> None:
    made = config_of().extend(
        platform=Platform("linux", "arm", "v7"), created="2026-01-01T00:00:00Z", layers=[], runtime={}
    )
    assert [made.fields[key] for key in ("os", "architecture", "variant", "created")] == [
        "linux", "arm", "v7", "2026-01-01T00:00:00Z",
    ]  # fmt: skip
    assert made.platform == Platform("linux", "arm", "v7")


def test_an_empty_base_has_a_config_too() -> None:
    scratch = ImageConfig.scratch(AMD64)
    assert scratch.fields == {
        "os": "linux",
        "architecture": "amd64",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
    }


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"rootfs":[]}', b'{"rootfs":{"diff_ids":["x"]}}', b'{"rootfs":{"diff_ids":[1]}}']
)
def test_a_config_without_diff_ids_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptContent):
        ImageConfig(raw)


@pytest.mark.parametrize(
    "config", [[1], {"Env": "A=b"}, {"Env": [1]}, {"Labels": ["a"]}, {"Labels": {"a": 1}}]
)
def test_a_malformed_runtime_is_corrupt(config: Any) -> None:
    with pytest.raises(CorruptContent):
        _ = config_of(config=config).runtime


def test_errors_are_of_the_one_tree() -> None:
    assert issubclass(CorruptContent, TreeshipError)
    assert CorruptContent.exit_code == 2
