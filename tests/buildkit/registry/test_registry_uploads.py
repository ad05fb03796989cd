"""Registries that are odd about uploads and mounts: the push completes, or fails with a clear error.

The fixture `serve` asserts after each of them that no tag leads to something incomplete.
"""

from __future__ import annotations

import json

import pytest

from buildkit.endpoints import Action, Blob
from buildkit.errors import InvalidInput, NotFound, Unavailable
from buildkit.testing.registry import InProcessRegistry, faults
from tests.buildkit.registry.support import (
    IMAGE,
    LARGE_IMAGE,
    ONE,
    Client,
    Serve,
    at,
    blob,
    filled,
    holds,
    untagged,
    work,
)

# Uploads that are odd


@pytest.mark.parametrize("style", ["absolute", "query", "relative", "plain"])
def test_locations_come_in_all_forms(client: Client, serve: Serve, style: str) -> None:
    registry = serve(faults=[faults.Locations(style)])

    client().sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)


def test_an_expired_session_is_opened_anew(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.SessionExpired()])

    client(parallel=1).sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)
    assert registry.count("POST uploads") == len(IMAGE.blobs) + 1


def test_sessions_that_always_expire_are_not_found(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.SessionExpired(times=faults.ALWAYS)])

    with pytest.raises(NotFound, match="BLOB_UPLOAD_UNKNOWN"):
        client().sink(at(registry.host)).publish(IMAGE)


def test_a_body_limit_is_named_although_the_body_was_not_read(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.TooLarge(1_000_000)])

    with pytest.raises(InvalidInput, match="HTTP 413") as caught:
        client().sink(at(registry.host)).publish(LARGE_IMAGE)

    assert "larger than" in caught.value.remedy


def test_a_blob_that_does_not_have_its_digest_is_refused(client: Client, registry: InProcessRegistry) -> None:
    wrong = Blob(IMAGE.blobs[0].descriptor, blob(b"?" * len(ONE)).open)

    with pytest.raises(InvalidInput, match="DIGEST_INVALID"):
        client().sink(at(registry.host)).publish(work(wrong))

    assert untagged(registry)


def test_a_blob_that_ends_early_is_not_completed(client: Client, registry: InProcessRegistry) -> None:
    short = Blob(IMAGE.blobs[0].descriptor, blob(ONE[:-1]).open)

    with pytest.raises(Unavailable, match="ends 1 bytes early"):
        client().sink(at(registry.host)).publish(work(short))

    assert untagged(registry)


# Mounts


@pytest.mark.parametrize("status", [202, 400, 404, 405, 500])
def test_a_registry_that_does_not_mount_gets_the_blob(client: Client, serve: Serve, status: int) -> None:
    registry = serve(faults=[faults.NoMounts(status), faults.MountNeedsFrom()])
    layer = blob(ONE, origin=(registry.host, "bases/python"))

    receipt = client(retries=1).sink(at(registry.host)).publish(work(layer))

    assert receipt.actions[layer.digest] is Action.PUSH


def test_a_mount_from_where_the_blob_is_not_sends_it(client: Client, registry: InProcessRegistry) -> None:
    layer = blob(ONE, origin=(registry.host, "bases/absent"))

    receipt = client(parallel=1).sink(at(registry.host)).publish(work(layer))

    assert receipt.actions[layer.digest] is Action.PUSH
    assert registry.verbs()[:3] == ["HEAD blob", "POST uploads", "PUT upload"]


# Blobs that are believed to be there


def test_a_present_blob_that_is_gone_is_sent_after_all(client: Client, registry: InProcessRegistry) -> None:
    everything = frozenset(part.digest for part in IMAGE.blobs)

    receipt = client().sink(at(registry.host)).publish(IMAGE._replace(present=everything))

    assert holds(registry)
    assert Action.PUSH in receipt.actions.values()


def test_a_blob_that_vanishes_after_the_look_is_sent_after_all(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.Vanishes(IMAGE.blobs[0].digest)])
    registry.store.add_blob("team/app", ONE)

    receipt = client().sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)
    assert receipt.actions[IMAGE.blobs[0].digest] is Action.PUSH


def test_a_manifest_that_stays_refused_is_an_error(client: Client, serve: Serve) -> None:
    body = json.dumps({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "gone"}]}).encode()
    registry = serve(faults=[faults.Status(400, "PUT manifest", body=body)])

    with pytest.raises(InvalidInput, match="MANIFEST_BLOB_UNKNOWN gone"):
        client().sink(at(registry.host)).publish(IMAGE)

    assert registry.count("PUT manifest") == 2


def test_without_head_everything_is_sent(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.Status(405, "HEAD blob"))

    receipt = client().sink(at(registry.host)).publish(IMAGE)

    assert set(receipt.actions.values()) == {Action.PUSH}
