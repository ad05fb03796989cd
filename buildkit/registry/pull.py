"""`Source` for a registry: documents and blobs, all of them checked against their digests."""

from __future__ import annotations

from typing import BinaryIO

from buildkit.endpoints import Blob
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document
from buildkit.image.reference import RegistryReference
from buildkit.registry.client import Repository


class RegistrySource:
    """One repository to read from, and the reference that was asked for."""

    def __init__(self, repository: Repository, reference: RegistryReference) -> None:
        self.reference = reference
        self._repository = repository

    def document(self, wanted: str | Digest = "") -> Document:
        """By tag or digest; else by the reference's digest, its tag, or `latest`. Raises NotFound."""
        wanted = wanted or self.reference.digest or self.reference.tag or "latest"
        return self._repository.get_manifest(wanted)

    def tags(self) -> list[str]:
        """All tags of the repository. Raises NotFound, CorruptContent (`listing.py`)."""
        from buildkit.registry.listing import tags

        return tags(self._repository)

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        """A stream that raises CorruptContent before it hands out the last byte of anything else."""
        return self._repository.open_blob(descriptor)

    def as_blob(self, descriptor: Descriptor) -> Blob:
        """On its way to a sink: opened only where it has to be sent, mounted where it can be."""
        origin = (self.reference.host, self.reference.repository)
        return Blob(descriptor, lambda: self._repository.open_blob(descriptor), origin)
