"""The double answers as docker-registry does.

Where real registries differ from the specification, the test says so by name; `faults` has the same as a value.
"""

from __future__ import annotations

import http.client
import json

import pytest

from buildkit.image import media
from buildkit.testing.registry import digest_of
from tests.buildkit.registry.raw import Raw, joined, like_debian, only_debian, only_double


@like_debian
def test_the_base(raw: Raw) -> None:
    answer = raw.ask("GET", "/v2/")

    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


@like_debian
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unknown_blob(raw: Raw, method: str) -> None:
    answer = raw.ask(method, f"blobs/{digest_of(b'unknown')}")

    assert answer.status == 404
    assert method == "HEAD" or answer.codes == ["BLOB_UNKNOWN"]


@like_debian
def test_a_blob(raw: Raw) -> None:
    digest = raw.upload(b"0123456789")

    whole, head = raw.ask("GET", f"blobs/{digest}"), raw.ask("HEAD", f"blobs/{digest}")
    part = raw.ask("GET", f"blobs/{digest}", Range="bytes=3-5")
    rest = raw.ask("GET", f"blobs/{digest}", Range="bytes=8-")

    assert (whole.status, whole.body, whole.headers["docker-content-digest"]) == (200, b"0123456789", digest)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"345", "bytes 3-5/10")
    assert (rest.status, rest.body) == (206, b"89")


@like_debian
def test_an_upload(raw: Raw) -> None:
    opened = raw.ask("POST", "blobs/uploads/")
    status = raw.ask("GET", opened.headers["location"])

    assert (opened.status, opened.headers["range"]) == (202, "0-0")
    assert opened.headers["docker-upload-uuid"]
    assert (status.status, status.headers["range"]) == (204, "0-0")


@like_debian
def test_an_upload_in_parts(raw: Raw) -> None:
    location = raw.ask("POST", "blobs/uploads/").headers["location"]
    first = raw.ask(
        "PATCH", location, b"hello ", Content_Range="0-5", Content_Type="application/octet-stream"
    )
    status = raw.ask("GET", first.headers["location"])
    second = raw.ask("PATCH", status.headers["location"], b"world", Content_Range="6-10")
    done = raw.ask("PUT", joined(second.headers["location"], digest_of(b"hello world")))

    assert (first.status, first.headers["range"]) == (202, "0-5")
    assert (status.status, status.headers["range"]) == (204, "0-5")
    assert (second.status, second.headers["range"]) == (202, "0-10")
    assert (done.status, done.headers["docker-content-digest"]) == (201, digest_of(b"hello world"))


@like_debian
def test_an_upload_with_another_digest(raw: Raw) -> None:
    location = raw.ask("POST", "blobs/uploads/").headers["location"]

    answer = raw.ask("PUT", joined(location, digest_of(b"other")), b"these")

    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert raw.ask("HEAD", f"blobs/{digest_of(b'other')}").status == 404


@like_debian
def test_an_upload_that_was_cancelled(raw: Raw) -> None:
    location = raw.ask("POST", "blobs/uploads/").headers["location"]

    assert raw.ask("DELETE", location).status == 204
    assert raw.ask("PUT", joined(location, digest_of(b"x")), b"x").codes == ["BLOB_UPLOAD_UNKNOWN"]


@like_debian
def test_mounting(raw: Raw) -> None:
    other = Raw(raw.host)
    data = raw.repository.encode()
    digest = other.upload(data)

    mounted = raw.ask("POST", f"blobs/uploads/?mount={digest}&from={other.repository}")
    absent = raw.ask("POST", f"blobs/uploads/?mount={digest_of(b'absent')}&from={other.repository}")
    nowhere = raw.ask("POST", f"blobs/uploads/?mount={digest_of(b'absent')}&from=contract/nowhere")

    assert (mounted.status, mounted.headers["docker-content-digest"]) == (201, digest)
    assert (absent.status, nowhere.status) == (202, 202)
    assert raw.ask("GET", f"blobs/{digest}").body == data


@like_debian
def test_a_manifest(raw: Raw) -> None:
    text = raw.manifest(b"layer")
    put = raw.put("v1", text)
    by_tag = raw.ask("GET", "manifests/v1", Accept=media.OCI_MANIFEST)
    by_digest = raw.ask("HEAD", f"manifests/{digest_of(text)}", Accept=media.OCI_MANIFEST)

    assert (put.status, put.headers["docker-content-digest"]) == (201, digest_of(text))
    assert (by_tag.status, by_tag.body) == (200, text)
    assert by_tag.headers["content-type"] == media.OCI_MANIFEST
    assert by_digest.headers["docker-content-digest"] == digest_of(text)
    assert by_digest.headers["content-length"] == str(len(text))
    assert raw.ask("GET", "manifests/v2").codes == ["MANIFEST_UNKNOWN"]


@like_debian
def test_a_manifest_of_what_is_not_there(raw: Raw) -> None:
    text = raw.manifest(b"layer").replace(digest_of(b"layer").encode(), digest_of(b"gone").encode())

    answer = raw.put("v1", text)

    assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])
    assert digest_of(b"gone") in answer.body.decode()


