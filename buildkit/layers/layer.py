"""A layer's bytes: entries → tar → gzip members → digests, in one pass, in bounded memory.

Every folder of the commit's tree belongs to the image, so each layer states the folders above its own files
(equal in all layers). Those above the prefix do not, and those of the system are a matter of their own (`system.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.git import tree
from buildkit.git.tree import Entry
from buildkit.image.digest import Digest
from buildkit.layers import groups, system, tar
from buildkit.layers.groups import Kept
from buildkit.layers.members import MOST_COLLECTED, MemberWriter, Worker

# Linux: a longer target cannot be followed.
_LONGEST_TARGET = 4095


class Content(NamedTuple):
    """What one entry holds: `size` in bytes, and the bytes, to be read once."""

    size: int
    chunks: Iterable[bytes]


Contents = Callable[[Sequence[Entry]], Iterator[Content]]
"""Gives the content of these entries in their order; each is read to its end before the next is asked for."""


class Written(NamedTuple):
    """A layer that was written: `size` in compressed bytes."""

    digest: Digest
    diff_id: Digest
    size: int


def write_layer(
    entries: Sequence[Entry],
    prefix: str,
    contents: Contents,
    write: Callable[[bytes], object],
    *,
    known: Kept | None = None,
    keep: dict[bytes, tuple[bytes, ...]] | None = None,
    worker: Worker | None = None,
) -> Callable[[], Written]:
    """Write the layer that holds `entries` (sorted by path) below `prefix`. Raises what `contents` raises.

    All contents have been read when it returns; `write` may still be called, by the thread of `worker`, until the
    function that it returns has given the result. Groups whose members are `known` are copied, not read; into `keep`
    go, with the result, the members of all groups, unless they are too large to be held in memory.
    """
    writer = MemberWriter(write, worker)
    try:
        collected = _write(writer, entries, prefix.strip("/").encode(), contents, known or {})
        results = writer.finish()
    except BaseException:
        writer.abandon()
        raise

    def written() -> Written:
        digest, diff_id, size = results()
        if keep is not None and size <= MOST_COLLECTED:
            keep.update({key: tuple(members) for key, members in collected.items()})
        return Written(Digest("sha256:" + digest), Digest("sha256:" + diff_id), size)

    return written


def _write(
    writer: MemberWriter,
    entries: Sequence[Entry],
    prefix: bytes,
    contents: Contents,
    known: Kept,
) -> dict[bytes, list[bytes]]:
    """Folders, then the groups, then the end, each in members of its own.

    Gives lists by group that hold its members as soon as the writer has finished.
    """
    for folder, mode in folders(entries, prefix).items():
        writer.add(tar.header(folder + b"/", tar.FOLDER, mode=mode))
    writer.cut()
    split = groups.split(entries)
    unread = contents([entry for group in split if group.key not in known for entry in group.entries])
    collected: dict[bytes, list[bytes]] = {}
    for group in split:
        writer.collect(collected.setdefault(group.key, []))
        if group.key in known:
            for member in known[group.key]:
                writer.copy(member)
            continue
        for entry in group.entries:
            for part in _file(entry, next(unread), prefix):
                writer.add(part)
        writer.cut()
    writer.collect(None)
    writer.add(tar.END)
    return collected


def refuse_unshippable(entries: Sequence[Entry], prefix: str, *, case_collisions: bool) -> None:
    """InvalidInput for what no layer can hold: whiteout names, what would hide parts of the base, and on request
    names that differ in case alone."""
    folded: dict[bytes, bytes] = {}
    above = prefix.strip("/").encode()
    shallow = system.reaches(above)
    if above and entries:
        system.refuse_within_system(above)
    if shallow:
        for entry in entries:
            system.refuse_within_system(_path(entry, above))
    for path in [entry.path for entry in entries if b".wh." in entry.path]:
        if any(name.startswith(b".wh.") for name in path.split(b"/")):
            raise InvalidInput(
                f"{tree.show(path)} cannot be shipped: in a layer, a name with '.wh.' in front deletes a file",
                "rename it, or leave it out with `exclude`",
            )
    if case_collisions:
        for entry in entries:
            _refuse_collision(entry.path, folded)


def _refuse_collision(path: bytes, folded: dict[bytes, bytes]) -> None:
    while path:
        other = folded.setdefault(
            path.decode(errors="surrogateescape").casefold().encode(errors="surrogateescape"), path
        )
        if other != path:
            raise InvalidInput(
                f"{tree.show(path)} and {tree.show(other)} differ in letter case alone",
                'rename one, or set case_collisions = "allow"',
            )
        path = path.rpartition(b"/")[0]


def folders(entries: Iterable[Entry], prefix: bytes) -> dict[bytes, int]:
    """The folders that a layer with these entries states, and their modes, outermost first."""
    seen: set[bytes] = set()
    for entry in entries:
        folder = _path(entry, prefix).rpartition(b"/")[0]
        while folder and folder not in seen:
            seen.add(folder)
            folder = folder.rpartition(b"/")[0]
    ours = (folder for folder in seen if folder in system.MODES or _is_ours(folder, prefix))
    return {folder: system.MODES.get(folder, 0o755) for folder in sorted(ours)}


def _is_ours(folder: bytes, prefix: bytes) -> bool:
    return len(folder) >= len(prefix) and folder not in system.FOLDERS


def _file(entry: Entry, content: Content, prefix: bytes) -> Iterator[bytes]:
    path = _path(entry, prefix)
    if entry.mode == tree.SYMLINK:
        yield tar.header(path, tar.LINK, mode=0o777, target=_target(entry, content))
        return
    mode = 0o755 if entry.mode == tree.EXECUTABLE else 0o644
    yield tar.header(path, tar.FILE, mode=mode, size=content.size)
    yield from content.chunks
    yield tar.padding(content.size)


def _path(entry: Entry, prefix: bytes) -> bytes:
    return prefix + b"/" + entry.path if prefix else entry.path


def _target(entry: Entry, content: Content) -> bytes:
    if not 0 < content.size <= _LONGEST_TARGET:
        raise InvalidInput(
            f"the symbolic link {tree.show(entry.path)} has a target of {content.size} bytes",
            "no system can follow it; remove it from the commit or `exclude` it",
        )
    target = b"".join(content.chunks)
    if b"\0" in target:
        raise InvalidInput(
            f"the symbolic link {tree.show(entry.path)} has a NUL byte in its target", "remove it"
        )
    return target
