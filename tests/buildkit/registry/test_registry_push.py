"""Pushing to a registry that behaves: which requests are made, in which order, and which are not."""

from __future__ import annotations

import io

import pytest

from buildkit.endpoints import Action, Blob, Publication, Traffic
from buildkit.errors import NotFound
from buildkit.image import media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Index, Manifest
from buildkit.testing.registry import InProcessRegistry
from tests.buildkit.registry.support import (
    IMAGE,
    ONE,
    TWO,
    Client,
    Counting,
    Serve,
    at,
    blob,
    config,
    pulled,
    work,
)

PUSH, MOUNT, REUSE = Action.PUSH, Action.MOUNT, Action.REUSE
ONE_BLOB = ["HEAD blob", "POST uploads", "PUT upload"]


def test_a_first_push_sends_everything_and_can_be_pulled(client: Client, registry: InProcessRegistry) -> None:
    receipt = client().sink(at(registry.host)).publish(IMAGE)

    assert set(receipt.actions.values()) == {PUSH}
    assert pulled(client(), at(registry.host))[1:] == [ONE, TWO]


def test_one_changed_layer_costs_a_look_two_uploads_and_the_manifest(
    client: Client, registry: InProcessRegistry
) -> None:
    sink = client(parallel=1).sink(at(registry.host))
    sink.publish(IMAGE)
    registry.log.clear()
    changed = work(blob(ONE), blob(b"changed"), tags=("v2",), text="new")

    sink.publish(changed._replace(present=frozenset({IMAGE.blobs[0].digest})))

    assert registry.verbs() == [*ONE_BLOB, *ONE_BLOB, "PUT manifest"]


def test_the_same_image_again_costs_one_request(client: Client, registry: InProcessRegistry) -> None:
    client().sink(at(registry.host)).publish(IMAGE)
    registry.log.clear()
    sink = client().sink(at(registry.host))

    found = sink.lookup("v1")
    receipt = sink.publish(IMAGE)

    assert found is not None
    assert found.digest == IMAGE.target.digest
    assert set(receipt.actions.values()) == {REUSE}
    assert registry.verbs() == ["GET manifest"]


def test_only_tags_that_are_elsewhere_are_written(client: Client, registry: InProcessRegistry) -> None:
    client().sink(at(registry.host)).publish(IMAGE)
    registry.log.clear()
    sink = client().sink(at(registry.host))
    sink.lookup("v1")

    sink.publish(IMAGE._replace(tags=("v1", "v2"), present=frozenset(b.digest for b in IMAGE.blobs)))

    assert [(entry.method, entry.path.rpartition("/")[2]) for entry in registry.log] == [
        ("GET", "v1"),
        ("PUT", "v2"),
    ]


def test_a_tag_that_nobody_wrote_is_none(client: Client, registry: InProcessRegistry) -> None:
    assert client().sink(at(registry.host)).lookup("nothing") is None


def test_without_tags_the_manifest_is_put_by_digest(client: Client, registry: InProcessRegistry) -> None:
    client().sink(at(registry.host)).publish(IMAGE._replace(tags=()))

    assert registry.log[-1].path.endswith(f"/manifests/{IMAGE.target.digest}")
    assert registry.store.repository("team/app").tags == {}


def test_a_blob_of_another_repository_here_is_mounted(client: Client, registry: InProcessRegistry) -> None:
    client().sink(at(registry.host, "other/app")).publish(IMAGE)
    registry.log.clear()
    unread = Counting(ONE)
    layer = Blob(IMAGE.blobs[0].descriptor, unread, (registry.host, "other/app"))

    receipt = client(parallel=1).sink(at(registry.host)).publish(work(layer))

    assert receipt.actions[layer.digest] is MOUNT
    assert unread.calls == 0
    assert "from=other/app" in registry.log[1].path


def test_a_blob_of_another_host_is_streamed_through(
    client: Client, registry: InProcessRegistry, serve: Serve
) -> None:
    elsewhere = serve()
    registries = client()
    registries.sink(at(elsewhere.host)).publish(IMAGE)
    source = registries.source(at(elsewhere.host))
    document = source.document()
    assert isinstance(document, Manifest)
    blobs = tuple(source.as_blob(part) for part in (document.config, *document.layers))

    receipt = registries.sink(at(registry.host)).publish(Publication((document,), blobs, ("v1",)))

    assert set(receipt.actions.values()) == {PUSH}
    assert registry.store.repository("team/app").tags["v1"] == IMAGE.target.digest


def test_a_present_blob_is_neither_looked_for_nor_opened(client: Client, registry: InProcessRegistry) -> None:
    client().sink(at(registry.host)).publish(IMAGE)
    registry.log.clear()
    unread = Counting(ONE)
    layer = Blob(IMAGE.blobs[0].descriptor, unread)

    client().sink(at(registry.host)).publish(
        work(layer, tags=("v2",))._replace(present=frozenset({layer.digest}))
    )

    assert unread.calls == 0
    assert not any(layer.digest in entry.path for entry in registry.log)


