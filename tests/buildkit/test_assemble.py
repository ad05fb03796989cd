"""The image of a commit: config, manifest and index from values alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildkit.assemble import BuiltImage, BuiltLayer, image, index
from buildkit.bases.base import Base
from buildkit.config.values import Holds, Overrides
from buildkit.git.commit import Commit
from buildkit.image import canonical, media
from buildkit.image.annotations import (
    BASE_DIGEST,
    BASE_NAME,
    LAYER_DIFF_ID,
    LAYER_KEY,
    LAYER_NAME,
    REVISION,
    VARIANT,
)
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform
from buildkit.image.reference import parse_reference
from buildkit.layers.layer import Written

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
COMMIT = Commit("c" * 40, "e" * 40, ("d" * 40,), 1_700_000_000)
BASE_LAYER, CODE_LAYER = Digest.of(b"base"), Digest.of(b"code")
LAYER = BuiltLayer("light-07", Digest.of(b"key"), Written(CODE_LAYER, Digest.of(b"diff"), 77))


def base(platform: Platform = AMD64, **runtime: Any) -> Base:
    fields = {
        **platform.to_json(), "created": "2020-01-01T00:00:00Z", "config": runtime, "foreign": {"kept": True},
        "rootfs": {"type": "layers", "diff_ids": [BASE_LAYER]}, "history": [{"created_by": "debootstrap"}],
    }  # fmt: skip
    layers = (Descriptor(media.DOCKER_LAYER_GZIP, BASE_LAYER, 5),)
    reference = parse_reference("registry.example/base:1")
    return Base(
        reference,
        "registry.example/base:1",
        Digest.of(b"index"),
        layers,
        ImageConfig(canonical.dump(fields)),
        platform,
        None,
    )


def built(found: Base | None = None, holds: Holds = Holds()) -> BuiltImage:  # noqa: B008
    return image(found or base(), [LAYER], COMMIT, holds)


def runtime(holds: Holds = Holds(), **inherited: Any) -> dict[str, Any]:  # noqa: B008
    return dict(built(base(**inherited), holds).config.runtime)


def test_the_manifest_names_base_and_code_in_order_and_all_in_oci_terms() -> None:
    manifest = built().manifest
    assert [layer.digest for layer in manifest.layers] == [BASE_LAYER, CODE_LAYER]
    assert {layer.media_type for layer in manifest.layers} == {media.OCI_LAYER_GZIP}
    assert manifest.layers[1].annotations == {
        LAYER_NAME: "light-07", LAYER_KEY: Digest.of(b"key"), LAYER_DIFF_ID: Digest.of(b"diff"),
    }  # fmt: skip
    assert manifest.config.digest == built().config.descriptor.digest


def test_the_config_counts_its_layers_and_keeps_what_is_foreign() -> None:
    fields = built().config.fields
    assert fields["rootfs"]["diff_ids"] == [BASE_LAYER, Digest.of(b"diff")]
    assert [entry["created_by"] for entry in fields["history"]] == [
        "debootstrap", f"treeship layer light-07 {Digest.of(b'key')}",
    ]  # fmt: skip
    assert (fields["created"], fields["os"], fields["architecture"]) == (
        "2023-11-14T22:13:20Z",
        "linux",
        "amd64",
    )
    assert fields["foreign"] == {"kept": True}


def test_equal_inputs_give_equal_bytes() -> None:
    assert built().manifest.raw == built().manifest.raw
    holds = Holds(labels={"b": "1", "a": "2"}, environment={"Z": "1", "A": "2"})
    turned = Holds(labels={"a": "2", "b": "1"}, environment={"Z": "1", "A": "2"})
    assert built(holds=holds).manifest.raw == built(holds=turned).manifest.raw


def test_annotations_say_where_the_image_is_from_and_stand_as_labels_too() -> None:
    holds = Holds(source="https://git.example/r", version="1.2", variants={"devbox": Overrides()}).variant(
        "devbox"
    )
    annotations = built(holds=holds).manifest.annotations
    assert annotations == {
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        REVISION: "c" * 40,
        "org.opencontainers.image.source": "https://git.example/r",
        "org.opencontainers.image.version": "1.2",
        BASE_NAME: "registry.example/base:1",
        BASE_DIGEST: Digest.of(b"index"),
        VARIANT: "devbox",
    }
    assert runtime(holds)["Labels"] == annotations


def test_what_is_empty_is_left_out() -> None:
    scratch = Base(parse_reference("scratch"), "scratch", None, (), ImageConfig.scratch(AMD64), AMD64, None)
    annotations = built(scratch).manifest.annotations
    assert "org.opencontainers.image.source" not in annotations
    assert BASE_DIGEST not in annotations
    assert annotations["org.opencontainers.image.version"] == "c" * 12


def test_labels_that_describe_the_base_do_not_describe_the_image() -> None:
    labels = runtime(
        Holds(labels={"team": "ours"}),
        Labels={
            "org.opencontainers.image.title": "Debian",
            REVISION: "base's",
            "dev.treeship.x": "1",
            "team": "theirs",
            "kept": "yes",
        },
    )["Labels"]
    assert "org.opencontainers.image.title" not in labels
    assert "dev.treeship.x" not in labels
    assert (labels[REVISION], labels["team"], labels["kept"]) == ("c" * 40, "ours", "yes")


@pytest.mark.parametrize(
    ("holds", "expected"),
    [
        (Holds(), {"Entrypoint": ["/base"], "Cmd": ["-c"]}),
        (Holds(entrypoint=("python",)), {"Entrypoint": ["python"]}),
        (Holds(entrypoint=("python",), cmd=("x.py",)), {"Entrypoint": ["python"], "Cmd": ["x.py"]}),
        (Holds(cmd=("x",)), {"Entrypoint": ["/base"], "Cmd": ["x"]}),
        (Holds(entrypoint=()), {}),
        (Holds(cmd=()), {"Entrypoint": ["/base"]}),
    ],
)
def test_an_entry_point_takes_the_arguments_of_the_base_s_away(
    holds: Holds, expected: dict[str, Any]
) -> None:
    found = runtime(holds, Entrypoint=["/base"], Cmd=["-c"])
    assert {key: found[key] for key in ("Entrypoint", "Cmd") if key in found} == expected


def test_variables_keep_the_order_of_the_base_with_ours_in_place_or_behind() -> None:
    holds = Holds(
        pythonpath=("/app", "/app/lib"), path=("/app/bin",), environment={"B": "ours", "NEW": "a=b"}
    )
    found = runtime(holds, Env=["PATH=/usr/bin", "A=1", "B=2", "EMPTY=", "ODD"])
    assert found["Env"] == [
        "PATH=/app/bin:/usr/bin",
        "A=1",
        "B=ours",
        "EMPTY=",
        "ODD=",
        "PYTHONPATH=/app:/app/lib",
        "NEW=a=b",
    ]


def test_a_base_without_path_gets_the_usual_one_behind_ours() -> None:
    (path,) = (item for item in runtime(Holds(path=("/app/bin",)))["Env"] if item.startswith("PATH="))
    assert path.startswith("PATH=/app/bin:/usr/local/sbin:")
    assert not any(item.startswith("PATH=") for item in runtime()["Env"])


def test_user_and_folder_are_ours_where_we_say_so_and_the_rest_is_the_base_s() -> None:
    found = runtime(
        Holds(user="1000:1000"), User="root", WorkingDir="/", StopSignal="SIGINT", Volumes={"/data": {}}
    )
    assert (found["User"], found["WorkingDir"], found["StopSignal"]) == ("1000:1000", "/app", "SIGINT")
    assert found["Volumes"] == {"/data": {}}
    assert runtime(User="app")["User"] == "app"


@pytest.mark.parametrize("inherited", [{"Env": None, "Labels": None}, {}])
def test_a_base_that_says_nothing_is_fine(inherited: dict[str, Any]) -> None:
    assert runtime(**inherited)["Env"] == ["PYTHONPATH=/app"]


def test_an_index_names_each_platform_once() -> None:
    images = [built(base(AMD64)), built(base(ARM64))]
    found = index(images, COMMIT, Holds())
    assert [(str(platform), entry.digest) for platform, entry in found.images()] == [
        ("linux/amd64", images[0].manifest.digest), ("linux/arm64", images[1].manifest.digest),
    ]  # fmt: skip
    assert json.loads(found.raw)["annotations"][REVISION] == "c" * 40


def test_another_commit_with_the_same_tree_has_the_same_layers() -> None:
    other = image(base(), [LAYER], COMMIT._replace(oid="f" * 40, seconds=1_800_000_000), Holds())
    assert other.manifest.layers == built().manifest.layers
    assert other.config.diff_ids == built().config.diff_ids
    assert other.manifest.digest != built().manifest.digest
