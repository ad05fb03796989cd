"""Lists of tags and referrers, and deleting: of the double and the real registries, and where they misbehave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildkit.errors import CorruptContent, InvalidInput, NotFound, Unavailable
from buildkit.image import media
from buildkit.image.digest import Digest
from buildkit.registry import Registries, listing
from buildkit.registry.client import Repository
from buildkit.testing.registry import Tokens, faults
from tests.buildkit.registry.raw import Raw, everywhere, like_debian, only_debian, rig
from tests.buildkit.registry.support import IMAGE, Client, Serve, at, filled, log_in
from tests.rigs.docker_registry import DockerRegistry, Login
from tests.rigs.fixtures import Start
from tests.rigs.token_server import TokenServer

EVERYTHING = "pull,push,delete"


def repository(registries: Registries, host: str, name: str = "team/app") -> Repository:
    return registries.repository(at(host, name), EVERYTHING)


def put(raw: Raw, text: bytes, *tags: str) -> Digest:
    manifest = raw.manifest(text)
    for tag in tags:
        assert raw.put(tag, manifest).status == 201
    return Digest.of(manifest)


# Tags


@everywhere
def test_all_tags_however_many_come_at_a_time(client: Client, raw: Raw) -> None:
    put(raw, b"one", *(f"tag-{number}" for number in range(7)))

    found = listing.tags(repository(client(), raw.host, raw.repository))

    assert sorted(found) == [f"tag-{number}" for number in range(7)]
    assert client().source(at(raw.host, raw.repository)).tags() == found


@everywhere
def test_no_repository_has_no_tags(client: Client, raw: Raw) -> None:
    with pytest.raises(NotFound):
        listing.tags(repository(client(), raw.host, raw.repository))


@like_debian
def test_a_repository_whose_tags_are_gone_has_none(client: Client, raw: Raw) -> None:
    there = repository(client(), raw.host, raw.repository)
    digest = put(raw, b"one", "only")

    assert listing.delete(there, digest)

    assert listing.tags(there) == []


@only_debian
def test_debian_sends_all_tags_whatever_it_is_asked_for(raw: Raw) -> None:
    put(raw, b"one", "a", "b", "c")

    answer = raw.ask("GET", "tags/list?n=2")

    assert sorted(json.loads(answer.body)["tags"]) == ["a", "b", "c"]
    assert "link" not in answer.headers


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000, 2500])
@pytest.mark.parametrize("how", ["linked", "silent", "unpaged", "small"])
def test_pages_of_every_kind(client: Client, serve: Serve, how: str, count: int) -> None:
    """With a Link, without one though there is more, all at once, and fewer than were asked for."""
    registry = filled(serve, *([] if how == "linked" else [faults.TagPages(how, 300)]))
    tags = {f"t{number:05}": str(IMAGE.target.digest) for number in range(count)}
    registry.store.repository("team/app").tags = tags

    assert sorted(listing.tags(repository(client(), registry.host))) == sorted(tags)


@pytest.mark.parametrize(
    ("how", "words"),
    [("elsewhere", "another host"), ("circle", "a page that was there"), ("again", "what was there before")],
)
def test_pages_that_lead_astray_are_not_believed(client: Client, serve: Serve, how: str, words: str) -> None:
    registry = filled(serve, faults.TagPages(how))

    with pytest.raises(CorruptContent, match=words):
        listing.tags(repository(client(), registry.host))


def test_pages_without_end_come_to_an_end(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.TagPages("endless"))

    with pytest.raises(CorruptContent, match="more than 50 entries"):
        listing.tags(repository(client(), registry.host), limit=50)


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"tags": "v1"}', b'{"tags": [1]}', b'{"tags": ["../up"]}', b'{"tags": ["a/b"]}']
)
def test_a_list_that_is_none_is_not_believed(client: Client, serve: Serve, body: bytes) -> None:
    registry = filled(serve, faults.Status(200, "GET tags", body=body))

    with pytest.raises(CorruptContent):
        listing.tags(repository(client(), registry.host))


def test_a_registry_in_trouble_has_no_list(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.Status(503, "GET tags", skip=1))
    registry.store.repository("team/app").tags = {f"t{n:05}": str(IMAGE.target.digest) for n in range(1500)}

    with pytest.raises(Unavailable):
        listing.tags(repository(client(), registry.host))


# Referrers


def test_referrers(client: Client, serve: Serve) -> None:
    registry = filled(serve)
    subject = IMAGE.target.descriptor.to_json()
    raw = json.dumps({**json.loads(IMAGE.target.raw), "subject": subject}).encode()
    digest = registry.store.add_manifest("team/app", raw, media.OCI_MANIFEST)
    there = repository(client(), registry.host)

    found = listing.referrers(there, IMAGE.target.digest)

    assert [entry.digest for entry in found or ()] == [digest]
    assert listing.referrers(there, Digest(digest)) == []


@everywhere
def test_referrers_are_known_or_unknown(client: Client, raw: Raw) -> None:
    digest = put(raw, b"one", "v1")

    assert not listing.referrers(repository(client(), raw.host, raw.repository), digest)


def test_a_registry_without_referrers(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.NoReferrers())

    assert listing.referrers(repository(client(), registry.host), IMAGE.target.digest) is None
    assert listing.fallback_tag(IMAGE.target.digest) == f"sha256-{IMAGE.target.digest.hex}"


# Deleting


@like_debian
def test_deleting_a_digest_takes_its_tags_with_it(client: Client, raw: Raw) -> None:
    there = repository(client(), raw.host, raw.repository)
    digest, other = put(raw, b"one", "a", "b"), put(raw, b"two", "c")

    assert listing.delete(there, digest)
    assert not listing.delete(there, digest), "it is gone already"

    assert listing.tags(there) == ["c"]
    assert there.find_manifest("a") is None
    assert there.get_manifest("c").digest == other


@pytest.mark.parametrize("host", [pytest.param("ggcr_registry", marks=rig)], indirect=True)
def test_go_containerregistry_keeps_the_tags_of_a_deleted_digest(client: Client, raw: Raw) -> None:
    there = repository(client(), raw.host, raw.repository)
    digest = put(raw, b"one", "a")

    assert listing.delete(there, digest)

    assert there.get_manifest("a").digest == digest
    assert listing.delete(there, "a")
    assert there.find_manifest("a") is None


@only_debian
def test_debian_deletes_no_tag_by_its_name(client: Client, raw: Raw) -> None:
    there = repository(client(), raw.host, raw.repository)
    put(raw, b"one", "a")

    with pytest.raises(InvalidInput, match="HTTP 400"):
        listing.delete(there, "a")


@only_debian
def test_debian_deletes_the_child_of_an_index(client: Client, raw: Raw) -> None:
    """No registry of these looks after us: the order of deletions is all that keeps an index whole."""
    child = put(raw, b"one", "a")
    entry = {"mediaType": media.OCI_MANIFEST, "digest": child, "size": len(raw.manifest(b"one"))}
    index = json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}).encode()
    assert raw.ask("PUT", "manifests/index", index, Content_Type=media.OCI_INDEX).status == 201

    assert listing.delete(repository(client(), raw.host, raw.repository), child)

    assert raw.ask("GET", "manifests/index", Accept=media.OCI_INDEX).status == 200


@rig
def test_debian_deletes_nothing_unless_that_is_switched_on(client: Client, start: Start) -> None:
    raw = Raw(start(DockerRegistry(deletes=False)).host)
    digest = put(raw, b"one", "a")

    with pytest.raises(InvalidInput, match="does not delete") as caught:
        listing.delete(repository(client(), raw.host, raw.repository), digest)

    assert "REGISTRY_STORAGE_DELETE_ENABLED" in caught.value.remedy


def test_the_double_refuses_as_debian_does(client: Client, serve: Serve) -> None:
    registry = filled(serve, faults.NoDeletes())

    with pytest.raises(InvalidInput, match="does not delete"):
        listing.delete(repository(client(), registry.host), IMAGE.target.digest)

    registry.faults[:] = [faults.OnlyDigests()]
    with pytest.raises(InvalidInput, match="HTTP 400"):
        listing.delete(repository(client(), registry.host), "v1")
    assert listing.delete(repository(client(), registry.host), IMAGE.target.digest)


def test_deleting_wants_a_token_of_its_own(client: Client, serve: Serve) -> None:
    registry = serve(access=Tokens())
    client().sink(at(registry.host)).publish(IMAGE)

    assert listing.delete(repository(client(), registry.host), IMAGE.target.digest)
    assert any("delete" in entry.path for entry in registry.log if entry.path.startswith("/token"))


@rig
def test_debian_with_tokens(client: Client, start: Start, tmp_path: Path) -> None:
    login = Login("sam", "correct horse")
    tokens = start(TokenServer(users={login.user: login.password}))
    registry = start(DockerRegistry(tokens=tokens))
    registries = client(environ=log_in(tmp_path, registry.host, login))
    registries.sink(at(registry.host)).publish(IMAGE)

    assert listing.delete(repository(registries, registry.host), IMAGE.target.digest)

    assert ("repository:team/app:pull,push,delete",) in [request.scopes for request in tokens.requests]
