"""The virtual tree of a base: the paths that layers leave behind, as a runtime would unpack them; nothing is on disk.

Rules of image-spec, layer.md: later layers override, whiteouts hide what is in lower layers only (wherever they
stand in their own layer), links in the parents of a path are followed inside the root.
"""

from __future__ import annotations

from collections.abc import Iterator

from buildkit.errors import CorruptContent

_HOPS = 40  # as the kernel: ELOOP
_DEPTH = 64
_PATH_LIMIT = 4096
_NODE_COST = 300
_BUDGET = 256 * 1024 * 1024


class File:
    """A regular file (`content` is what was wanted of it, None for nothing), or a device: not `regular`."""

    __slots__ = ("content", "layer", "mode", "regular")

    def __init__(self, mode: int = 0o644, content: bytes | None = None, *, regular: bool = True) -> None:
        self.mode, self.content, self.regular, self.layer = mode, content, regular, 0


class Link:
    """A symbolic link, its target as written."""

    __slots__ = ("layer", "target")

    def __init__(self, target: str) -> None:
        self.target, self.layer = target, 0


class Folder:
    """A directory. `cleared` is the last layer below which it is known to hold nothing of lower ones."""

    __slots__ = ("children", "cleared", "layer")

    def __init__(self, layer: int = 0) -> None:
        self.children: dict[str, Node] = {}
        self.layer = self.cleared = layer


Node = File | Link | Folder


