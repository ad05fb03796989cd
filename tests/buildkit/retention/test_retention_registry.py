"""A repository of a registry: what is read of it, what is removed from it, and what is not believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildkit.endpoints import Silent
from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, NotFound, TreeshipError, Unavailable
from buildkit.image import media
from buildkit.image.digest import Digest
from buildkit.image.reference import RegistryReference
from buildkit.registry import Registries
from buildkit.registry.listing import tags
from buildkit.retention.applying import Rest, shrink
from buildkit.retention.keep import Keep
from buildkit.retention.plan import Plan, Removal, Rules
from buildkit.retention.registry import RegistryShelf
from buildkit.retention.shelf import Done, plan_for, take_stock
from buildkit.testing.registry import Exchange, InProcessRegistry, Store, Tokens, faults
from tests.buildkit import images
from tests.buildkit.registry.raw import Raw, everywhere
from tests.buildkit.registry.support import Client, Serve
from tests.buildkit.retention.support import commit, gone_tags, keeping

ONE, TWO, THREE = commit(1), commit(2), commit(3)
KNOWN = (ONE, TWO, THREE)
NOW = 1_800_000_000
RULES = Rules()
AMD64 = images.image(images.layer({"a": b"amd64"}))
ARM64 = images.image(images.layer({"a": b"arm64"}), platform=images.ARM64)
INDEX = images.index(AMD64, ARM64)
OTHER = images.image(images.layer({"b": b"other"}))


class Site:
    """One repository of a registry, and the verb's steps on it."""

    def __init__(self, registries: Registries, host: str, name: str = "team/app") -> None:
        self.registries = registries
        self.reference = RegistryReference(host, name)
        self.place = f"docker://{self.reference.name}"
        self.repository = registries.repository(self.reference, "pull,push,delete")
        self.shelf = RegistryShelf(self.repository, Silent(), 4)

    def push(self, made: images.Made, *names: str) -> Digest:
        self.registries.sink(self.reference).publish(made.work(*names))
        return made.target.digest

    def attach(self, subject: images.Made, text: str, *names: str) -> Digest:
        """A signature: a manifest with a subject, by its digest and under these tags."""
        made = images.image(images.layer({"signature": text.encode()}))
        self.push(made, "for-a-moment")
        fields: dict[str, Any] = {
            **json.loads(made.target.raw),
            "subject": subject.target.descriptor.to_json(),
        }
        document = type(made.target)(json.dumps(fields).encode())
        for name in (document.digest, *names):
            self.repository.put_manifest(name, document)
        return document.digest

    def plan(self, keep: Keep, rules: Rules = RULES) -> Plan:
        stock = take_stock(self.place, self.shelf, keep, rules)
        return plan_for(self.place, self.shelf, stock, keep, rules, NOW)[0]

    def rest(self, planned: Plan, keep: Keep, rules: Rules = RULES) -> Rest:
        digests = [removal.digest for removal in planned.removals]
        stock = take_stock(self.place, self.shelf, keep, rules, digests)
        now = plan_for(self.place, self.shelf, stock, keep, rules, NOW, digests)
        return shrink(planned.removals, *now)

    def apply(self, planned: Plan, keep: Keep) -> Done:
        return self.shelf.remove(self.rest(planned, keep))

    def has(self, digest: Digest) -> bool:
        return self.repository.find_manifest(digest) is not None


@pytest.fixture
def registry(serve: Serve) -> InProcessRegistry:
    return serve()


@pytest.fixture
def site(client: Client, registry: InProcessRegistry) -> Site:
    found = Site(client(), registry.host)
    found.push(INDEX, ONE)
    found.push(OTHER, TWO, "main")
    return found


# Every registry


