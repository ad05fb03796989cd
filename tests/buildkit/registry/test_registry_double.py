"""The testing registry, seen by clients that are not ours, and by its own users."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildkit.testing.registry import Exchange, InProcessRegistry, Store, digest_of
from tests.buildkit import images
from tests.buildkit.registry.support import IMAGE, ONE, Client, at
from tests.rigs.podman import Podman


@pytest.mark.rig
def test_skopeo_pushes_to_it_and_pulls_from_it(
    client: Client, registry: InProcessRegistry, podman: Podman, tmp_path: Path
) -> None:
    """skopeo uploads in chunks, in parallel, and asks for `/v2/` first: another client's habits."""
    made = images.image(images.layer({"hello": b"one"}), images.layer({"more": b"of it"}))
    client().sink(at(registry.host)).publish(made.work("v1"))
    there, copy = f"docker://{registry.host}/team/app:v1", f"docker://{registry.host}/copied/app:v1"

    podman.skopeo("copy", "--src-tls-verify=false", there, f"oci:{tmp_path}/layout:v1")
    podman.skopeo("copy", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:v1", copy)

    assert registry.store.repository("copied/app").tags == {"v1": made.target.digest}


def test_what_is_missing_behind_a_tag_is_named() -> None:
    store = Store()
    raw = json.dumps({"config": {"digest": digest_of(b"c")}, "layers": [{"digest": digest_of(ONE)}]}).encode()
    store.add_manifest("team/app", raw, "application/json", "v1")
    store.add_blob("team/app", b"c")

    assert store.incomplete() == [f"team/app:v1: missing {digest_of(ONE)}"]

    store.blobs[digest_of(ONE)] = b"other"
    store.repository("team/app").blobs.add(digest_of(ONE))
    assert store.incomplete() == [f"team/app:v1: missing {digest_of(ONE)}"]

    store.add_blob("team/app", ONE)
    assert store.incomplete() == []


def test_an_index_without_a_child_is_incomplete() -> None:
    store = Store()
    raw = json.dumps({"manifests": [{"digest": digest_of(b"child")}]}).encode()
    store.add_manifest("team/app", raw, "application/json", "v1")

    assert any("child" not in line and digest_of(b"child") in line for line in store.incomplete())


def test_every_request_is_told_before_it_is_answered(client: Client, registry: InProcessRegistry) -> None:
    told: list[tuple[int, str]] = []

    def hook(number: int, exchange: Exchange) -> None:
        told.append((number, exchange.verb))

    registry.on_request(hook)
    client(parallel=1).sink(at(registry.host)).publish(IMAGE)

    assert [verb for _, verb in told] == registry.verbs()
    assert [number for number, _ in told] == list(range(1, len(told) + 1))


def test_the_log_counts_the_bytes_of_bodies(client: Client, registry: InProcessRegistry) -> None:
    client().sink(at(registry.host)).publish(IMAGE)

    sent = sum(entry.body_bytes for entry in registry.log)
    assert sent == sum(part.descriptor.size for part in IMAGE.blobs) + len(IMAGE.target.raw)
