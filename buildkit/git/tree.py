"""Trees: the recursive listing of one, and what differs between two.

Trees come from whoever wrote the commit and need not be what git itself would write: names such as `..`, `.git`,
or one name twice are refused here, once, for everybody after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import lt
from typing import NamedTuple

from buildkit.errors import InvalidInput

REGULAR, EXECUTABLE, SYMLINK, SUBMODULE = b"100644", b"100755", b"120000", b"160000"
# Written by git before 2005; read as 100644 by every version since (fsck: "contains non-standard modes").
_LEGACY = {b"100664": REGULAR}
_MODES = frozenset({REGULAR, EXECUTABLE, SYMLINK, SUBMODULE})
# Linux: PATH_MAX. Longer ones cannot be opened by name in a container.
LONGEST = 4096
_LONGEST_NAME = 255
# What no path may have between two slashes, its beginning and its end counting as such.
_HOSTILE = tuple(b"/" + name + end for name in (b"", b".", b"..") for end in (b"/", b"\0"))
_GIT_FOLDER = (b"/.git/", b"/.git\0")


class Entry(NamedTuple):
    """A file of a commit. Paths are bytes, as git has them: they need not be UTF-8."""

    path: bytes
    mode: bytes
    oid: str


def parse_listing(output: bytes) -> list[Entry]:
    """The entries of `git ls-tree -r -z --full-tree`, sorted by path. Raises InvalidInput for a hostile tree."""
    lines = output.split(b"\0")
    lines.pop()
    split = [line.partition(b"\t") for line in lines]
    # "100644 blob 1b2c…": a mode has six digits, and what is no blob is a "commit", as long as its mode says so.
    return check([Entry(path, meta[:6], meta[meta.rindex(b" ") + 1 :].decode()) for meta, _, path in split])


def check(entries: list[Entry]) -> list[Entry]:
    """The same entries with normal modes; InvalidInput names the first that no file system should hold."""
    if not _sound(entries):  # then one by one, to say which and why
        _check_each(entries)
    return entries


def _sound(entries: Sequence[Entry]) -> bool:
    """Whether nothing is wrong with any entry; a few passes over all of them instead of many tests for each."""
    paths = [entry.path for entry in entries]
    if not paths:
        return True
    text = b"\0/%s\0" % b"\0/".join(paths)
    lower = text.lower()
    return (
        _MODES.issuperset({entry.mode for entry in entries})
        and all(map(lt, paths, paths[1:]))
        and max(map(len, paths)) <= _LONGEST_NAME
        and not any(part in text for part in _HOSTILE)
        and not any(part in lower for part in _GIT_FOLDER)
        and _folders_of(paths).isdisjoint(paths)
    )


def _folders_of(paths: Iterable[bytes]) -> set[bytes]:
    folders = {path.rpartition(b"/")[0] for path in paths}
    level = folders
    while level := {folder.rpartition(b"/")[0] for folder in level} - folders:
        folders |= level
    return folders


def _check_each(entries: list[Entry]) -> None:
    folders: set[bytes] = set()
    previous = b""
    for index, (path, mode, oid) in enumerate(entries):
        if mode not in _MODES:
            entries[index] = Entry(path, _normal_mode(path, mode), oid)
        if path <= previous and index:
            raise _hostile(path, "stands twice in the tree, or out of order")
        previous = path
        folder = path.rpartition(b"/")[0]
        if folder not in folders:
            _add_folders(folder, folders)
        _check_name(path, path[len(folder) + 1 if folder else 0 :])
    _no_file_is_a_folder(entries, folders)


def _add_folders(folder: bytes, folders: set[bytes]) -> None:
    while folder and folder not in folders:
        folders.add(folder)
        parent, _, name = folder.rpartition(b"/")
        _check_name(folder, name)
        folder = parent
    folders.add(b"")


def _check_name(path: bytes, name: bytes) -> None:
    # `.git` in any letter case: no git client would check it out, and it would be run as a repository.
    if name[:1] == b"." and (name in (b".", b"..") or name.lower() == b".git"):
        raise _hostile(path, f"has the name {name.decode()!r}")
    if not name or path[:1] == b"/" or len(path) > LONGEST or len(name) > _LONGEST_NAME:
        raise _hostile(path, "has an empty or overlong name")


def _no_file_is_a_folder(entries: Iterable[Entry], folders: set[bytes]) -> None:
    for entry in entries:
        if entry.path in folders:
            raise _hostile(entry.path, "is a file and a folder at once")


def _normal_mode(path: bytes, mode: bytes) -> bytes:
    if mode in _LEGACY:
        return _LEGACY[mode]
    raise _hostile(path, f"has the unknown mode {mode.decode(errors='replace')}")


def _hostile(path: bytes, fault: str) -> InvalidInput:
    return InvalidInput(
        f"the commit's tree is malformed: {show(path)} {fault}",
        "no git client writes such a tree; look at who made the commit (`git fsck` names it)",
    )


def show(path: bytes) -> str:
    """A path as a person can read it, on one line, whatever bytes it has."""
    text = path[:300].decode(errors="backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]


class Change(NamedTuple):
    """One path that differs; the side on which it does not exist is None."""

    path: bytes
    old: Entry | None
    new: Entry | None


TreeReader = Callable[[str], bytes]
"""The raw bytes of a tree object, by id."""


def differences(read: TreeReader, old: str, new: str) -> Iterator[Change]:
    """What differs between two trees, in time proportional to the difference: equal sub-trees are not opened."""
    pending: list[tuple[bytes, str, str]] = [(b"", old, new)]
    while pending:
        folder, was, now = pending.pop()
        if len(folder) > LONGEST:
            raise _hostile(folder, "is nested too deep")
        before, after = (_children(read(tree), len(new) // 2) if tree else {} for tree in (was, now))
        for name in before.keys() | after.keys():
            old_child, new_child = before.get(name, _ABSENT), after.get(name, _ABSENT)
            if old_child == new_child:
                continue
            path = folder + name
            files = [Entry(path, *child) if child[0] in _MODES else None for child in (old_child, new_child)]
            if files != [None, None]:
                yield Change(path, *files)
            was_tree, now_tree = (child[1] if child[0] == _TREE else "" for child in (old_child, new_child))
            if was_tree or now_tree:
                pending.append((path + b"/", was_tree, now_tree))


_TREE = b"40000"
_ABSENT = (b"", "")


def _children(raw: bytes, width: int) -> dict[bytes, tuple[bytes, str]]:
    """The entries of one tree object (git's gitformat-pack: `mode SP name NUL id`); `width` of an id in bytes."""
    children: dict[bytes, tuple[bytes, str]] = {}
    position, previous = 0, b""
    while position < len(raw):
        space = raw.find(b" ", position)
        end = raw.find(b"\0", space)
        if space < 0 or end < 0 or end + width >= len(raw):
            raise InvalidInput("a tree object cannot be parsed", "run `git fsck` in the repository")
        mode, name = raw[position:space], raw[space + 1 : end]
        place = name + b"/" if mode == _TREE else name
        if name in children or not name or b"/" in name or place <= previous:
            raise _hostile(name, "stands twice in the tree, out of order, is empty or holds a '/'")
        previous = place
        if mode not in _MODES and mode != _TREE:
            mode = _normal_mode(name, mode)
        children[name] = (mode, raw[end + 1 : end + 1 + width].hex())
        position = end + 1 + width
    return children