class Tree:
    """What is there after the layers so far. Not a value: `layer` is the number of the one that is applied."""

    def __init__(self, budget: int = _BUDGET) -> None:
        """`budget` in bytes of memory, about; CorruptContent from `put` for more."""
        self.root = Folder()
        self.layer = 0
        self._left = budget

    def put(self, path: str, node: Node | None) -> None:
        """An entry of the current layer; None for one that nobody asks for, but that may replace another.

        A directory over a directory keeps what is in it; everything else replaces.
        """
        parts = split(path)
        if not parts or len(parts) > _DEPTH or len(path) > _PATH_LIMIT:
            return
        parent = self._parent(parts[:-1], create=node is not None)
        if parent is None:
            return
        name = parts[-1]
        old = parent.children.get(name)
        if node is None:
            parent.children.pop(name, None)
        elif isinstance(node, Folder) and isinstance(old, Folder):
            old.layer = self.layer
        else:
            self._left += _cost(old, name) if isinstance(old, File) else 0
            self._spend(node, name)
            node.layer = self.layer
            if isinstance(node, Folder):
                node.cleared = self.layer
            parent.children[name] = node

    def put_folder(self, path: str, *, keep: bool) -> None:
        """A directory; one that nobody asks for is noted only where it replaces something else or is there."""
        if keep or self.at(path, follow=False) is not None:
            self.put(path, Folder())

    def hard_link(self, path: str, target: str, *, keep: bool) -> None:
        """A second name; what it is a name of is unknown where that was not kept, or is outside."""
        inside = ".." not in target.split("/")
        found = self.at(target, follow=False) if inside and keep else None
        if isinstance(found, Link):
            self.put(path, Link(found.target))
        elif isinstance(found, File):
            self.put(path, File(found.mode, found.content, regular=found.regular))
        else:
            self.put(path, File(0o755) if keep else None)

    def whiteout(self, path: str) -> None:
        """Hide what lower layers have at this path."""
        parts = split(path)
        if not parts or len(parts) > _DEPTH:
            return
        parent = self._parent(parts[:-1], create=False)
        child = None if parent is None else parent.children.get(parts[-1])
        if parent is not None and child is not None and not self._survives(child):
            del parent.children[parts[-1]]

    def opaque(self, path: str) -> None:
        """Hide all that lower layers have in this directory."""
        folder = self._parent(split(path), create=False)
        if folder is not None:
            self._survives(folder)

    def at(self, path: str, *, follow: bool = True) -> Node | None:
        """What is there, links in its parents followed; the last one too on request. None for nothing, or a loop."""
        found = self.locate(path, follow=follow)
        return None if found is None else found[1]

    def locate(self, path: str, *, follow: bool = True) -> tuple[str, Node] | None:
        """As `at`, with the path (absolute, no links in it) where it really is."""
        todo, trail, hops = split(path)[::-1], list[tuple[str, Folder]](), 0
        here: Node = self.root
        while todo:
            part = todo.pop()
            folder = trail[-1][1] if trail else self.root
            if part == "..":
                here = trail[-2][1] if len(trail) > 1 else self.root
                del trail[-1:]
                continue
            child = folder.children.get(part)
            if isinstance(child, Link) and (todo or follow):
                hops += 1
                if hops > _HOPS or len(child.target) > _PATH_LIMIT:
                    return None
                if child.target.startswith("/"):
                    here = self.root
                    trail.clear()
                todo += split(child.target)[::-1]
                if len(todo) > _PATH_LIMIT:
                    return None
                continue
            if child is None or (todo and not isinstance(child, Folder)):
                return None
            if not isinstance(child, Folder):
                return "/" + "/".join([*(name for name, _ in trail), part]), child
            here = child
            trail.append((part, child))
        return "/" + "/".join(name for name, _ in trail), here

    def read(self, path: str) -> str:
        """The text of a file of which the content was kept; nothing for any other."""
        node = self.at(path)
        return (node.content or b"").decode("utf-8", "replace") if isinstance(node, File) else ""

    def names(self, path: str) -> list[str]:
        """What is in a directory, sorted; nothing for anything else."""
        node = self.at(path)
        return sorted(node.children) if isinstance(node, Folder) else []

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Every path that is kept (absolute, sorted within its folder), links not followed."""
        todo: list[tuple[str, Node]] = [("", self.root)]
        while todo:
            path, node = todo.pop()
            if path:
                yield path, node
            if isinstance(node, Folder):
                todo += [
                    (f"{path}/{name}", node.children[name]) for name in sorted(node.children, reverse=True)
                ]

    def _parent(self, parts: list[str], *, create: bool) -> Folder | None:
        """The folder of this path. With `create` what is missing is made, and a file in the way replaced."""
        todo, trail, hops = parts[::-1], [self.root], 0
        while todo:
            part = todo.pop()
            if part == "..":
                del trail[max(1, len(trail) - 1) :]
                continue
            child = trail[-1].children.get(part)
            if isinstance(child, Link):
                hops += 1
                if hops > _HOPS or len(todo) > _PATH_LIMIT:
                    return None
                if child.target.startswith("/"):
                    del trail[1:]
                todo += split(child.target[:_PATH_LIMIT])[::-1]
                continue
            if not isinstance(child, Folder):
                if not create or len(trail) > _DEPTH:
                    return None
                child = Folder(self.layer)
                self._spend(child, part)
                trail[-1].children[part] = child
            elif create:
                child.layer = self.layer
            trail.append(child)
        return trail[-1]

    def _survives(self, node: Node) -> bool:
        """Whether anything of the current layer is left, after all of lower ones is taken out of it.

        A folder is gone through once a layer at most, however many whiteouts name it.
        """
        if not isinstance(node, Folder):
            return node.layer == self.layer
        if node.cleared != self.layer:
            node.cleared = self.layer
            node.children = {name: child for name, child in node.children.items() if self._survives(child)}
        return node.layer == self.layer

    def _spend(self, node: Node, name: str) -> None:
        self._left -= _cost(node, name)
        if self._left < 0:
            raise CorruptContent(
                "the base has more links and programs than any image needs", "take another base image"
            )


def _cost(node: Node, name: str) -> int:
    """Bytes of memory, about."""
    more = len(node.target) if isinstance(node, Link) else 0
    if isinstance(node, File):
        more = len(node.content or b"")
    return _NODE_COST + len(name) + more


def split(path: str) -> list[str]:
    """The parts of a path that say something; `..` among them."""
    return [part for part in path.split("/") if part not in ("", ".")]
