"""One image from one base to another: layers, history, types, and the equality with a build."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from buildkit import assemble
from buildkit.assemble import BuiltLayer
from buildkit.bases.base import Base
from buildkit.compare import Image
from buildkit.config.values import Holds
from buildkit.errors import CorruptContent, InvalidInput, Refused
from buildkit.git.commit import Commit
from buildkit.image import canonical, media
from buildkit.image.config import ImageConfig
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Manifest
from buildkit.image.platform import Platform
from buildkit.image.reference import parse_reference
from buildkit.layers.layer import Written
from buildkit.rebase.swap import swap

AMD64 = Platform("linux", "amd64")
COMMIT = Commit("c" * 40, "e" * 40, (), 1_700_000_000)
CODE = [BuiltLayer(f"light-{n:02d}", Digest.of(b"k%d" % n), Written(Digest.of(b"c%d" % n), Digest.of(b"d%d" % n), 7))
        for n in range(3)]  # fmt: skip
EMPTY = {"created_by": "CMD", "empty_layer": True}


def base(name: str, *layers: str, docker: bool = False, **fields: Any) -> Base:
    """A base in which a layer's name stands for what it holds; `fields` of its config."""
    kind = media.DOCKER_LAYER_GZIP if docker else media.OCI_LAYER_GZIP
    config = {
        **AMD64.to_json(), "created": "2020-01-01T00:00:00Z", "config": {"Env": [f"BASE={name}"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(b"diff " + layer.encode()) for layer in layers]},
        "history": [{"created_by": layer} for layer in layers], **fields,
    }  # fmt: skip
    return Base(
        parse_reference(f"registry.example/{name}:1"), f"registry.example/{name}:1", Digest.of(name.encode()),
        tuple(Descriptor(kind, Digest.of(layer.encode()), 5) for layer in layers),
        ImageConfig(canonical.dump(config)), AMD64, None,
    )  # fmt: skip


def built(on: Base, holds: Holds | None = None) -> Image:
    made = assemble.image(on, CODE, COMMIT, holds or Holds())
    return Image(made.manifest, made.config)


def swapped(image: Image, old: Base, new: Base) -> Image:
    return swap(image, old, new, most_layers=125).image


OLD = base("old", "one", "two")
NEW = base("new", "three", "four", "five")

