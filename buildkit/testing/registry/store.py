"""What a registry holds, in memory, and the question that ends every test: is anything incomplete?"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from typing import Any, NamedTuple

EMPTY_DIGEST = "sha256:" + hashlib.sha256(b"").hexdigest()


class StoredManifest(NamedTuple):
    """The bytes as they were put, under the media type they were put with."""

    media_type: str
    raw: bytes

    @property
    def digest(self) -> str:
        """The digest of the bytes."""
        return digest_of(self.raw)

    @property
    def fields(self) -> dict[str, Any]:
        """The parsed document; empty where it is none."""
        try:
            value = json.loads(self.raw)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Repository:
    """One repository: which blobs it may show, its manifests, its tags."""

    def __init__(self) -> None:
        self.blobs: set[str] = set()
        self.manifests: dict[str, StoredManifest] = {}
        self.tags: dict[str, str] = {}
        self._seen: tuple[int, int, str] = (0, 0, "")
        self._subjects: dict[str, list[StoredManifest]] = {}

    def referrers(self, subject: str) -> list[StoredManifest]:
        """The manifests that name this one. They are sorted by subject once, and again when there are others."""
        seen = (id(self.manifests), len(self.manifests), next(reversed(self.manifests), ""))
        if seen != self._seen:
            self._seen, self._subjects = seen, {}
            for manifest in self.manifests.values():
                found = (manifest.fields.get("subject") or {}).get("digest")
                if found:
                    self._subjects.setdefault(found, []).append(manifest)
        return self._subjects.get(subject, [])

    def manifest(self, reference: str) -> StoredManifest | None:
        """By tag or digest."""
        return self.manifests.get(self.tags.get(reference, reference))


class Store:
    """Blobs are shared by repositories, visible in each only once pushed or mounted there."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.blobs: dict[str, bytes] = {}
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytearray] = {}

    def repository(self, name: str) -> Repository:
        """Made on first use, as most registries do."""
        with self.lock:
            return self.repositories.setdefault(name, Repository())

    def blob(self, name: str, digest: str) -> bytes | None:
        """A blob as one repository shows it."""
        with self.lock:
            held = name in self.repositories and digest in self.repositories[name].blobs
            return self.blobs.get(digest) if held else None

    def add_blob(self, name: str, data: bytes) -> str:
        """Put a blob straight into a repository; its digest."""
        digest = digest_of(data)
        with self.lock:
            self.blobs[digest] = data
            self.repository(name).blobs.add(digest)
        return digest

    def drop_blob(self, digest: str) -> None:
        """Garbage collection at a bad moment."""
        with self.lock:
            self.blobs.pop(digest, None)
            for repository in self.repositories.values():
                repository.blobs.discard(digest)

    def add_manifest(self, name: str, raw: bytes, media_type: str, tag: str = "") -> str:
        """Put a manifest straight into a repository, unchecked; its digest."""
        manifest = StoredManifest(media_type, raw)
        with self.lock:
            repository = self.repository(name)
            repository.manifests[manifest.digest] = manifest
            if tag:
                repository.tags[tag] = manifest.digest
        return manifest.digest

    def start_upload(self) -> str:
        """A new session."""
        session = str(uuid.uuid4())
        with self.lock:
            self.uploads[session] = bytearray()
        return session

    def missing(self, name: str, manifest: StoredManifest) -> list[str]:
        """Digests that a manifest names and this repository does not have whole."""
        repository, fields = self.repository(name), manifest.fields
        absent = [d for d in named_blobs(fields) if digest_of(self.blob(name, d) or b"") != d]
        return absent + [d for d in named_manifests(fields) if d not in repository.manifests]

    def incomplete(self) -> list[str]:
        """Every tag behind which something is missing or false, as `repository:tag: what`."""
        with self.lock:
            return [
                f"{name}:{tag}: {what}"
                for name, repository in self.repositories.items()
                for tag, digest in repository.tags.items()
                for what in self._faults(name, digest)
            ]

    def _faults(self, name: str, digest: str) -> list[str]:
        manifest = self.repository(name).manifests.get(digest)
        if manifest is None or manifest.digest != digest:
            return [f"manifest {digest}"]
        found = [f"missing {absent}" for absent in self.missing(name, manifest)]
        for child in named_manifests(manifest.fields):
            found += self._faults(name, child)
        return found


def digest_of(data: bytes) -> str:
    """`sha256:...`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def named_blobs(fields: dict[str, Any]) -> list[str]:
    """Config and layers; layers that live elsewhere (`urls`) are nobody's here."""
    entries = [fields.get("config"), *(fields.get("layers") or [])]
    return [entry["digest"] for entry in entries if isinstance(entry, dict) and not entry.get("urls")]


def named_manifests(fields: dict[str, Any]) -> list[str]:
    """The children of an index."""
    return [entry["digest"] for entry in fields.get("manifests") or [] if isinstance(entry, dict)]