@everywhere
def test_what_nothing_names_goes_and_the_rest_stays_whole(client: Client, raw: Raw) -> None:
    """The double, docker-registry, and go-containerregistry's, which keeps the tags of what it deletes."""
    site = Site(client(), raw.host, raw.repository)
    site.push(INDEX, ONE)
    site.push(AMD64, TWO)
    site.push(OTHER, THREE, "main")
    keep = keeping(tips=[TWO], known=KNOWN)
    plan = site.plan(keep)
    assert gone_tags(plan) == {ONE}

    done = site.apply(plan, keep)

    assert done == Done(2, 0)
    assert set(tags(site.repository)) == {TWO, THREE, "main"}
    assert [site.has(made.target.digest) for made in (INDEX, ARM64, AMD64)] == [False, False, True]
    assert site.plan(keep).removals == ()
    assert site.apply(plan, keep) == Done(0, 2)


@everywhere
def test_signatures_go_with_their_image(client: Client, raw: Raw) -> None:
    site = Site(client(), raw.host, raw.repository)
    for made, name in ((AMD64, ONE), (OTHER, TWO)):
        site.push(made, name)
        site.attach(made, name, f"sha256-{made.target.digest.hex}.sig")
    keep = keeping(tips=[TWO], known=KNOWN)

    site.apply(site.plan(keep), keep)

    left = {TWO, f"sha256-{OTHER.target.digest.hex}.sig", "for-a-moment"}
    assert set(tags(site.repository)) == left


def test_signatures_without_a_tag_are_asked_for(site: Site) -> None:
    signature = site.attach(INDEX, "of the index")
    other = site.attach(OTHER, "of the other")
    second = site.attach(ARM64, "of a part")
    keep = keeping(known=KNOWN)

    site.apply(site.plan(keep), keep)

    assert [site.has(one) for one in (signature, second, other)] == [False, False, True]


def test_a_registry_that_lists_no_referrers_is_asked_once(
    client: Client, site: Site, registry: InProcessRegistry
) -> None:
    registry.faults[:] = [faults.NoReferrers()]

    assert len(site.plan(keeping(known=KNOWN)).removals) == 3
    assert registry.count("GET referrers") == 1


# Dates


def test_an_image_without_an_annotation_is_as_old_as_its_config(site: Site) -> None:
    """2 January 2026; an index is as old as its newest image."""
    plan = site.plan(keeping(known=KNOWN))

    assert [removal.created for removal in plan.removals if ONE in removal.tags] == ["2026-01-02T03:04:05Z"]


def test_configs_are_read_only_where_the_age_matters(site: Site, registry: InProcessRegistry) -> None:
    registry.store.repository("team/app").tags = {"main": str(OTHER.target.digest)}
    registry.log.clear()

    site.plan(keeping())

    assert registry.count("GET blob") == 0


# What cannot be read


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.Status(401, "GET manifest", skip=1), AccessDenied),
        (faults.Status(403, "GET manifest", skip=1), AccessDenied),
        (faults.Status(500, "GET manifest", skip=1), Unavailable),
        (faults.Status(429, "GET tags"), Unavailable),
        (faults.Status(401, "GET tags"), AccessDenied),
        (faults.Status(500, "GET blob"), Unavailable),
        (faults.Status(500, "GET referrers"), Unavailable),
        (faults.Status(403, "GET referrers"), AccessDenied),
        (faults.ManifestBytes(b"[]", honest=True), CorruptContent),
        (faults.ManifestBytes(b"{", honest=True), CorruptContent),
        (faults.ManifestBytes(b'{"manifests": [{}]}', honest=True), CorruptContent),
        (faults.ManifestBytes(b'{"layers": [], "subject": 1}', honest=True), CorruptContent),
        (faults.ManifestBytes(b'{"layers": []}'), CorruptContent),
        (faults.DropBefore("GET manifest"), Unavailable),
        (faults.TagPages("elsewhere"), CorruptContent),
    ],
)
def test_what_cannot_be_read_ends_it_before_anything_is_removed(
    site: Site, registry: InProcessRegistry, fault: faults.Fault, error: type[TreeshipError]
) -> None:
    keep = keeping(known=KNOWN)
    planned = site.plan(keep)
    registry.faults[:] = [fault]

    with pytest.raises(error):
        site.apply(planned, keep)

    assert registry.count("DELETE manifest") == 0


