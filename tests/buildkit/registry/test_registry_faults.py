"""A misbehaving registry, one fault a test: the push completes, or fails with an error of the right class.

The fixture `serve` asserts after each of them that no tag leads to something incomplete.
"""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest

from buildkit.endpoints import Action, Blob
from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, NotFound, Unavailable
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.registry.errors import ConnectionLost
from buildkit.testing.registry import InProcessRegistry, Store, digest_of, faults
from buildkit.testing.registry.faults import Fault
from tests.buildkit.registry.support import IMAGE, ONE, TWO, Client, FastClock, Serve, at, blob, pulled, work

LARGE = blob(bytes(range(256)) * 8000)  # 2 MB: more than the sockets' buffers hold
LARGE_IMAGE = work(LARGE)


def holds(registry: InProcessRegistry) -> bool:
    return registry.store.repository("team/app").tags == {"v1": IMAGE.target.digest}


def untagged(registry: InProcessRegistry) -> bool:
    return registry.store.repository("team/app").tags == {}


def filled(serve: Serve, *misbehaviour: Fault) -> InProcessRegistry:
    """A registry that has the image already, then misbehaves."""
    store = Store()
    for part in IMAGE.blobs:
        with part.open() as stream:
            store.add_blob("team/app", stream.read())
    store.add_manifest("team/app", IMAGE.target.raw, IMAGE.target.media_type, "v1")
    return serve(store=store, faults=misbehaviour)


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


# Answers that lie


def test_a_manifest_stored_under_another_digest_is_corrupt(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.DigestHeader("PUT manifest", digest_of(b"other"))])

    with pytest.raises(CorruptContent, match="was stored as"):
        client().sink(at(registry.host)).publish(IMAGE)


@pytest.mark.parametrize("verb", ["PUT manifest", "GET manifest", "PUT upload"])
@pytest.mark.parametrize("value", ["", "sha512:" + "0" * 128, "rubbish"])
def test_a_digest_header_that_says_nothing_is_no_harm(
    client: Client, serve: Serve, verb: str, value: str
) -> None:
    registry = serve(faults=[faults.DigestHeader(verb, value)])
    registries = client()

    registries.sink(at(registry.host)).publish(IMAGE)

    assert pulled(registries, at(registry.host))[1:] == [ONE, TWO]


def test_a_tag_whose_digest_header_is_another_is_corrupt(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.DigestHeader("GET manifest", digest_of(b"other")))

    with pytest.raises(CorruptContent, match="does not have its digest"):
        client().sink(at(registry.host)).lookup("v1")


def test_a_tampered_manifest_is_corrupt(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.ManifestBytes(IMAGE.target.raw + b" ", honest=True))

    with pytest.raises(CorruptContent, match="does not have its digest"):
        client().source(at(registry.host)).document(IMAGE.target.digest)


def test_a_huge_manifest_is_refused_before_it_is_read(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.ManifestBytes(b" " * (DOCUMENT_LIMIT + 100_000), honest=True))

    with pytest.raises(CorruptContent, match="larger than"):
        client().source(at(registry.host)).document()


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"layers": 3}', b"{}"])
def test_a_manifest_that_is_none_is_corrupt(client: Client, serve: Serve, raw: bytes) -> None:
    registry = filled(serve, faults.ManifestBytes(raw, honest=True))

    with pytest.raises(CorruptContent):
        client().source(at(registry.host)).document()


@pytest.mark.parametrize("how", ["corrupt", "short", "long"])
def test_a_blob_with_other_bytes_is_never_handed_out_whole(client: Client, serve: Serve, how: str) -> None:
    registry = filled(serve, faults.BlobBytes(how))
    read: list[bytes] = []

    with client().source(at(registry.host)).blob(IMAGE.blobs[0].descriptor) as stream:
        with pytest.raises(CorruptContent):
            read.extend(iter(lambda: stream.read(1000), b""))

    assert sum(map(len, read)) < len(ONE)