@like_debian
def test_an_index_of_what_is_not_there(raw: Raw) -> None:
    child = {"mediaType": media.OCI_MANIFEST, "digest": digest_of(b"gone"), "size": 4, "platform": {}}
    child["platform"] = {"os": "linux", "architecture": "amd64"}
    text = json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [child]}).encode()

    answer = raw.ask("PUT", "manifests/v1", text, Content_Type=media.OCI_INDEX)

    assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])


@like_debian
@pytest.mark.parametrize("text", [b"{", b"[]"])
def test_a_manifest_that_is_none(raw: Raw, text: bytes) -> None:
    answer = raw.put("v1", text)

    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])


@like_debian
def test_a_manifest_under_another_digest(raw: Raw) -> None:
    answer = raw.put(digest_of(b"other"), raw.manifest(b"layer"))

    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


@like_debian
def test_deleting(raw: Raw) -> None:
    text = raw.manifest(b"layer")
    raw.put("v1", text)

    assert raw.ask("DELETE", f"manifests/{digest_of(text)}").status == 202
    assert raw.ask("GET", "manifests/v1").status == 404
    assert raw.ask("DELETE", f"blobs/{digest_of(b'layer')}").status == 202
    assert raw.ask("HEAD", f"blobs/{digest_of(b'layer')}").status == 404


@like_debian
def test_tags(raw: Raw) -> None:
    text = raw.manifest(b"layer")
    for tag in ("c", "a", "b"):
        raw.put(tag, text)

    tags = json.loads(raw.ask("GET", "tags/list").body)

    assert (tags["name"], sorted(tags["tags"])) == (raw.repository, ["a", "b", "c"])
    assert raw.ask("GET", "/v2/contract/nowhere/tags/list").codes == ["NAME_UNKNOWN"]


# Where they differ


@only_double
def test_tags_come_in_pages(raw: Raw) -> None:
    """distribution 2 ignores `n` here."""
    text = raw.manifest(b"layer")
    for tag in ("c", "a", "b"):
        raw.put(tag, text)

    first = raw.ask("GET", "tags/list?n=2")
    link = first.headers["link"].partition("<")[2].partition(">")[0]

    assert json.loads(first.body)["tags"] == ["a", "b"]
    assert json.loads(raw.ask("GET", link).body)["tags"] == ["c"]


@only_double
def test_a_range_past_the_end_is_refused(raw: Raw) -> None:
    digest = raw.upload(b"0123456789")

    assert raw.ask("GET", f"blobs/{digest}", Range="bytes=10-").status == 416


@only_debian
def test_debian_promises_a_body_with_its_416(raw: Raw) -> None:
    """Ten bytes that never come: the fault `EmptyError`."""
    digest = raw.upload(b"0123456789")

    with pytest.raises(http.client.IncompleteRead):
        raw.ask("GET", f"blobs/{digest}", Range="bytes=10-")


@only_double
def test_a_gap_is_refused(raw: Raw) -> None:
    location = raw.ask("POST", "blobs/uploads/").headers["location"]

    answer = raw.ask("PATCH", location, b"world", Content_Range="6-10")

    assert (answer.status, answer.headers["range"]) == (416, "0-0")


@only_debian
def test_debian_takes_a_gap(raw: Raw) -> None:
    """The fault `GapsAccepted`."""
    location = raw.ask("POST", "blobs/uploads/").headers["location"]

    answer = raw.ask("PATCH", location, b"world", Content_Range="6-10")

    assert (answer.status, answer.headers["range"]) == (202, "0-4")


@only_double
def test_a_blob_in_one_request(raw: Raw) -> None:
    answer = raw.ask("POST", f"blobs/uploads/?digest={digest_of(b'one')}", b"one")

    assert (answer.status, raw.ask("GET", f"blobs/{digest_of(b'one')}").body) == (201, b"one")


@only_debian
def test_debian_opens_an_upload_instead(raw: Raw) -> None:
    assert raw.ask("POST", f"blobs/uploads/?digest={digest_of(b'one')}", b"one").status == 202


@only_double
def test_referrers(raw: Raw) -> None:
    subject = raw.manifest(b"layer")
    raw.put("v1", subject)
    pointed = {"mediaType": media.OCI_MANIFEST, "digest": digest_of(subject), "size": len(subject)}
    mine = raw.manifest(subject=pointed, artifactType="application/x", annotations={"a": "b"})
    put = raw.put(digest_of(mine), mine)

    every = json.loads(raw.ask("GET", f"referrers/{digest_of(subject)}").body)
    chosen = raw.ask("GET", f"referrers/{digest_of(subject)}?artifactType=other")

    assert put.headers["oci-subject"] == digest_of(subject)
    assert every["manifests"] == [
        {"mediaType": media.OCI_MANIFEST, "digest": digest_of(mine), "size": len(mine),
         "artifactType": "application/x", "annotations": {"a": "b"}}
    ]  # fmt: skip
    assert json.loads(chosen.body)["manifests"] == []
    assert chosen.headers["oci-filters-applied"] == "artifactType"


@only_debian
def test_debian_has_no_referrers(raw: Raw) -> None:
    """The fault `NoReferrers`."""
    assert raw.ask("GET", f"referrers/{digest_of(b'x')}").status == 404
