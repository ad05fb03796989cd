"""A registry or network in trouble, one fault a test: the push completes, or fails with an error of the right class.

The fixture `serve` asserts after each of them that no tag leads to something incomplete.
"""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest

from buildkit.errors import AccessDenied, InvalidInput, Unavailable
from buildkit.registry.errors import ConnectionLost
from buildkit.testing.registry import faults
from tests.buildkit.registry.support import (
    IMAGE,
    LARGE,
    LARGE_IMAGE,
    ONE,
    TWO,
    Client,
    FastClock,
    Serve,
    at,
    blob,
    holds,
    untagged,
    work,
)

# Passing trouble: tried again


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("verb", ["HEAD blob", "POST uploads", "PUT upload", "PUT manifest"])
def test_passing_trouble_is_waited_for(client: Client, serve: Serve, status: int, verb: str) -> None:
    registry = serve(faults=[faults.Status(status, verb, times=2)])

    client().sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)


@pytest.mark.parametrize("verb", ["HEAD blob", "POST uploads", "PUT upload", "PUT manifest"])
def test_lasting_trouble_is_unavailable(client: Client, serve: Serve, verb: str) -> None:
    registry = serve(faults=[faults.Status(503, verb)])

    with pytest.raises(Unavailable, match="HTTP 503"):
        client().sink(at(registry.host)).publish(IMAGE)

    assert untagged(registry)


@pytest.mark.parametrize("verb", ["HEAD blob", "PUT upload", "PUT manifest"])
def test_retry_after_in_seconds_is_obeyed(client: Client, serve: Serve, clock: FastClock, verb: str) -> None:
    registry = serve(faults=[faults.Status(429, verb, times=1, retry_after="7")])

    client().sink(at(registry.host)).publish(IMAGE)

    assert clock.slept == [7.0]


def test_retry_after_a_date_is_obeyed(client: Client, serve: Serve, clock: FastClock) -> None:
    date = formatdate(clock.wall() + 20, usegmt=True)
    registry = serve(faults=[faults.Status(429, "HEAD blob", times=1, retry_after=date)])

    client().sink(at(registry.host)).publish(IMAGE)

    assert [15 < seconds <= 20 for seconds in clock.slept] == [True]


def test_retry_after_a_day_is_not_waited_for(client: Client, serve: Serve, clock: FastClock) -> None:
    registry = serve(faults=[faults.Status(429, "HEAD blob", times=1, retry_after="86400")])

    client(retry_after_limit_seconds=9.0).sink(at(registry.host)).publish(IMAGE)

    assert clock.slept == [9.0]


def test_without_retry_after_the_wait_grows(client: Client, serve: Serve, clock: FastClock) -> None:
    registry = serve(faults=[faults.Status(502, "PUT manifest", times=3)])

    client().sink(at(registry.host)).publish(IMAGE)

    assert 0.1 < clock.slept[0] <= 0.25
    assert 0.5 <= clock.slept[2] <= 1.0


# Connections that break


@pytest.mark.parametrize("verb", ["HEAD blob", "POST uploads", "PUT upload", "PUT manifest"])
def test_a_connection_closed_before_the_body(client: Client, serve: Serve, verb: str) -> None:
    registry = serve(faults=[faults.DropBefore(verb, times=1, skip=1)])

    client().sink(at(registry.host)).publish(work(blob(ONE), blob(TWO), tags=("v1", "v2")))

    assert registry.store.repository("team/app").tags.keys() == {"v1", "v2"}


@pytest.mark.parametrize("verb", ["POST uploads", "PUT upload", "PUT manifest"])
def test_a_connection_closed_before_the_answer(client: Client, serve: Serve, verb: str) -> None:
    registry = serve(faults=[faults.DropAfterBody(verb, times=1)])

    client().sink(at(registry.host)).publish(IMAGE)

    assert holds(registry)


def test_a_blob_that_arrived_without_an_answer_is_not_sent_again(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.DropAfterBody("PUT upload", times=1)])

    client(parallel=1).sink(at(registry.host)).publish(IMAGE)

    assert registry.count("PUT upload") == len(IMAGE.blobs)


def test_a_small_blob_cut_in_its_body_is_sent_from_its_start(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.DropInBody(1000)])

    client(parallel=1).sink(at(registry.host)).publish(LARGE_IMAGE)

    assert registry.count("PATCH upload") == 0
    assert registry.store.blob("team/app", LARGE.digest) is not None


