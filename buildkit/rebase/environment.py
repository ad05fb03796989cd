"""The environment of an image, merged over two bases: variable by variable. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# What runtimes, and so builds, take for an image without PATH (buildkit/assemble.py).
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# More folders than anybody has in a variable: looking for some among them would take its time.
_MOST_FOLDERS = 1000


class Environment(NamedTuple):
    """The merged items, like `NAME=value`, and the names of variables that both sides have changed."""

    items: tuple[str, ...]
    conflicts: tuple[str, ...]


def merge(old: Sequence[str], new: Sequence[str], own: Sequence[str]) -> Environment:
    """The image's variables `own` over the new base's instead of the old one's.

    The order is a build's: the new base's variables as they stand there, then the image's as they stand there.
    """
    if list(old) == list(new):
        return Environment(tuple(own), ())
    was, there, ours = _variables(old), _variables(new), _variables(own)
    items, conflicts = [], []
    for name in dict.fromkeys((*there, *ours)):
        item, conflict = _variable(name, was.get(name), there.get(name), ours.get(name))
        items += [item] if item is not None else []
        conflicts += [name] if conflict else []
    return Environment(tuple(items), tuple(conflicts))


def _variables(items: Sequence[str]) -> dict[str, str]:
    """The last of two of one name counts, in the place of the first, as in a build."""
    return {item.partition("=")[0]: item for item in items}


def _variable(name: str, old: str | None, new: str | None, own: str | None) -> tuple[str | None, bool]:
    if own == old:
        return new, False
    if own is not None and _is_path(name):
        swapped = _swapped(name, old, new, own)
        if swapped is not None:
            return swapped, False
    return own, new not in (old, own)


def _is_path(name: str) -> bool:
    return name.endswith("PATH")


def _swapped(name: str, old: str | None, new: str | None, own: str) -> str | None:
    """The folders that the image put around the base's, around the new base's; None where the base's are not whole."""
    default = _DEFAULT_PATH if name == "PATH" else ""
    before, after, folders = _folders(old, default), _folders(new, default), _folders(own, "")
    if not before or len(folders) > _MOST_FOLDERS:
        return None
    # From behind: what images add stands in front.
    for at in range(len(folders) - len(before), -1, -1):
        if folders[at : at + len(before)] == before:
            return f"{name}={':'.join([*folders[:at], *after, *folders[at + len(before) :]])}"
    return None


def _folders(item: str | None, default: str) -> list[str]:
    value = default if item is None else item.partition("=")[2]
    return value.split(":") if value else []
