"""What a place that holds images must offer: the two ends between which the pure stages stand.

`Source` reads, `Sink` writes. Each transport implements them in a module of its own
(`registry`, `layout.py`, `daemon.py`, `archive.py`); `transports.py` lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Manifest


class Action(StrEnum):
    """What it takes to have a blob at its destination."""

    PUSH = "push"
    MOUNT = "mount"
    REUSE = "reuse"


class Blob(NamedTuple):
    """A config or a layer on its way to a sink.

    `open` gives the bytes from the start, each time it is called: nothing is read (or compressed, or
    downloaded) for a blob that the sink already has. `origin` is (host, repository) where it may be mounted from.
    """

    descriptor: Descriptor
    open: Callable[[], BinaryIO]
    origin: tuple[str, str] | None = None

    @property
    def digest(self) -> Digest:
        """The digest of the compressed bytes."""
        return self.descriptor.digest


class Publication(NamedTuple):
    """One image, or one index with its images, and the names it shall have at one destination.

    `documents` has children before the index; the last one is what the tags point to.
    `present` are blobs that are known to be at the destination, because a manifest was read there that names them.
    """

    documents: tuple[Document, ...]
    blobs: tuple[Blob, ...]
    tags: tuple[str, ...]
    present: frozenset[Digest] = frozenset()

    @property
    def target(self) -> Document:
        """What the tags point to."""
        return self.documents[-1]

    @property
    def images(self) -> tuple[Manifest, ...]:
        """The image manifests."""
        return tuple(document for document in self.documents if isinstance(document, Manifest))


class Receipt(NamedTuple):
    """What was done (or, from `survey`, would be done) with each blob."""

    actions: dict[Digest, Action]

    def bytes_by(self, action: Action, blobs: tuple[Blob, ...]) -> int:
        """Bytes of the blobs that took this action."""
        return sum(blob.descriptor.size for blob in blobs if self.actions.get(blob.digest) is action)


class Source(Protocol):
    """A place to read images from. Everything it hands out has been checked against its digest."""

    def document(self, wanted: str | Digest = "") -> Document:
        """The manifest or index behind a tag or digest (default: the reference's own). Raises NotFound."""

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        """The bytes of a blob; reading past a wrong size or digest raises CorruptContent."""


class Sink(Protocol):
    """A place to write images to. Nothing half-written is ever visible there under a tag."""

    def lookup(self, tag: str) -> Document | None:
        """What the tag points to now."""

    def survey(self, work: Publication) -> Receipt:
        """What `publish` would do; writes nothing."""

    def publish(self, work: Publication) -> Receipt:
        """Blobs, then manifests (children first), then tags; safe to repeat after any interruption."""


@runtime_checkable
class EagerSink(Sink, Protocol):
    """A sink that can take blobs while others are still made."""

    def offer(self, blob: Blob) -> None:
        """Begin to take a blob of the coming `publish`. Raises what went wrong with an earlier one."""


class Traffic:
    """Counts of what went over the wire, shared by all clients of one run. Not a value: it counts."""

    def __init__(self) -> None:
        self.requests = 0
        self.sent = 0
        self.received = 0


class Progress(Protocol):
    """Told about long transfers; the terminal shows bars, CI a line for each."""

    def start(self, label: str, total: int) -> None:
        """A transfer of `total` bytes begins."""

    def advance(self, label: str, count: int) -> None:
        """`count` more bytes of it are done."""

    def finish(self, label: str) -> None:
        """It is done."""


class Silent:
    """Progress for nobody."""

    def start(self, label: str, total: int) -> None:
        """Nothing."""

    def advance(self, label: str, count: int) -> None:
        """Nothing."""

    def finish(self, label: str) -> None:
        """Nothing."""
