"""The well-behaved half: the distribution API, verb by verb (distribution-spec, "API" and "Endpoints")."""

from __future__ import annotations

import re
from collections.abc import Callable

from buildkit.testing.registry.exchange import Exchange, Reply, error_reply, json_reply
from buildkit.testing.registry.store import Store, StoredManifest, digest_of

_INDEX = "application/vnd.oci.image.index.v1+json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_CONTENT_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


def route(exchange: Exchange, store: Store) -> Reply:
    """The answer of a registry that keeps to the specification."""
    answer = ROUTES.get(exchange.verb)
    if answer is None:
        known = exchange.kind != "unknown"
        return error_reply(405 if known else 404, "UNSUPPORTED" if known else "NOT_FOUND")
    with store.lock:
        return answer(exchange, store)


def base(_exchange: Exchange, _store: Store) -> Reply:
    """GET /v2/."""
    return json_reply(200, {}, Docker_Distribution_Api_Version="registry/2.0")


def get_blob(exchange: Exchange, store: Store) -> Reply:
    """A blob, or a part of it."""
    data = store.blob(exchange.repository, exchange.name)
    if data is None:
        return error_reply(404, "BLOB_UNKNOWN", detail={"digest": exchange.name})
    headers = {
        "content-type": "application/octet-stream",
        "docker-content-digest": exchange.name,
        "accept-ranges": "bytes",
    }
    wanted = _RANGE.fullmatch(exchange.headers.get("range", ""))
    if wanted is None:
        return Reply(200, headers, data)
    first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
    if first > last:
        return error_reply(416, "RANGE_INVALID")
    return Reply(
        206, {**headers, "content-range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1]
    )


def delete_blob(exchange: Exchange, store: Store) -> Reply:
    """From this repository; others keep it."""
    blobs = store.repository(exchange.repository).blobs
    if exchange.name not in blobs:
        return error_reply(404, "BLOB_UNKNOWN")
    blobs.discard(exchange.name)
    return Reply(202)


def start_upload(exchange: Exchange, store: Store) -> Reply:
    """POST: a mount, a whole blob at once, or a session."""
    digest, origin = exchange.query.get("mount", ""), exchange.query.get("from", "")
    if digest and origin and (data := store.blob(origin, digest)) is not None:
        return _created(exchange, store.add_blob(exchange.repository, data))
    if digest := exchange.query.get("digest", ""):
        return _finish(exchange, store, digest, exchange.body())
    session = store.start_upload()
    headers = {"location": _session(exchange, session), "range": "0-0", "docker-upload-uuid": session}
    return Reply(202, headers)


def upload_status(exchange: Exchange, store: Store) -> Reply:
    """How much of a session has arrived."""
    data = store.uploads.get(exchange.name)
    return error_reply(404, "BLOB_UPLOAD_UNKNOWN") if data is None else _progress(exchange, 204, len(data))


def patch_upload(exchange: Exchange, store: Store) -> Reply:
    """One more chunk; 416 unless it begins where the last one ended."""
    data = store.uploads.get(exchange.name)
    if data is None:
        return error_reply(404, "BLOB_UPLOAD_UNKNOWN")
    wanted = _CONTENT_RANGE.fullmatch(exchange.headers.get("content-range", ""))
    if wanted and int(wanted[1]) != len(data):
        return _progress(exchange, 416, len(data))
    data += exchange.body()
    return _progress(exchange, 202, len(data))


def put_upload(exchange: Exchange, store: Store) -> Reply:
    """The end of a session, with what is left of the bytes."""
    digest = exchange.query.get("digest", "")
    data = store.uploads.get(exchange.name)
    if data is None:
        return error_reply(404, "BLOB_UPLOAD_UNKNOWN")
    if not _DIGEST.fullmatch(digest):
        return error_reply(400, "DIGEST_INVALID")
    del store.uploads[exchange.name]
    return _finish(exchange, store, digest, bytes(data) + exchange.body())


def cancel_upload(exchange: Exchange, store: Store) -> Reply:
    """DELETE of a session."""
    known = store.uploads.pop(exchange.name, None) is not None
    return Reply(204) if known else error_reply(404, "BLOB_UPLOAD_UNKNOWN")


def get_manifest(exchange: Exchange, store: Store) -> Reply:
    """By tag or digest."""
    manifest = store.repository(exchange.repository).manifest(exchange.name)
    if manifest is None:
        return error_reply(404, "MANIFEST_UNKNOWN", detail={"reference": exchange.name})
    headers = {"content-type": manifest.media_type, "docker-content-digest": manifest.digest}
    return Reply(200, headers, manifest.raw)


def put_manifest(exchange: Exchange, store: Store) -> Reply:
    """Stored only if everything that it names is there, and it is what its digest says."""
    manifest = StoredManifest(exchange.headers.get("content-type", ""), exchange.body())
    if refusal := _refusal(exchange, store, manifest):
        return refusal
    repository = store.repository(exchange.repository)
    repository.manifests[manifest.digest] = manifest
    if exchange.name != manifest.digest:
        repository.tags[exchange.name] = manifest.digest
    subject = manifest.fields.get("subject")
    reply = _created(exchange, manifest.digest, "manifests")
    return reply.with_headers(OCI_Subject=subject["digest"]) if isinstance(subject, dict) else reply


def delete_manifest(exchange: Exchange, store: Store) -> Reply:
    """A manifest with its tags, or one tag."""
    repository = store.repository(exchange.repository)
    if repository.tags.pop(exchange.name, None) is not None:
        return Reply(202)
    if repository.manifests.pop(exchange.name, None) is None:
        return error_reply(404, "MANIFEST_UNKNOWN")
    repository.tags = {tag: digest for tag, digest in repository.tags.items() if digest != exchange.name}
    return Reply(202)


def list_tags(exchange: Exchange, store: Store) -> Reply:
    """In order, `n` at a time after `last`, with a Link to the next page."""
    if exchange.repository not in store.repositories:
        return error_reply(404, "NAME_UNKNOWN")
    tags = sorted(store.repository(exchange.repository).tags)
    rest = [tag for tag in tags if tag > exchange.query.get("last", "")]
    count = int(exchange.query.get("n") or len(rest))
    reply = json_reply(200, {"name": exchange.repository, "tags": rest[:count]})
    if 0 < count < len(rest):
        link = f'</v2/{exchange.repository}/tags/list?n={count}&last={rest[count - 1]}>; rel="next"'
        return reply.with_headers(Link=link)
    return reply


def referrers(exchange: Exchange, store: Store) -> Reply:
    """An index of the manifests whose `subject` is this one."""
    wanted = exchange.query.get("artifactType", "")
    found = [
        _referrer(manifest) for manifest in store.repository(exchange.repository).referrers(exchange.name)
    ]
    chosen = [entry for entry in found if wanted in ("", entry["artifactType"])]
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": chosen}
    reply = json_reply(200, index, _INDEX)
    return reply.with_headers(OCI_Filters_Applied="artifactType") if wanted else reply


def _referrer(manifest: StoredManifest) -> dict[str, object]:
    fields = manifest.fields
    config = fields.get("config") or {}
    return {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.raw),
        "artifactType": fields.get("artifactType") or config.get("mediaType", ""),
        "annotations": fields.get("annotations") or {},
    }


