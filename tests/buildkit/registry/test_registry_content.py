"""Registries that give something else than was asked for: it is never handed out whole.

The fixture `serve` asserts after each of them that no tag leads to something incomplete.
"""

from __future__ import annotations

import pytest

from buildkit.endpoints import Action, Blob
from buildkit.errors import CorruptContent, InvalidInput
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.registry.errors import ConnectionLost
from buildkit.testing.registry import digest_of, faults
from tests.buildkit.registry.support import IMAGE, ONE, TWO, Client, Serve, at, blob, filled, pulled, work

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
