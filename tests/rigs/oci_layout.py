"""An OCI image layout from root file systems, one gzip layer each.

Own code, apart from treeship's, so that tests have bases that treeship has not made.
"""

import gzip
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BLOCK = 1 << 20

Json = dict[str, Any]


@dataclass(frozen=True)
class RootFilesystem:
    """A tar file and the machine that its programs are for, as `platform` in an index has it."""

    tar: Path
    architecture: str
    variant: str | None = None

    @property
    def platform(self) -> Json:
        """os, architecture and, where there is one, variant."""
        known = {"architecture": self.architecture, "os": "linux", "variant": self.variant}
        return {name: value for name, value in known.items() if value}


def write_layout(
    folder: Path, systems: Sequence[RootFilesystem], *, created: str, tag: str = "latest"
) -> None:
    """Make FOLDER a layout in which TAG is the image of SYSTEMS: a manifest for one, an index for several."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    images = [_image(blobs, system, created) for system in systems]
    top = images[0]
    if len(images) > 1:
        top = _blob(blobs, {"schemaVersion": 2, "mediaType": INDEX, "manifests": images}, INDEX)
    named = top | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
    (folder / "index.json").write_bytes(_canonical(index))
    (folder / "oci-layout").write_bytes(_canonical({"imageLayoutVersion": "1.0.0"}))


def _image(blobs: Path, system: RootFilesystem, created: str) -> Json:
    layer, diff_id = _layer(blobs, system.tar)
    config = system.platform | {
        "created": created,
        "config": {"Env": [PATH], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "mmdebstrap", "comment": "Debian with Python"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(blobs, config, CONFIG),
        "layers": [layer],
    }
    return _blob(blobs, manifest, MANIFEST) | {"platform": system.platform}


def _layer(blobs: Path, tar: Path) -> tuple[Json, str]:
    """The descriptor and the diff id of TAR as a gzip blob."""
    scratch = blobs / "layer"
    with tar.open("rb") as source, scratch.open("wb") as target:
        with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=target, mtime=0) as packed:
            shutil.copyfileobj(source, packed, BLOCK)
    with scratch.open("rb") as blob, tar.open("rb") as source:
        digest, diff_id = _digest(blob), _digest(source)
    descriptor = {"mediaType": LAYER, "digest": digest, "size": scratch.stat().st_size}
    scratch.rename(blobs / digest.removeprefix("sha256:"))
    return descriptor, diff_id


def _digest(file: BinaryIO) -> str:
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"  # type: ignore[arg-type]


def _blob(blobs: Path, content: Json, kind: str) -> Json:
    data = _canonical(content)
    name = hashlib.sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}


def _canonical(content: Json) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
