"""The images of whole repositories that stand on an outdated base (`rebase --all-from`).

1. all tags of each repository, and what each points to; several tags of one image are one candidate
2. candidates: those whose annotations (or else labels) name the old base
3. a plan for each: what cannot be rebased is listed with the reason, and keeps nobody else from it

What an image says of itself only chooses it: the plan checks that it stands on that base.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from buildkit.endpoints import Source
from buildkit.errors import InvalidInput, NotFound, Refused, TreeshipError
from buildkit.image.annotations import BASE_DIGEST, BASE_NAME
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.reference import Reference, RegistryReference
from buildkit.rebase.plan import Onto, Plan, Workshop, plan
from buildkit.rebase.read import image_of, read
from buildkit.rebase.target import Target, aim, is_commit_tag
from buildkit.registry.parallel import each
from buildkit.transports import Connect, open_source

# Referrers, and what cosign hangs on an image (distribution-spec, "Referrers Tag Schema").
_ATTACHED = re.compile(r"sha256-[0-9a-f]{64}(?:\..*)?")


@runtime_checkable
class Listing(Source, Protocol):
    """A source that can say which tags there are."""

    def tags(self) -> list[str]:
        """All of them."""


class Candidate(NamedTuple):
    """An image of a repository, by digest, and all its tags there."""

    repository: RegistryReference
    source: Source
    document: Document
    tags: tuple[str, ...]

    @property
    def reference(self) -> RegistryReference:
        """The image by its digest."""
        return self.repository._replace(digest=self.document.digest)


class Outcome(NamedTuple):
    """A candidate with its plan and where it goes, or with the reason why there is none.

    `held` are the tags of commits that stay where they are; where there are no others, there is no plan either.
    """

    candidate: Candidate
    plan: Plan | None = None
    target: Target | None = None
    held: tuple[str, ...] = ()
    error: TreeshipError | None = None


class Outdated(NamedTuple):
    """Which base is outdated: by digest; or by name, whatever digest it had when an image was built on it."""

    name: str
    digest: Digest | None

    @classmethod
    def of(cls, reference: Reference) -> Outdated:
        """By digest where the reference has one. InvalidInput for anything but a registry's."""
        if not isinstance(reference, RegistryReference):
            raise InvalidInput(
                f"images do not say that they stand on {reference}", "name a base of a registry"
            )
        return cls("" if reference.digest else str(reference), reference.digest)

    def is_named(self, said: Mapping[str, str]) -> bool:
        """Whether these annotations or labels name it."""
        if self.digest is not None:
            return said.get(BASE_DIGEST) == self.digest
        return said.get(BASE_NAME) == self.name


def repository(reference: Reference) -> RegistryReference:
    """InvalidInput for what is no repository of a registry, or has a tag or digest."""
    if not isinstance(reference, RegistryReference) or reference.tag or reference.digest:
        raise InvalidInput(
            f"{reference} is no repository", "with --all-from, name repositories: docker://host/name"
        )
    return reference


class Search(NamedTuple):
    """The candidates of a repository, and the number of tags that were looked at."""

    candidates: tuple[Candidate, ...]
    tags: int


def search(connect: Connect, place: RegistryReference, outdated: Outdated, jobs: int) -> Search:
    """The images of a repository that say that they stand on that base, with their tags, in the order of the list.

    `jobs` tags are looked at at once; of other images nothing is kept. Raises what listing the tags does.
    """
    source = open_source(place, connect)
    if not isinstance(source, Listing):
        raise InvalidInput(f"{place.host} does not list tags", "name the images one by one")
    tags = [tag for tag in source.tags() if not _ATTACHED.fullmatch(tag)]

    def look(tag: str, _stop: Callable[[], None]) -> Document | None:
        try:
            document = source.document(tag)
        except NotFound:
            return None  # deleted since it was listed
        return document if any(outdated.is_named(said) for said in _said(source, document)) else None

    found: dict[Digest, Candidate] = {}
    for tag, document in zip(tags, each(tags, look, jobs), strict=True):
        if document is not None:
            known = found.get(document.digest, Candidate(place, source, document, ()))
            found[document.digest] = known._replace(tags=(*known.tags, tag))
    return Search(tuple(found.values()), len(tags))


def outcome(workshop: Workshop, candidate: Candidate, onto: Onto, *, retag: bool) -> Outcome:
    """The plan of one image, written back under its own tags; those of commits move with `retag` only."""
    held = () if retag else tuple(tag for tag in candidate.tags if is_commit_tag(tag, candidate.document))
    moved = tuple(tag for tag in candidate.tags if tag not in held)
    if not moved:
        return Outcome(candidate, held=held)
    try:
        made = plan(workshop, read(candidate.reference, candidate.source, candidate.document), onto)
        if not made.changed:
            return Outcome(candidate, made)
        target = aim(made, workshop.registries, to=None, tags=moved, retag=retag)
    except (InvalidInput, Refused) as error:
        return Outcome(candidate, held=held, error=error)
    return Outcome(candidate, made, target, held)


def _said(source: Source, document: Document) -> Iterator[Mapping[str, str]]:
    """Annotations, and the labels of an image that has none of them: Docker's manifests know no annotations."""
    if isinstance(document, Index) and BASE_NAME not in document.annotations:
        children = [entry for _, entry in document.images()][:1]
        for entry in children:
            child = source.document(entry.digest)
            if isinstance(child, Manifest):
                yield from _said(source, child)
        return
    yield document.annotations
    if isinstance(document, Manifest) and BASE_NAME not in document.annotations:
        try:
            yield image_of(source, document).config.runtime.get("Labels") or {}
        except InvalidInput:
            return  # no image, or a broken one: it names no base
