"""The build context of a base: its folder as a tar whose bytes depend on names, modes and contents alone.

Every file of the folder goes in, and nothing from outside it: links stay links, and those that lead out are refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from buildkit import files
from buildkit.errors import InvalidInput, NotFound
from buildkit.image.digest import Digest
from buildkit.layers import tar

DOCKERFILE = "Dockerfile"
_IGNORE = ".dockerignore"
_LIMIT = 64 << 20
_MOST_FILES = 10_000
_LONGEST_PATH = 1000


class Item(NamedTuple):
    """A file, link (its target is `data`) or folder of the context; `path` is relative."""

    path: bytes
    kind: bytes
    mode: int
    data: bytes = b""


class Context(NamedTuple):
    """A context as it is sent, the digest of these bytes, and the Dockerfile in it."""

    tar: bytes
    digest: Digest
    dockerfile: bytes = b""


def read_context(folder: str) -> Context:
    """The folder's. NotFound without a Dockerfile; InvalidInput for what has no place in a context."""
    if os.path.islink(folder) or not os.path.isdir(folder):
        raise NotFound(f"{folder} is no folder", "a base has a folder of its name, beside bases.toml")
    items = sorted(_items(folder, b""))
    found = next((i.data for i in items if i.path == DOCKERFILE.encode() and i.kind == tar.FILE), None)
    if found is None:
        raise NotFound(f"{folder} has no Dockerfile", "write one, or remove the base from bases.toml")
    data = pack(items)
    return Context(data, Digest.of(data), found)


def pack(items: list[Item]) -> bytes:
    """The tar of these items, in the order given."""
    parts: list[bytes] = []
    for path, kind, mode, data in items:
        if kind == tar.LINK:
            parts.append(tar.header(path, kind, mode=mode, target=data))
        else:
            parts += (tar.header(path, kind, mode=mode, size=len(data)), data, tar.padding(len(data)))
    return b"".join((*parts, tar.END))


def _items(root: str, inside: bytes) -> Iterator[Item]:
    """What is below `inside`, unsorted."""
    left, count = _LIMIT, 0
    waiting = [inside]
    while waiting:
        for path, entry in _listed(root, waiting.pop()):
            item = _item(path, entry, left)
            left, count = left - len(item.data), count + 1
            if count > _MOST_FILES:
                raise _refused(root, f"it has more than {_MOST_FILES} files")
            if item.kind == tar.FOLDER:
                waiting.append(path + b"/")
            yield item


def _listed(root: str, inside: bytes) -> list[tuple[bytes, os.DirEntry[bytes]]]:
    where = os.path.join(os.fsencode(root), inside)
    with files.explained(f"read {os.fsdecode(where)}"), os.scandir(where) as entries:
        return [(inside + entry.name, entry) for entry in entries]


def _item(path: bytes, entry: os.DirEntry[bytes], left: int) -> Item:
    name = os.fsdecode(entry.path)
    if path == _IGNORE.encode():
        raise _refused(name, "it is not read: all files of the folder are sent")
    if len(path) > _LONGEST_PATH:
        raise _refused(name, "its path is too long")
    if entry.is_symlink():
        return Item(path, tar.LINK, 0o777, _target(path, entry))
    if entry.is_dir(follow_symlinks=False):
        return Item(path + b"/", tar.FOLDER, 0o755)
    mode = entry.stat(follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode):
        raise _refused(name, "it is no regular file")
    if entry.stat(follow_symlinks=False).st_size > left:
        raise _refused(name, f"with it the folder is larger than {_LIMIT >> 20} MiB")
    return Item(path, tar.FILE, 0o755 if mode & 0o100 else 0o644, files.read_small(name, left))


def _target(path: bytes, entry: os.DirEntry[bytes]) -> bytes:
    target = os.readlink(entry.path)
    there = os.path.normpath(os.path.join(os.path.dirname(path), target))
    if target.startswith(b"/") or there == b".." or there.startswith(b"../") or len(target) > _LONGEST_PATH:
        raise _refused(os.fsdecode(entry.path), "the link leads out of the folder")
    return target


def _refused(what: str, why: str) -> InvalidInput:
    return InvalidInput(f"{what} cannot be part of a build context: {why}", "remove it from the folder")
