"""Which layer a path belongs to: a pure function of the path, so that no history can regroup anything.

Two classes: files that are bulky and seldom edited, told by their suffix or folder, and all others. Within a class
the hash of the path decides. It needs no sizes, which a blobless clone does not have, and it moved fewer bytes a
commit than size classes or hashes of folders did (docs/decisions.md, benchmarks/partition.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from buildkit.git.tree import Entry

# Raise it with any change below: it is what tells cached snapshots of one partition from those of another.
VERSION = 1

# The number of layers of each class, lowest layer first. Light files, which change with nearly every commit, get
# the most and stand on top; LFS content is large and apart.
_WIDTHS = {"lfs": 8, "bulk": 8, "light": 56}
_RANKS = {name: rank for rank, name in enumerate(_WIDTHS)}
_FOLDS = (1, 2, 4, 8)

_BULK_SUFFIXES = frozenset(
    b"""json jsonc json5 jsonl ndjson geojson xml csv tsv po pot bib lock sum map ipynb svg
    png jpg jpeg gif ico icns webp avif bmp tif tiff psd pdf ps eps ai doc docx xls xlsx ppt pptx odt
    zip gz tgz bz2 tbz xz txz zst lz4 br 7z rar tar jar war ear whl egg deb rpm apk dmg iso crate gem
    so dll dylib a o lib exe bin dat img elf class pyc pyd wasm node
    npy npz mat pt pth pkl pickle joblib onnx h5 hdf5 nc parquet arrow feather orc avro rds rda
    safetensors gguf ggml ckpt pb tflite mlmodel model weights index spm db sqlite sqlite3 mdb
    ttf otf woff woff2 eot mo mp3 mp4 m4a wav flac ogg webm mov avi mkv glb gltf stl obj""".split()
)
_BULK_ENDINGS = (b".min.js", b".min.css", b"-bundle.js", b".bundle.js", b"_pb2.py", b"_pb2.pyi", b"_pb2_grpc.py",
                 b".pb.go", b".pb.gw.go")  # fmt: skip
_SUFFIXES_OF_ENDINGS = frozenset(ending.rpartition(b".")[2] for ending in _BULK_ENDINGS)
_BULK_FOLDERS = frozenset({b"vendor", b"_vendor", b"vendored", b"_vendored", b"third_party", b"node_modules"})


class Scheme(NamedTuple):
    """The partition; `fold` divides the number of layers of each class, for bases with many layers of their own."""

    fold: int = 1

    @classmethod
    def for_room(cls, room: int) -> Scheme | None:
        """The finest scheme with at most `room` layers; None where even the coarsest has more."""
        most = sum(_WIDTHS.values())
        return next((cls(fold) for fold in _FOLDS if most // fold <= room), None)

    def slot(self, entry: Entry) -> str:
        """The name of the layer that an entry belongs to."""
        return self._name(_kind(entry), entry.path)

    def homes(self, path: bytes) -> tuple[str, str]:
        """The layers that a path can be in, whatever it holds."""
        return self._name("bulk" if is_bulk(path) else "light", path), self._name("lfs", path)

    def groups(self, entries: Iterable[Entry]) -> dict[str, list[Entry]]:
        """The entries by layer, in the order given."""
        layers: dict[str, list[list[Entry]]] = {
            kind: [[] for _ in range(width // self.fold)] for kind, width in _WIDTHS.items()
        }
        for entry in entries:
            alike = layers[_kind(entry)]
            alike[crc32(entry.path) % len(alike)].append(entry)
        return {
            f"{kind}-{number:02d}": group
            for kind, alike in layers.items()
            for number, group in enumerate(alike)
            if group
        }

    def _name(self, kind: str, path: bytes) -> str:
        return f"{kind}-{crc32(path) % (_WIDTHS[kind] // self.fold):02d}"


def is_bulk(path: bytes) -> bool:
    """Whether the name speaks of data, media, archives, weights, or of generated or vendored code."""
    folder, _, name = path.rpartition(b"/")
    stem, _, suffix = name.rpartition(b".")
    said = _suffix_says(suffix)
    if said is not None and stem and (said or name.lower().endswith(_BULK_ENDINGS)):
        return True
    return _is_bulk_folder(folder)


@lru_cache(1 << 16)
def _suffix_says(suffix: bytes) -> bool | None:
    """Whether it is that of bulky files: always, with some endings alone (False), or never (None)."""
    suffix = suffix.lower()
    return suffix in _BULK_SUFFIXES or (False if suffix in _SUFFIXES_OF_ENDINGS else None)


@lru_cache(1 << 16)
def _is_bulk_folder(folder: bytes) -> bool:
    return not _BULK_FOLDERS.isdisjoint(folder.lower().split(b"/"))


def _kind(entry: Entry) -> str:
    if entry.oid.startswith("lfs:"):
        return "lfs"
    return "bulk" if is_bulk(entry.path) else "light"


def order(name: str) -> tuple[int, str]:
    """Sort key of layers: what changes most seldom lowest, since a changed layer makes nodes unpack all above it."""
    return _RANKS[name.partition("-")[0]], name