def test_a_large_blob_cut_in_its_body_is_continued(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.DropInBody(1_500_000)])

    client(resume_above=1_000_000, parallel=1).sink(at(registry.host)).publish(LARGE_IMAGE)

    rest = [entry.body_bytes for entry in registry.log if entry.verb == "PATCH upload"]
    assert rest == [LARGE.descriptor.size - 1_500_000]


def test_a_registry_that_keeps_nothing_gets_it_all_again(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.DropInBody(1_500_000, keeps=False)])

    client(resume_above=1_000_000, parallel=1).sink(at(registry.host)).publish(LARGE_IMAGE)

    assert registry.count("PATCH upload") == 0
    assert registry.store.blob("team/app", LARGE.digest) is not None


def test_a_status_that_lies_about_what_arrived_does_no_harm(client: Client, serve: Serve) -> None:
    """With `GapsAccepted` the bytes would be doubled: the registry says so in its Range."""
    lies = [faults.DropInBody(1_500_000), faults.StuckStatus("0-999"), faults.GapsAccepted()]
    registry = serve(faults=lies)

    client(resume_above=1_000_000, parallel=1).sink(at(registry.host)).publish(LARGE_IMAGE)

    assert registry.store.blob("team/app", LARGE.digest) is not None


def test_a_registry_that_loses_later_chunks_gets_it_all_again(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.DropInBody(1_500_000), faults.LosesLaterChunks()])

    client(resume_above=1_000_000, parallel=1).sink(at(registry.host)).publish(LARGE_IMAGE)

    assert registry.count("PATCH upload") == 1
    assert registry.store.blob("team/app", LARGE.digest) is not None


def test_a_status_of_0_0_counts_as_nothing(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.DropInBody(1_500_000), faults.StuckStatus("0-0")])

    client(resume_above=1_000_000, parallel=1).sink(at(registry.host)).publish(LARGE_IMAGE)

    assert registry.count("PATCH upload") == 0


def test_an_upload_that_never_gets_through_is_unavailable(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.DropInBody(1000, times=faults.ALWAYS)])

    with pytest.raises(ConnectionLost):
        client().sink(at(registry.host)).publish(LARGE_IMAGE)

    assert untagged(registry)


def test_slow_loris_is_a_time_out(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.Slow(0.02, "GET manifest")])

    with pytest.raises(ConnectionLost, match="in time"):
        client(timeout_seconds=0.2, retries=0).sink(at(registry.host)).lookup("v1")


def test_silence_is_a_time_out(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.Slow(60, "HEAD blob")])

    with pytest.raises(ConnectionLost, match="did not answer in time"):
        client(timeout_seconds=0.1, retries=1).sink(at(registry.host)).publish(IMAGE)


def test_nobody_listens(client: Client) -> None:
    with pytest.raises(ConnectionLost, match="refuses connections") as caught:
        client().sink(at("127.0.0.1:1")).publish(IMAGE)

    assert caught.value.exit_code == 4


# What a registry says is shown, but tamed


def test_control_characters_and_length_of_a_message_are_tamed(client: Client, serve: Serve) -> None:
    shout = "\x1b[31m" + "a" * 5000 + "\r\nGET / HTTP/1.1"
    body = json.dumps({"errors": [{"code": "DENIED\x00", "message": shout}]}).encode()
    registry = serve(faults=[faults.Status(400, "PUT manifest", body=body)])

    with pytest.raises(InvalidInput, match="DENIED") as caught:
        client().sink(at(registry.host)).publish(IMAGE)

    assert caught.value.what.isprintable()
    assert len(caught.value.what) < 400


@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b'{"errors": 3}', b'{"errors": [3]}', b"\xff\x00", b"[" * 9999]
)
def test_an_error_without_a_proper_body_is_an_error_all_the_same(
    client: Client, serve: Serve, body: bytes
) -> None:
    registry = serve(faults=[faults.Status(400, "PUT manifest", body=body)])

    with pytest.raises(InvalidInput, match="HTTP 400"):
        client().sink(at(registry.host)).publish(IMAGE)


def test_an_error_whose_body_never_comes_is_still_that_error(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.EmptyError(404, "GET manifest")])

    assert client().sink(at(registry.host)).lookup("v1") is None
    assert len(registry.log) == 1


def test_forbidden_names_repository_action_and_remedy(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.Status(403, "POST uploads")])

    with pytest.raises(AccessDenied, match=r"starting an upload to .*/team/app: HTTP 403") as caught:
        client().sink(at(registry.host)).publish(IMAGE)

    assert f"docker login {registry.host}" in caught.value.remedy
    assert caught.value.exit_code == 2