def _refusal(exchange: Exchange, store: Store, manifest: StoredManifest) -> Reply | None:
    if not manifest.fields or manifest.fields.get("mediaType", manifest.media_type) != manifest.media_type:
        return error_reply(400, "MANIFEST_INVALID")
    if ":" in exchange.name and exchange.name != manifest.digest:
        return error_reply(400, "DIGEST_INVALID")
    if ":" not in exchange.name and not _TAG.fullmatch(exchange.name):
        return error_reply(400, "TAG_INVALID")
    if absent := store.missing(exchange.repository, manifest):
        return error_reply(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {"digest": absent[0]})
    return None


def _finish(exchange: Exchange, store: Store, digest: str, data: bytes) -> Reply:
    if digest_of(data) != digest:
        return error_reply(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
    return _created(exchange, store.add_blob(exchange.repository, data))


def _created(exchange: Exchange, digest: str, kind: str = "blobs") -> Reply:
    location = f"/v2/{exchange.repository}/{kind}/{digest}"
    return Reply(201, {"location": location, "docker-content-digest": digest})


def _progress(exchange: Exchange, status: int, size: int) -> Reply:
    headers = {"location": _session(exchange, exchange.name), "range": f"0-{max(0, size - 1)}"}
    return Reply(status, {**headers, "docker-upload-uuid": exchange.name})


def _session(exchange: Exchange, session: str) -> str:
    return f"/v2/{exchange.repository}/blobs/uploads/{session}"


ROUTES: dict[str, Callable[[Exchange, Store], Reply]] = {
    "GET base": base,
    "HEAD blob": get_blob,
    "GET blob": get_blob,
    "DELETE blob": delete_blob,
    "POST uploads": start_upload,
    "GET upload": upload_status,
    "PATCH upload": patch_upload,
    "PUT upload": put_upload,
    "DELETE upload": cancel_upload,
    "HEAD manifest": get_manifest,
    "GET manifest": get_manifest,
    "PUT manifest": put_manifest,
    "DELETE manifest": delete_manifest,
    "GET tags": list_tags,
    "GET referrers": referrers,
}