def test_a_corrupt_blob_on_its_way_to_another_registry_is_not_completed(client: Client, serve: Serve) -> None:
    origin, target = filled(serve, faults.BlobBytes("corrupt")), serve()
    registries = client()
    source = registries.source(at(origin.host))
    layers = tuple(source.as_blob(part.descriptor) for part in IMAGE.blobs)

    with pytest.raises(CorruptContent):
        registries.sink(at(target.host)).publish(IMAGE._replace(blobs=layers))

    assert target.store.blobs == {}


def test_a_blob_of_another_size_is_corrupt(client: Client, serve: Serve) -> None:
    registry = filled(serve)
    wrong = IMAGE.blobs[0].descriptor._replace(size=len(ONE) - 1)

    with pytest.raises(CorruptContent, match=f"{len(ONE)} bytes"):
        client().source(at(registry.host)).blob(wrong)
    with pytest.raises(CorruptContent, match=f"not {len(ONE) - 1}"):
        client().sink(at(registry.host)).publish(work(Blob(wrong, blob(ONE).open)))


# Downloads


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_is_taken_up_again(client: Client, serve: Serve, ranges: bool) -> None:
    cuts = [faults.BlobCut(1500, times=2), *([] if ranges else [faults.NoRange()])]
    registry = filled(serve, *cuts)

    with client().source(at(registry.host)).blob(IMAGE.blobs[0].descriptor) as stream:
        assert stream.read() == ONE

    assert registry.count("GET blob") == 3
    assert "range" in registry.log[-1].headers


def test_a_download_that_always_breaks_is_unavailable(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.BlobCut(0, times=faults.ALWAYS))

    with client().source(at(registry.host)).blob(IMAGE.blobs[0].descriptor) as stream:
        with pytest.raises(ConnectionLost):
            stream.read()


def test_lengths_may_be_missing(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.NoContentLength("GET blob"), faults.NoContentLength("GET manifest"))

    assert pulled(client(), at(registry.host))[1:] == [ONE, TWO]


def test_blobs_elsewhere_are_fetched_there(client: Client, serve: Serve) -> None:
    storage = filled(serve)
    registry = filled(serve, faults.RedirectBlobs(storage.host))

    assert pulled(client(), at(registry.host))[1:] == [ONE, TWO]
    assert storage.count("GET blob") == 3


def test_a_redirected_look_counts(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.RedirectBlobs(filled(serve).host))

    receipt = client().sink(at(registry.host)).publish(work(blob(ONE), blob(TWO), tags=("v2",)))

    assert set(receipt.actions.values()) == {Action.REUSE}


def test_redirects_without_end_are_refused(client: Client, serve: Serve) -> None:
    registry = filled(serve)
    registry.faults.append(faults.RedirectBlobs(registry.host))

    with pytest.raises(InvalidInput, match="redirects without end"):
        client().source(at(registry.host)).blob(IMAGE.blobs[0].descriptor)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "2852039166", "[fd00:ec2::254]"])
def test_redirects_to_metadata_services_are_refused(client: Client, serve: Serve, host: str) -> None:
    registry = filled(serve, faults.RedirectBlobs(host))

    with pytest.raises(InvalidInput, match="link-local or metadata"):
        client().source(at(registry.host)).blob(IMAGE.blobs[0].descriptor)


def test_redirects_to_plain_http_elsewhere_are_refused(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.RedirectBlobs("storage.example"))

    with pytest.raises(InvalidInput, match="plain HTTP"):
        client().source(at(registry.host)).blob(IMAGE.blobs[0].descriptor)


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


def test_forbidden_names_repository_action_and_remedy(client: Client, serve: Serve) -> None:
    registry = serve(faults=[faults.Status(403, "POST uploads")])

    with pytest.raises(AccessDenied, match=r"starting an upload to .*/team/app: HTTP 403") as caught:
        client().sink(at(registry.host)).publish(IMAGE)

    assert f"docker login {registry.host}" in caught.value.remedy
    assert caught.value.exit_code == 2
