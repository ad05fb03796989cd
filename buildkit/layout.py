"""OCI image layouts on disk (image-spec, image-layout.md): the transport that needs no service.

Blobs are written to a temporary name in the layout's root, so that `blobs/` only ever holds whole ones, and
renamed to their digest. `index.json` is replaced under a lock file that other tools ignore, after
everything that it names is there. So a writer may die anywhere: readers see the state before or after.
"""

from __future__ import annotations

import json
import os
import stat
from typing import Any, BinaryIO

from buildkit import files
from buildkit.endpoints import Action, Blob, Publication, Receipt
from buildkit.errors import CorruptContent, InvalidInput, NotFound
from buildkit.image import canonical, media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, parse_document
from buildkit.image.reference import LayoutReference
from buildkit.layoutindex import FOREIGN_LAYERS, Entry, choose, entries, pointed
from buildkit.verify import Verified, check, check_digest, verified

LOCK = ".treeship.lock"
VERSION = "1.0.0"


class Layout:
    """The names inside of a layout, and what may be behind them."""

    def __init__(self, reference: LayoutReference) -> None:
        self.reference = reference
        self.root = reference.directory
        self.blobs = os.path.join(self.root, "blobs", "sha256")

    def inside(self, name: str) -> str:
        """The path of something in its root."""
        return os.path.join(self.root, name)

    def path(self, digest: Digest) -> str:
        """A digest is 64 hex digits, so this never leaves the folder."""
        return os.path.join(self.blobs, digest.hex)

    def exists(self) -> bool:
        """Whether this is a layout; CorruptContent for one of another version or with linked folders."""
        try:
            raw = files.read_small(self.inside("oci-layout"), 4096)
        except NotFound:
            return False
        version = canonical.load_object(raw, self.inside("oci-layout")).get("imageLayoutVersion")
        if version != VERSION:
            raise CorruptContent(
                f"{self.root} is an OCI layout of version {version!r}", f"version {VERSION} is known"
            )
        for folder in (self.inside("blobs"), self.blobs):
            if os.path.islink(folder):
                raise CorruptContent(f"{folder} is a symbolic link", "put the folder itself there")
        return True

    def index(self) -> dict[str, Any]:
        """The fields of `index.json`, foreign ones included; those of an empty one before there is any."""
        path = self.inside("index.json")
        if not os.path.lexists(path):
            return {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": []}
        fields = canonical.load_object(files.read_small(path, canonical.DOCUMENT_LIMIT), path)
        if not isinstance(fields.get("manifests"), list):
            raise CorruptContent(
                f"{path} has no list of manifests", "the layout is broken; restore or remove it"
            )
        return fields

    def entries(self) -> list[Entry]:
        """The images; entries of kinds that nobody here knows are left out."""
        return entries(self.index()["manifests"], self.inside("index.json"))

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether a file of this name and size is there: cheap, and interrupted copies have other sizes."""
        try:
            found = os.lstat(self.path(descriptor.digest))
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == descriptor.size

    def read_document(self, digest: Digest, media_type: str = "") -> Document:
        """A manifest or index by its digest, which its bytes are compared with."""
        raw = files.read_small(self.path(digest), canonical.DOCUMENT_LIMIT)
        return parse_document(check_digest(raw, digest, self.path(digest)), media_type)

    def read_entry(self, descriptor: Descriptor) -> Document:
        """A manifest or index as an entry describes it."""
        raw = files.read_small(self.path(descriptor.digest), canonical.DOCUMENT_LIMIT)
        return parse_document(check(raw, descriptor, self.path(descriptor.digest)), descriptor.media_type)

    def write_index(self, fields: dict[str, Any], manifests: list[Any]) -> None:
        """Put `index.json` in place of the one there was, whose `fields` these are. For who holds the lock."""
        # Escaped, unlike `canonical`: a lone surrogate in a foreign entry has to survive.
        raw = json.dumps({**fields, "manifests": manifests}, separators=(",", ":")).encode()
        files.replace(self.inside("index.json"), raw)
        files.sync_directory(self.root)


class LayoutSource:
    """Images of a layout. Writes nothing."""

    def __init__(self, reference: LayoutReference) -> None:
        """Raises NotFound where there is no layout."""
        self._layout = Layout(reference)
        if not self._layout.exists():
            raise NotFound(
                f"no OCI layout in {reference.directory}", "check the path; a layout has a file 'oci-layout'"
            )

    def document(self, wanted: str | Digest = "") -> Document:
        """By digest, by reference name, or (with neither here nor in the reference) the only image there."""
        reference = self._layout.reference
        wanted = wanted or reference.digest or reference.tag
        if isinstance(wanted, Digest) or wanted.startswith("sha256:"):
            return self._layout.read_document(Digest(wanted))
        return self._layout.read_entry(choose(self._layout.entries(), wanted, self._layout.root))

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        """A verifying stream; a sink on the same file system may link its file."""
        path = self._layout.path(descriptor.digest)
        stream = files.open_plain(path)
        size = os.fstat(stream.fileno()).st_size
        if size != descriptor.size:
            stream.close()
            raise CorruptContent(
                f"{path} has {size} bytes, not {descriptor.size}", "the layout is broken; copy it again"
            )
        return Verified(stream, descriptor, path, store_path=path)


class LayoutSink:
    """Writes images to a layout, making it where it does not exist. Safe for many writers at once."""

    def __init__(self, reference: LayoutReference) -> None:
        self._layout = Layout(reference)

    def lookup(self, tag: str) -> Document | None:
        """What the name points to now; None too where there is no layout yet."""
        if not self._layout.exists():
            return None
        named = [entry for entry in self._layout.entries() if entry.tag == tag]
        return self._layout.read_entry(choose(named, tag, self._layout.root)) if named else None

    def survey(self, work: Publication) -> Receipt:
        """By what is on the disk, whatever `work.present` says."""
        self._layout.exists()
        holds = self._layout.holds
        return Receipt({b.digest: Action.REUSE if holds(b.descriptor) else Action.PUSH for b in work.blobs})

    def publish(self, work: Publication) -> Receipt:
        """Blobs, documents, index. Disk full: Unavailable, and the index is the one from before."""
        with files.explained(f"write the OCI layout {self._layout.root}"):
            self._prepare()
            receipt = self.survey(work)
            for blob in work.blobs:
                if receipt.actions[blob.digest] is Action.PUSH and not self._layout.holds(blob.descriptor):
                    self._write(blob)
            for document in work.documents:
                self._write_document(document)
            files.sync_directory(self._layout.blobs)
            self._point(work)
        return receipt

    def _prepare(self) -> None:
        layout = self._layout
        if not layout.exists():
            os.makedirs(layout.root, exist_ok=True)
            foreign = [name for name in os.listdir(layout.root) if not _is_ours(name)]
            if foreign:
                raise InvalidInput(f"{layout.root} has other things in it, such as {foreign[0]!r}",
                                   "name a new or an empty folder for the OCI layout")  # fmt: skip
        os.makedirs(layout.blobs, exist_ok=True)
        if not os.path.lexists(layout.inside("oci-layout")):
            files.replace(layout.inside("oci-layout"), canonical.dump({"imageLayoutVersion": VERSION}))
            layout.exists()
        files.sweep(layout.root)

    def _write(self, blob: Blob) -> None:
        root, path = self._layout.root, self._layout.path(blob.digest)
        stream = _opened(blob)
        if _may_link(stream, root):
            with stream:
                for _ in iter(lambda: stream.read(files.CHUNK), b""):
                    pass  # read to its end it is proven
                if files.link(stream.fileno(), stream.store_path, path, root):
                    return
            stream = _opened(blob)
        with stream, files.Temporary(root) as temporary:
            while chunk := stream.read(files.CHUNK):
                temporary.write(chunk)
            temporary.keep(path)

    def _write_document(self, document: Document) -> None:
        """Documents are small: what is there is compared, not trusted by its size."""
        path = self._layout.path(document.digest)
        known = self._layout.holds(document.descriptor)
        if not known or files.read_small(path, canonical.DOCUMENT_LIMIT) != document.raw:
            files.replace(path, document.raw, 0o444, self._layout.root)

    def _require_complete(self, work: Publication) -> None:
        """Nothing gets a name here while a part of it is missing."""
        for document in work.documents:
            parts = document.manifests if isinstance(document, Index) else (document.config, *document.layers)
            for part in parts:
                if part.media_type not in FOREIGN_LAYERS and not self._layout.holds(part):
                    raise NotFound(f"{self._layout.root} lacks {part.digest}, which {document.digest} names",
                                   "copy the whole image, or choose one platform of it")  # fmt: skip

    def _point(self, work: Publication) -> None:
        with files.locked(self._layout.inside(LOCK)):
            # Under the lock: whoever takes blobs away that nothing names (`retention/layout.py`) holds it too.
            self._require_complete(work)
            fields = self._layout.index()
            manifests = pointed(fields["manifests"], work.target.descriptor, work.tags)
            if manifests != fields["manifests"] or not os.path.exists(self._layout.inside("index.json")):
                self._layout.write_index(fields, manifests)


def _is_ours(name: str) -> bool:
    return name in ("blobs", "index.json", "oci-layout") or name.startswith(files.TEMPORARY[:-1])


def _opened(blob: Blob) -> Verified:
    return verified(blob.open(), blob.descriptor, f"blob {blob.digest}")


def _may_link(stream: Verified, root: str) -> bool:
    """Only a file that nobody else can change: its content is read at one moment and trusted for ever."""
    if not stream.store_path:
        return False
    found = os.fstat(stream.fileno())
    ours = found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return ours and found.st_dev == os.lstat(root).st_dev