def test_a_manifest_of_a_kind_that_nobody_knows_stays_and_hurts_nobody(
    site: Site, registry: InProcessRegistry
) -> None:
    strange = b'{"mediaType": "application/vnd.example.strange", "what": [1, 2]}'
    registry.store.add_manifest("team/app", strange, "application/vnd.example.strange", "chart")

    assert gone_tags(site.plan(keeping(known=KNOWN))) == {ONE}


def test_a_strange_manifest_under_a_commits_tag_has_no_date(site: Site, registry: InProcessRegistry) -> None:
    registry.store.add_manifest("team/app", b'{"what": 1}', "application/vnd.example.strange", THREE)

    assert gone_tags(site.plan(keeping(known=KNOWN))) == {ONE}


class Goes(faults.Fault):
    """Somebody else removes `tag` when it is about to be read."""

    def __init__(self, tag: str) -> None:
        super().__init__("GET manifest")
        self._tag = tag

    def before(self, exchange: Exchange, store: Store) -> None:
        if exchange.name == self._tag:
            store.repository(exchange.repository).tags.pop(self._tag, None)


def test_a_tag_that_goes_while_it_is_read_is_no_matter(site: Site, registry: InProcessRegistry) -> None:
    registry.faults[:] = [Goes("main")]

    assert gone_tags(site.plan(keeping(known=KNOWN))) == {ONE, TWO}


def test_a_tag_that_is_listed_and_cannot_be_read_may_hold_anything(
    site: Site, registry: InProcessRegistry
) -> None:
    """A wrong 404 for `main`, once, must not cost what `main` stands for."""
    registry.faults[:] = [faults.Status(404, "GET manifest", times=1)]

    with pytest.raises(Unavailable, match="cannot be kept"):
        site.plan(keeping(known=KNOWN))


# Registries that delete in ways of their own


def test_a_registry_that_deletes_nothing(site: Site, registry: InProcessRegistry) -> None:
    registry.faults[:] = [faults.NoDeletes()]
    keep = keeping(known=KNOWN)

    with pytest.raises(InvalidInput, match="does not delete"):
        site.apply(site.plan(keep), keep)

    assert site.has(INDEX.target.digest)


@pytest.mark.parametrize("fault", [faults.TagsStay, faults.TagsFirst, faults.OnlyDigests, faults.NoReferrers])
def test_other_ways_of_deleting(site: Site, registry: InProcessRegistry, fault: type[faults.Fault]) -> None:
    registry.faults[:] = [fault()]
    keep = keeping(known=KNOWN)

    site.apply(site.plan(keep), keep)

    assert set(tags(site.repository)) == {TWO, "main"}
    assert [site.has(made.target.digest) for made in (INDEX, AMD64, ARM64, OTHER)] == [False] * 3 + [True]


def test_tags_that_can_neither_stay_nor_go_end_it_before_their_images_go(
    site: Site, registry: InProcessRegistry
) -> None:
    registry.faults[:] = [faults.TagsStay(), faults.OnlyDigests()]
    keep = keeping(known=KNOWN)

    with pytest.raises(InvalidInput, match="HTTP 400"):
        site.apply(site.plan(keep), keep)

    assert site.has(AMD64.target.digest)


def test_trouble_that_passes(site: Site, registry: InProcessRegistry) -> None:
    registry.faults[:] = [
        faults.Status(503, "DELETE manifest", times=2),
        faults.DropBefore("DELETE manifest", times=1),
    ]
    keep = keeping(known=KNOWN)

    site.apply(site.plan(keep), keep)

    assert not site.has(ARM64.target.digest)