WORDS = st.sampled_from(["a", "b", "c"])
HOLDS = st.builds(
    Holds,
    pythonpath=st.sampled_from([(), ("/app",), ("/app/src", "/app")]),
    path=st.sampled_from([(), ("/app/bin",)]),
    environment=st.dictionaries(st.sampled_from(["MINE", "BASE"]), st.sampled_from(["1", "2"])),
    labels=st.dictionaries(st.sampled_from(["team", "mine"]), WORDS),
    user=st.sampled_from(["", "me"]),
    entrypoint=st.none() | st.just(()) | st.just(("run",)),
    cmd=st.none() | st.just(()) | st.just(("now",)),
)
RUNTIME = st.fixed_dictionaries(
    {"Env": st.permutations(["PATH=/usr/bin", "LANG=C", "TZ=UTC"]).flatmap(
        lambda items: st.integers(0, 3).map(lambda count: items[:count]))},
    optional={
        "Labels": st.dictionaries(st.sampled_from(["vendor", "org.opencontainers.image.title"]), WORDS),
        "User": st.sampled_from(["root", "app"]), "Cmd": st.sampled_from([["sh"], ["bash"], None]),
        "Entrypoint": st.sampled_from([["init"], [], None]), "Volumes": st.just({"/data": {}}), "OnBuild": st.just([]),
        "Healthcheck": st.sampled_from([{"Test": ["NONE"]}, {"Test": ["CMD", "x"]}]),
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(holds=HOLDS, before=RUNTIME, after=RUNTIME)
def test_it_is_a_build_of_the_commit_on_the_new_base(
    holds: Holds, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Byte for byte, whatever the settings and bases say, but for settings that say what the old base said.

    And the order of variables is another, where the commit sets one that one base alone has.
    """
    has_path = ["PATH=/usr/bin" in runtime["Env"] for runtime in (before, after)]
    assume(not holds.path or has_path[0] == has_path[1])
    assume(not says_it_again(holds, before))
    old, new = base("old", "one", config=before), base("new", "two", "three", config=after)
    image = built(old, holds)
    there = swapped(image, old, new)
    assert there.manifest.raw == built(new, holds).manifest.raw
    assert there.config.raw == built(new, holds).config.raw
    if not says_it_again(holds, after):
        assert swapped(there, new, old).manifest.digest == image.manifest.digest


def says_it_again(holds: Holds, runtime: dict[str, Any]) -> bool:
    """Whether the settings take something out that the base has not."""
    cmd = holds.cmd == () and holds.entrypoint is None and not runtime.get("Cmd")
    return cmd or (holds.entrypoint == () and not runtime.get("Entrypoint"))


def test_what_a_build_would_set_again_is_taken_for_the_bases() -> None:
    """The one difference to a build that no merge can see: settings that say what the old base said anyway."""
    old, new = base("old", "one", config={"User": "app"}), base("new", "two", config={"User": "root"})
    holds = Holds(user="app")
    assert swapped(built(old, holds), old, new).config.runtime["User"] == "root"
    assert built(new, holds).config.runtime["User"] == "app"


def test_the_layers_of_the_image_keep_their_descriptors() -> None:
    image = built(OLD)
    layers = swapped(image, OLD, NEW).manifest.layers
    assert layers[:3] == NEW.layers
    assert layers[3:] == image.manifest.layers[2:]
    assert swapped(image, OLD, NEW).config.diff_ids == (*NEW.config.diff_ids, *image.config.diff_ids[2:])


def test_scratch_is_a_base_like_others() -> None:
    scratch = Base(parse_reference("scratch"), "scratch", None, (), ImageConfig.scratch(AMD64), AMD64, None)
    assert swapped(built(scratch), scratch, NEW).manifest.raw == built(NEW).manifest.raw
    assert swapped(built(NEW), NEW, scratch).manifest.raw == built(scratch).manifest.raw


def test_types_are_ocis_whatever_the_bases_are() -> None:
    """Never a mixture."""
    docker = base("docker", "one", "two", docker=True)
    for old, new in ((docker, NEW), (OLD, docker)):
        manifest = swapped(built(old), old, new).manifest
        assert b"vnd.docker" not in manifest.raw
        assert manifest.raw == built(new).manifest.raw


def test_what_else_a_manifest_says_is_carried() -> None:
    image = built(OLD)
    fields = canonical.load_object(image.manifest.raw, "it") | {"artifactType": "application/x"}
    fields["annotations"] = {"mine": "yes"}
    found = swapped(Image(Manifest(canonical.dump(fields)), image.config), OLD, NEW).manifest
    assert canonical.load_object(found.raw, "it")["artifactType"] == "application/x"
    assert set(found.annotations) == {
        "mine", "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest",
    }  # fmt: skip


def test_the_new_base_says_what_it_runs_on() -> None:
    new = base("new", "x", docker=False, **{"os.version": "10", "os.features": ["win32k"], "variant": "v3"})
    old = base("old", "one", docker=False, **{"os.version": "9"})
    fields = swapped(built(old), old, new).config.fields
    assert (fields["os.version"], fields["os.features"], fields["variant"]) == ("10", ["win32k"], "v3")
    assert "os.version" not in swapped(built(old), old, NEW).config.fields


# History


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD, base("new", "x", history=[EMPTY, {"created_by": "x"}, EMPTY])),
        (base("old", "one", history=[{"created_by": "one"}, EMPTY, EMPTY]), NEW),
        (base("old", "one", history=[]), base("new", "x", "y", history=[{"created_by": "only one"}])),
        (base("old", "one", history=[{"created_by": str(n)} for n in range(9)]), NEW),
        (base("old", history=[EMPTY]), NEW),
    ],
)
def test_history_is_the_new_bases_and_then_the_images_own(old: Base, new: Base) -> None:
    """As a build has it, for bases whose history is short, long, absent, or full of what made no layer."""
    found = swapped(built(old), old, new).config
    assert found.fields["history"] == built(new).config.fields["history"]
    assert sum(not entry.get("empty_layer") for entry in found.fields["history"]) == len(found.diff_ids)


def with_history(image: Image, history: object) -> Image:
    config = ImageConfig(canonical.dump({**image.config.fields, "history": history}))
    fields = canonical.load_object(image.manifest.raw, "it") | {"config": config.descriptor.to_json()}
    return Image(Manifest(canonical.dump(fields)), config)


def test_entries_of_an_image_without_layers_of_their_own_stay_in_their_places() -> None:
    own = [{"created_by": "a"}, EMPTY, {"created_by": "b"}, {"created_by": "c"}, EMPTY]
    told = [{"created_by": "another word"}, {"created_by": "two"}, *own]
    found = swapped(with_history(built(OLD), told), OLD, NEW).config.fields["history"]
    assert found == [*NEW.config.fields["history"], *own]


@pytest.mark.parametrize(
    "history", [[], None, [{"created_by": "one"}], [{"created_by": str(n)} for n in range(50)]]
)
def test_a_history_that_does_not_count_the_layers_is_completed(history: object) -> None:
    found = swapped(with_history(built(OLD), history), OLD, NEW).config.fields["history"]
    assert found == [*NEW.config.fields["history"], *[{"created_by": "history unknown"}] * 3]


@pytest.mark.parametrize("history", ["x", [1], {"a": 1}])
def test_a_history_that_is_none_is_corrupt(history: object) -> None:
    with pytest.raises(CorruptContent, match="history"):
        swapped(with_history(built(OLD), history), OLD, NEW)


# What does not stand there


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (base("other", "one", "other"), "layer 1 is sha256:"),
        (base("other", "two", "one"), "layer 0 is sha256:"),
        (base("other", "one", "two", "c0", "d", "e", "f"), "layer 2 is"),
        (
            OLD._replace(layers=(OLD.layers[0], OLD.layers[1]._replace(digest=Digest.of(b"zstd")))),
            "is packed as",
        ),
    ],
)
def test_an_image_that_does_not_stand_on_a_base_is_refused(other: Base, what: str) -> None:
    with pytest.raises(Refused, match=what):
        swapped(built(OLD), other, NEW)


def test_a_base_with_more_layers_than_the_image_is_refused() -> None:
    with pytest.raises(Refused, match="the base has 3 layers, the image 2"):
        swapped(
            Image(Manifest.build(OLD.config.descriptor, OLD.layers, {}), OLD.config),
            base("o", "one", "two", "x"),
            NEW,
        )


def test_an_image_that_contradicts_itself_is_corrupt() -> None:
    with pytest.raises(CorruptContent, match="2 layers, but 1 diff ids"):
        swapped(
            Image(Manifest.build(OLD.config.descriptor, OLD.layers, {}), base("x", "one").config), OLD, NEW
        )


def test_125_layers_are_the_most() -> None:
    tall = base("tall", *(str(number) for number in range(122)))
    assert len(swapped(built(OLD), OLD, tall).manifest.layers) == 125
    with pytest.raises(InvalidInput, match="123 layers and the image 3"):
        swapped(built(OLD), OLD, base("tall", *(str(number) for number in range(123))))


def test_an_image_without_a_date_gets_the_same_one_each_time() -> None:
    image = built(OLD)
    config = ImageConfig(canonical.dump({k: v for k, v in image.config.fields.items() if k != "created"}))
    assert swapped(Image(image.manifest, config), OLD, NEW).config.fields["created"] == "1970-01-01T00:00:00Z"
