"""Layer streams to a virtual tree, in one pass each: tar headers are parsed, content is skipped.

`tarfile` would take most of the time, and reads extended headers of any size. Nothing is written anywhere; what
is kept is bounded by `Tree`. Layout of headers: POSIX.1-2017, pax, "ustar Interchange Format", and GNU's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from buildkit.bases.inflate import inflated
from buildkit.bases.tree import File, Link, Tree
from buildkit.bases.wanted import Wanted, wanted, wanted_folder
from buildkit.errors import CorruptContent
from buildkit.tarfiles import BLOCK, number

_ZEROS = bytes(BLOCK)
_META_LIMIT = 1024 * 1024
_LAYER_LIMIT = 256 << 30
_OVERLAP = 256
_MATCHES = 16
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_NO_DATA = frozenset(b"123456")  # even if they announce some, as Go's archive/tar has it
_REMEDY = "the layer is broken or hostile; fetch or build the base again"

Choose = Callable[[str], Wanted | None]
Keep = Callable[[str], bool]


def scan(
    layers: Iterable[tuple[str, BinaryIO]], choose: Choose = wanted, keep_folder: Keep = wanted_folder
) -> Tree:
    """The tree that layers make, lowest first, each given with what names it in errors.

    Each stream is read to its end and closed. CorruptContent for what is broken, truncated or hostile.
    """
    tree = Tree()
    for what, stream in layers:
        tree.layer += 1
        with stream:
            _apply(tree, _Bytes(inflated(stream, what), what), choose, keep_folder)
    return tree


class _Header(NamedTuple):
    """One member. `data` is how many bytes follow; `sparse` ones are no plain content."""

    name: str
    kind: str
    mode: int
    target: str
    data: int
    sparse: bool


class _Bytes:
    """The bytes of a tar in order: read some, skip the rest."""

    def __init__(self, pieces: Iterator[bytes], what: str) -> None:
        self.what = what
        self._pieces, self._piece, self._at, self._total = pieces, b"", 0, 0

    def read(self, size: int) -> bytes:
        """So many bytes; fewer only at the end."""
        taken = self._piece[self._at : self._at + size]
        self._at += len(taken)
        left = size - len(taken)
        if not left:
            return taken
        parts = [taken]
        while left and self._next():
            parts.append(self._piece[:left])
            self._at = len(parts[-1])
            left -= self._at
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """CorruptContent where there are fewer."""
        self._at += size
        while self._at > len(self._piece):
            over = self._at - len(self._piece)
            if not self._next():
                raise self.refusal("it is cut off within a file")
            self._at = over

    def drain(self) -> None:
        """To the end of the stream."""
        while self._next():
            pass

    def refusal(self, why: str) -> CorruptContent:
        """The error to raise."""
        return CorruptContent(f"{self.what} is refused: {why}", _REMEDY)

    def _next(self) -> bool:
        for piece in self._pieces:
            if piece:
                self._piece, self._at = piece, 0
                self._total += len(piece)
                if self._total > _LAYER_LIMIT:
                    raise self.refusal(f"it is larger than {_LAYER_LIMIT >> 30} GiB")
                return True
        self._piece, self._at = b"", 0
        return False


def _apply(tree: Tree, source: _Bytes, choose: Choose, keep_folder: Keep) -> None:
    for header in _headers(source):
        path = "/".join(part for part in header.name.split("/") if part not in ("", "."))
        if ".." in header.name and ".." in path.split("/"):
            raise source.refusal(f"{header.name[:200]!r} leads out of it")
        folder, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            if name == _OPAQUE:
                tree.opaque(folder)
            elif len(name) > len(_WHITEOUT) and not name.startswith(".wh..wh."):
                tree.whiteout(f"{folder}/{name[len(_WHITEOUT) :]}")
            source.skip(_padded(header.data))
        elif header.kind == "5":
            tree.put_folder(path, keep=keep_folder(path))
        elif header.kind == "2":
            tree.put(path, Link(header.target))
        else:
            _file(tree, source, path, header, choose(path))


def _file(tree: Tree, source: _Bytes, path: str, header: _Header, want: Wanted | None) -> None:
    """A regular file, a hard link or a device; its content is gone by."""
    if header.kind == "1":
        return tree.hard_link(path, header.target, keep=want is not None)
    regular = header.kind in "07"
    if not regular and header.kind not in "346":
        return source.skip(_padded(header.data))  # of a kind that runtimes do not unpack either
    if want is None:
        tree.put(path, None)
        return source.skip(_padded(header.data))
    if not regular or header.sparse or not want.limit:
        tree.put(path, File(header.mode, regular=regular))
        return source.skip(_padded(header.data))
    count = min(want.limit, header.data)
    content = source.read(count) if want.search is None else _searched(source, count, want.search)
    source.skip(_padded(header.data) - count)
    tree.put(path, File(header.mode, content))
    return None


def _searched(source: _Bytes, count: int, pattern: re.Pattern[bytes]) -> bytes:
    """The first different matches in the next `count` bytes, a line each."""
    found, tail = dict[bytes, None](), b""
    while count:
        piece = source.read(min(count, 1 << 20))
        if not piece:
            raise source.refusal("it is cut off within a file")
        count -= len(piece)
        window = tail + piece
        if len(found) < _MATCHES:
            found |= dict.fromkeys(match[1] for match in pattern.finditer(window))
        tail = window[-_OVERLAP:]
    return b"\n".join(list(found)[:_MATCHES])


def _headers(source: _Bytes) -> Iterator[_Header]:
    """The members up to the end mark; extended headers are applied to what follows them."""
    extended: dict[str, str] = {}
    while (block := source.read(BLOCK)) and block != _ZEROS:
        kind, size = _checked(block, source)
        if kind in "LKxg":
            if size > _META_LIMIT:
                raise source.refusal(f"an extended header of {size} bytes")
            raw = source.read(size)
            source.skip(_padded(size) - len(raw))
            extended |= _extension(kind, raw, source)
            continue
        yield _header(block, kind, size, extended, source)
        extended = {}
    source.drain()


def _checked(block: bytes, source: _Bytes) -> tuple[str, int]:
    """The kind and the size of a header that has the right sum."""
    if len(block) < BLOCK:
        raise source.refusal("it is cut off within a header")
    total = number(block[148:156])
    if total != sum(block) - sum(block[148:156]) + 256:
        raise source.refusal("a header is broken")
    size = number(block[124:136])
    if size < 0:
        raise source.refusal("a header has an impossible size")
    return chr(block[156]), size


def _header(block: bytes, kind: str, size: int, extended: dict[str, str], source: _Bytes) -> _Header:
    name, sparse = _text(block[:100]), kind == "S" or any(key.startswith("GNU.sparse") for key in extended)
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = f"{prefix}/{name}"
    name = extended.get("GNU.sparse.name") or extended.get("path") or name
    announced = extended.get("size", "")
    if announced:
        size = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 20 else -1
        if size < 0:
            raise source.refusal("an extended header has an impossible size")
    if kind == "S":
        more = block[482]
        while more:
            more = source.read(BLOCK).ljust(BLOCK, b"\0")[504]
    if kind == "\0" and name.endswith("/"):
        kind = "5"
    target = extended.get("linkpath") or _text(block[157:257])
    data = 0 if ord(kind) in _NO_DATA else size
    kind = "0" if kind in "\0S" else kind
    return _Header(name, kind, max(number(block[100:108]), 0), target, data, sparse)


def _extension(kind: str, raw: bytes, source: _Bytes) -> dict[str, str]:
    """Names, targets and sizes; of a global header nothing, as runtimes have it."""
    if kind == "g":
        return {}
    if kind in "LK":
        return {"path" if kind == "L" else "linkpath": _text(raw)}
    fields, at = dict[str, str](), 0
    while at < len(raw) and raw[at]:
        space = raw.find(b" ", at, at + 8)
        length = int(raw[at:space]) if space > at and raw[at:space].isdigit() else 0
        key, equals, value = raw[space + 1 : at + length].partition(b"=")
        if not equals or not value.endswith(b"\n") or at + length > len(raw):
            raise source.refusal("an extended header is broken")
        if key in (b"path", b"linkpath", b"size", b"GNU.sparse.name"):
            fields[_text(key)] = _text(value[:-1])
        elif key.startswith(b"GNU.sparse."):
            fields["GNU.sparse"] = ""
        at += length
    return fields


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