def test_tokens(client: Client, serve: Serve) -> None:
    """Short ones too: each serves a few requests only."""
    registry = serve(access=Tokens(uses=5))
    site = Site(client(), registry.host)
    site.push(INDEX, ONE)
    keep = keeping(known=KNOWN)

    assert site.apply(site.plan(keep), keep) == Done(3, 0)


# What changes between plan and apply


def test_a_tag_that_moved_stays_and_so_does_what_it_named(site: Site, registry: InProcessRegistry) -> None:
    keep = keeping(known=KNOWN)
    plan = site.plan(keep)
    registry.store.repository("team/app").tags[ONE] = str(OTHER.target.digest)

    rest = site.rest(plan, keep)

    assert rest.waves == ()
    assert {spared.why.partition(" ")[0] for spared in rest.spared} == {"the", "it"}


def test_a_new_tag_on_what_was_to_go_holds_it(site: Site, registry: InProcessRegistry) -> None:
    keep = keeping(known=KNOWN)
    plan = site.plan(keep)
    registry.store.repository("team/app").tags["production"] = str(ARM64.target.digest)

    site.apply(plan, keep)

    assert [site.has(made.target.digest) for made in (INDEX, AMD64, ARM64)] == [False, False, True]


def test_what_is_named_by_now_stays(site: Site) -> None:
    plan = site.plan(keeping(known=KNOWN))

    for keep in (keeping(tips=[ONE], known=KNOWN), keeping(INDEX.target.digest, known=KNOWN)):
        rest = site.rest(plan, keep)
        assert (rest.waves, len(rest.spared)) == ((), 3)


def test_a_plan_that_was_written_by_somebody_else_removes_nothing_that_is_needed(
    site: Site, registry: InProcessRegistry
) -> None:
    """Lines for what `main` needs, for its signature, for a tag that is not there, for an address."""
    signature = site.attach(OTHER, "of the other")
    keep = keeping(known=KNOWN)
    lines = (
        Removal(OTHER.target.digest, ("main", TWO)),
        Removal(signature, (), "", "attached"),
        Removal(Digest.of(b"nothing"), ("../../blobs/x?y",)),
    )
    plan = site.plan(keep)._replace(removals=lines)

    site.apply(plan, keep)

    assert site.has(OTHER.target.digest)
    assert site.has(signature)
    assert not [entry for entry in registry.log if ".." in entry.path]


def test_media_types_of_docker(client: Client, serve: Serve) -> None:
    registry = serve()
    site = Site(client(), registry.host)
    site.push(images.image(images.layer({"a": b"docker"}), docker=True), ONE)

    assert gone_tags(site.plan(keeping(known=KNOWN))) == {ONE}
    assert registry.store.repository("team/app").manifest(ONE) is not None
    assert media.DOCKER_MANIFEST in {
        m.media_type for m in registry.store.repository("team/app").manifests.values()
    }


def test_an_index_below_an_index_that_cannot_be_read_may_hold_anything(
    site: Site, registry: InProcessRegistry
) -> None:
    entry = {"mediaType": media.OCI_INDEX, "digest": INDEX.target.digest, "size": len(INDEX.target.raw)}
    outer = json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}).encode()
    registry.store.add_manifest("team/app", outer, media.OCI_INDEX, "all")
    assert site.plan(keeping(known=KNOWN)).removals == ()

    del registry.store.repository("team/app").tags[ONE]
    registry.faults[:] = [faults.Status(404, "GET manifest", skip=3, times=1)]
    with pytest.raises(Unavailable, match="which an index names"):
        site.plan(keeping(known=KNOWN))
    del registry.store.repository("team/app").tags["all"]


def test_what_is_to_be_kept_has_to_be_there(site: Site) -> None:
    missing = Digest.of(b"missing")

    with pytest.raises(NotFound, match="is to be kept"):
        site.plan(keeping(f"{site.reference.name}@{missing}", known=KNOWN))
    assert gone_tags(site.plan(keeping(missing, f"other.example/app@{missing}", known=KNOWN))) == {ONE}
