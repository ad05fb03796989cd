"""Where a rebased image goes: its tags, which of them may move, and the writing itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from buildkit.copy import tags_of
from buildkit.destinations import Destination, glance, publication, refuse_unfit, stand
from buildkit.endpoints import Publication, Receipt, Sink
from buildkit.errors import InvalidInput, Refused
from buildkit.image.annotations import REVISION, VARIANT
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document
from buildkit.image.reference import LayoutReference, Reference, RegistryReference, Scratch
from buildkit.rebase.plan import Plan
from buildkit.transports import Connect, open_sink

_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})(?:-.*)?")


class Target(NamedTuple):
    """A destination, what is to be done there, and what its tags pointed to when the plan was made."""

    destination: Destination
    sink: Sink
    work: Publication
    seen: dict[str, Digest]

    @property
    def changed(self) -> bool:
        """Whether there is anything to do: a tag that points elsewhere, or a place that cannot tell."""
        return bool(self.work.tags) or not self.destination.tags


def aim(
    plan: Plan, connect: Connect, *, to: Reference | None, tags: Sequence[str] = (), retag: bool
) -> Target:
    """The plan's destination: `to`, else the image's own place and tag, or those `tags` of it.

    Refused where a commit's tag would move without `retag`: whoever deployed it would get something else; and where
    the image's own tag has become another image's since it was read.
    """
    destination = _destination(plan.subject.reference, to, tags)
    refuse_unfit([destination], len(plan.parts))
    sink = open_sink(destination.reference, connect)
    standing = stand(glance(destination, sink, ()), sink, plan.target.digest)
    if to is None:
        _refuse_other(plan, destination, standing.tags)
    if not retag:
        _refuse_moved(plan, destination, standing.tags)
    work = publication(destination, standing, Publication(plan.documents, plan.blobs, ()))
    if _is_home(plan, destination):  # what the image names is there, whatever its tags are
        named = {layer.digest for part in plan.parts for layer in part.before.manifest.layers}
        work = work._replace(present=work.present | named)
    return Target(destination, sink, work, {tag: found.digest for tag, found in standing.tags.items()})


def survey(target: Target) -> Receipt:
    """What `publish` would do."""
    return target.sink.survey(target.work)


def publish(target: Target) -> Receipt:
    """Blobs, manifests, and the tags last. Refused where a tag has been moved since the plan was made."""
    for tag in target.work.tags:
        found = target.sink.lookup(tag)
        if found is not None and found.digest != target.seen.get(tag):
            raise _moved(target.destination, tag, found)
    return target.sink.publish(target.work)


def is_commit_tag(tag: str, document: Document) -> bool:
    """Whether a tag stands for a commit: the image's own, as builds tag it, or any that looks like one."""
    revision, variant = document.annotations.get(REVISION, ""), document.annotations.get(VARIANT, "")
    own = f"{revision}-{variant}" if variant else revision
    return tag == own or bool(_COMMIT.fullmatch(tag))


def _destination(image: Reference, to: Reference | None, tags: Sequence[str]) -> Destination:
    if tags:
        assert isinstance(image, RegistryReference)
        return Destination(image._replace(tag="", digest=None), tuple(tags))
    place = to or image
    if isinstance(place, (RegistryReference, LayoutReference)):
        place = place._replace(digest=None) if to is None else place
        if place.digest is not None:
            raise InvalidInput(f"an image cannot be sent to a digest: {place}", "name a tag")
    found = tags_of(image, place)
    if to is None and not found:
        raise InvalidInput(f"{image} has no tag to write to", "name a place and a tag with --to")
    if isinstance(place, Scratch):
        raise InvalidInput("scratch is no place", "name a place and a tag with --to")
    return Destination(place._replace(tag=""), found)


def _is_home(plan: Plan, destination: Destination) -> bool:
    home, place = plan.subject.reference, destination.reference
    return (
        isinstance(home, RegistryReference)
        and isinstance(place, RegistryReference)
        and (home.host, home.repository) == (place.host, place.repository)
    )


def _refuse_other(plan: Plan, destination: Destination, found: dict[str, Document]) -> None:
    for tag, document in found.items():
        if document.digest not in (plan.subject.document.digest, plan.target.digest):
            raise _moved(destination, tag, document)


def _moved(destination: Destination, tag: str, found: Document) -> Refused:
    return Refused(
        f"{destination.reference}:{tag} has become {found.digest}, which is not the image that was read",
        "run it again, or name the place with --to",
    )


def _refuse_moved(plan: Plan, destination: Destination, found: dict[str, Document]) -> None:
    for tag, document in found.items():
        if document.digest != plan.target.digest and is_commit_tag(tag, plan.subject.document):
            raise Refused(
                f"{destination.reference}:{tag} stands for a commit and is {document.digest} already; "
                f"on its new base the image is {plan.target.digest}",
                "write it under another name with --to, or move the tag with --retag",
            )
