"""`Sink` for a registry: blobs in parallel, then manifests (children first), the tags last.

1. Nothing at all where a look-up in this run showed every tag at the digest already.
2. Each blob not known to be there: HEAD; else a mount from a repository of the same host; else POST and PUT.
3. Child manifests by digest.
4. The last document under each tag. Where the registry misses a blob that was believed to be there, those
   blobs are sent for real, and the manifest once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from buildkit.endpoints import Action, Blob, Progress, Publication, Receipt
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document
from buildkit.registry import errors
from buildkit.registry.client import Repository
from buildkit.registry.options import RegistryOptions
from buildkit.registry.parallel import Ahead, each
from buildkit.registry.upload import Uploader

# Threads that send while layers are made: making them takes most of two processors.
_AHEAD = 2


class RegistrySink:
    """One repository to write to. Safe to repeat after any interruption: what is there is not sent again."""

    def __init__(self, repository: Repository, options: RegistryOptions, progress: Progress) -> None:
        self._repository = repository
        self._options = options
        self._progress = progress
        self._tags: dict[str, Digest] = {}
        self._ahead: Ahead[Blob, tuple[Digest, Action]] | None = None

    def lookup(self, tag: str) -> Document | None:
        """What the tag points to now: one request. The digest is remembered, to save `publish` its own."""
        document = self._repository.find_manifest(tag)
        if document is None:
            self._tags.pop(tag, None)
        else:
            self._tags[tag] = document.digest
        return document

    def survey(self, work: Publication) -> Receipt:
        """What `publish` would do, by HEAD requests alone."""
        if self._done(work):
            return _all_reused(work)

        def look(blob: Blob, _stop: Callable[[], None]) -> Action:
            if blob.digest in work.present or self._repository.has_blob(blob.descriptor):
                return Action.REUSE
            return Action.MOUNT if self._mountable(blob) else Action.PUSH

        return Receipt(self._for_each(work.blobs, look))

    def offer(self, blob: Blob) -> None:
        """Begin to send a blob that `publish` will be about. Raises what went wrong with an earlier one."""
        if self._ahead is None:
            self._ahead = Ahead(lambda item, stop: (item.digest, self._settle(item, (), stop)), _AHEAD)
        self._ahead.give(blob)

    def publish(self, work: Publication) -> Receipt:
        """Blobs, manifests, tags, in this order. A tag never points to something that is not wholly there."""
        sent = dict(self._ahead.finish()) if self._ahead else {}
        self._ahead = None
        if self._done(work):
            return _all_reused(work)
        rest = [blob for blob in work.blobs if blob.digest not in sent]
        actions = sent | self._for_each(rest, lambda blob, stop: self._settle(blob, work.present, stop))
        for document in work.documents[:-1]:
            self._put(document.digest, document, work, actions)
        self._name(work, actions)
        return Receipt(actions)

    def _name(self, work: Publication, actions: dict[Digest, Action]) -> None:
        """Put the target under its tags: once alone, which may reveal missing blobs, then the others at once."""
        target = work.target.digest
        first, *others = [tag for tag in work.tags or (target,) if self._tags.get(tag) != target] or [""]
        if first:
            self._put(first, work.target, work, actions)
        each(others, lambda tag, _stop: self._put(tag, work.target, work, actions), self._options.parallel)
        self._tags.update(dict.fromkeys(work.tags, target))

    def _done(self, work: Publication) -> bool:
        """Whether a tag was seen at the digest, and none that is wanted elsewhere; `work.tags` may be empty by then."""
        digest = work.target.digest
        return digest in self._tags.values() and all(self._tags.get(tag) == digest for tag in work.tags)

    def _mountable(self, blob: Blob) -> bool:
        repository = self._repository
        return (
            blob.origin is not None
            and blob.origin[0] == repository.host
            and blob.origin[1] != repository.name
        )

    def _settle(self, blob: Blob, present: Iterable[Digest], stop: Callable[[], None]) -> Action:
        """Have the blob there, by the cheapest way."""
        if blob.digest in present or self._repository.has_blob(blob.descriptor):
            return Action.REUSE
        location = None
        if blob.origin is not None and self._mountable(blob):
            location = self._repository.mount(blob.digest, blob.origin[1])
            if location is None:
                return Action.MOUNT
        self._uploader(stop).send(blob, location)
        return Action.PUSH

    def _put(self, name: str, document: Document, work: Publication, actions: dict[Digest, Action]) -> None:
        answer = self._repository.put_manifest(name, document)
        if answer.status >= 300:
            self._send_missing(answer.body, work, actions)
            answer = self._repository.put_manifest(name, document)
        if answer.status >= 300:
            raise self._repository.refused(answer, f"writing {name} to")

    def _send_missing(self, refusal: bytes, work: Publication, actions: dict[Digest, Action]) -> None:
        """Blobs that were believed to be there (a cached HEAD, a manifest seen long ago) and are not.

        Those that the registry names are sent whatever HEAD says; registries that name only the first one are
        why the others are looked for again.
        """
        believed = [blob for blob in work.blobs if actions.get(blob.digest) is not Action.PUSH]
        named = errors.parse_errors(refusal).digests & {blob.digest for blob in believed}

        def mend(blob: Blob, stop: Callable[[], None]) -> Action:
            if named and blob.digest not in named:
                return self._settle(blob, (), stop)
            self._uploader(stop).send(blob)
            return Action.PUSH

        actions.update(self._for_each(believed, mend))

    def _uploader(self, stop: Callable[[], None]) -> Uploader:
        return Uploader(self._repository, self._options, self._progress, stop)

    def _for_each(
        self, blobs: Iterable[Blob], act: Callable[[Blob, Callable[[], None]], Action]
    ) -> dict[Digest, Action]:
        # Largest first, so that the last thread to end is not the one with everything still to do.
        unique = sorted(
            {blob.digest: blob for blob in blobs}.values(), key=lambda blob: -blob.descriptor.size
        )
        return dict(
            zip((blob.digest for blob in unique), each(unique, act, self._options.parallel), strict=True)
        )


def _all_reused(work: Publication) -> Receipt:
    return Receipt({blob.digest: Action.REUSE for blob in work.blobs})