def test_a_survey_predicts_and_writes_nothing(client: Client, registry: InProcessRegistry) -> None:
    sink = client().sink(at(registry.host))
    sink.publish(work(blob(TWO), tags=("v0",)))
    registry.log.clear()
    mountable = blob(b"base", origin=(registry.host, "bases/python"))
    plan = work(mountable, blob(ONE), blob(TWO))

    receipt = sink.survey(plan)

    assert [receipt.actions[b.digest] for b in plan.blobs] == [MOUNT, PUSH, REUSE, REUSE]
    assert {entry.method for entry in registry.log} == {"HEAD"}
    assert receipt.bytes_by(PUSH, plan.blobs) == len(ONE)


def test_children_go_before_the_index_and_the_tag_last(client: Client, registry: InProcessRegistry) -> None:
    images = [work(blob(ONE), text="amd64"), work(blob(TWO), text="arm64")]
    children = tuple(image.target for image in images)
    index = Index.build([child.descriptor for child in children], {})
    blobs = tuple(part for image in images for part in image.blobs)

    client(parallel=1).sink(at(registry.host)).publish(Publication((*children, index), blobs, ("v1",)))

    puts = [entry.path.rpartition("/")[2] for entry in registry.log if entry.verb == "PUT manifest"]
    assert puts == [*(child.digest for child in children), "v1"]
    assert registry.verbs()[-3:] == ["PUT manifest"] * 3


def test_a_blob_that_two_images_share_is_sent_once(client: Client, registry: InProcessRegistry) -> None:
    client().sink(at(registry.host)).publish(work(blob(ONE), blob(ONE)))

    assert registry.count("PUT upload") == 2  # the layer and the config


def test_many_blobs_share_few_connections(client: Client, registry: InProcessRegistry) -> None:
    layers = [blob(bytes([n]) * 1000) for n in range(40)]

    receipt = client(parallel=4).sink(at(registry.host)).publish(work(*layers))

    assert len(receipt.actions) == 41
    assert len({entry.connection for entry in registry.log}) <= 4


def test_a_large_blob_is_never_held_in_memory(client: Client, registry: InProcessRegistry) -> None:
    class Watched(io.BytesIO):
        def read(self, limit: int | None = -1) -> bytes:
            assert limit is not None
            asked.append(limit)
            return super().read(limit)

    asked: list[int] = []
    data = b"x" * 3_000_000
    layer = blob(data)._replace(open=lambda: Watched(data))

    client().sink(at(registry.host)).publish(work(layer))

    assert 0 < min(asked) <= max(asked) <= 1024 * 1024


def test_traffic_counts_requests_and_bytes(client: Client, registry: InProcessRegistry) -> None:
    traffic = Traffic()

    client(traffic=traffic).sink(at(registry.host)).publish(IMAGE)

    assert traffic.requests == len(registry.log)
    assert traffic.sent > sum(part.descriptor.size for part in IMAGE.blobs)
    assert traffic.received > 0


def test_progress_hears_of_every_byte(client: Client, registry: InProcessRegistry) -> None:
    class Heard:
        def __init__(self) -> None:
            self.events: list[tuple[str, str, int]] = []

        def start(self, label: str, total: int) -> None:
            self.events.append(("start", label, total))

        def advance(self, label: str, count: int) -> None:
            self.events.append(("advance", label, count))

        def finish(self, label: str) -> None:
            self.events.append(("finish", label, 0))

    heard, large = Heard(), blob(b"z" * 700_000)
    client(progress=heard).sink(at(registry.host)).publish(work(large))

    label = f"push {large.digest.hex[:12]}"
    mine = [(what, count) for what, name, count in heard.events if name == label]
    assert mine[0] == ("start", 700_000)
    assert mine[-1] == ("finish", 0)
    assert sum(count for what, count in mine if what == "advance") == 700_000


def test_documents_are_read_by_tag_digest_or_the_references_own(
    client: Client, registry: InProcessRegistry
) -> None:
    registries = client()
    registries.sink(at(registry.host)).publish(IMAGE)
    digest = IMAGE.target.digest
    by_digest = at(registry.host)._replace(tag="", digest=digest)

    assert registries.source(at(registry.host)).document().digest == digest
    assert registries.source(at(registry.host, tag="")).document("v1").raw == IMAGE.target.raw
    assert registries.source(by_digest).document().media_type == media.OCI_MANIFEST
    assert registries.source(by_digest).document(digest).digest == digest


def test_what_is_not_there_is_not_found(client: Client, registry: InProcessRegistry) -> None:
    source = client().source(at(registry.host, tag=""))
    absent = Descriptor(media.OCI_LAYER, Digest.of(b"absent"), 6)

    with pytest.raises(NotFound, match=r"latest .*MANIFEST_UNKNOWN"):
        source.document()
    with pytest.raises(NotFound):
        source.document(Digest.of(b"absent"))
    with pytest.raises(NotFound, match="BLOB_UNKNOWN"):
        source.blob(absent)


def test_an_empty_config_is_a_blob_like_any_other(client: Client, registry: InProcessRegistry) -> None:
    empty = blob(b"")

    client().sink(at(registry.host)).publish(work(empty, config("again")))

    assert registry.store.blob("team/app", empty.digest) == b""
