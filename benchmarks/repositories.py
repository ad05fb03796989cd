"""Repositories to build images of: generated with a fixed seed, kept in the rigs' cache, cloned for each contestant."""

from __future__ import annotations

import random
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from platform import python_version
from typing import IO, NamedTuple

from tests.rigs.cache import cached, key_of
from tests.rigs.errors import CommandFailed
from tests.rigs.process import environment, output_of, run

SEED = 20_240_229
WHO = "A Bench <bench@example.invalid> 1700000000 +0000"
HEADER = "commit refs/heads/main\nmark :1\ncommitter {who}\ndata 8\na commit\n{parent}"
# The text of a file is pieces of the standard library: it compresses like source code, which random words do not.
PIECE = (20, 60)
LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "__pycache__"}
BLOCK = 1 << 20


class Shape(NamedTuple):
    """What a repository holds: source files of about `text_size` bytes, and incompressible ones."""

    texts: int
    text_size: int
    binaries: int
    binary_size: int

    def times(self, factor: int) -> Shape:
        """As many times more files, in as many times more folders."""
        return self._replace(texts=self.texts * factor, binaries=self.binaries * factor)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.texts * self.text_size + self.binaries * self.binary_size

    def text_path(self, number: int) -> str:
        """Thirty files in a folder, twelve folders in one above."""
        return f"src/part{number // 360:03d}/module{number // 30:04d}/file{number:05d}.py"


class Clone:
    """A clone of a generated repository, with a branch `main`; its work tree follows where it has one."""

    def __init__(self, folder: Path, shape: Shape, *, salt: str, work_tree: bool) -> None:
        self.folder = folder
        self.head = ""
        self._shape = shape
        self._salt = salt
        self._work_tree = work_tree
        checkout = [] if work_tree else ["--no-checkout"]
        run(["git", "clone", "--quiet", *checkout, "--", generated(shape), folder], timeout=1800)
        self.head = run(["git", "-C", folder, "rev-parse", "HEAD"]).stdout.strip()

    def change(self, number: int) -> str:
        """Change a line of one source file, the same file for equal numbers, and commit; the commit's id."""
        path = self._shape.text_path(random.Random(number).randrange(self._shape.texts))
        lines = run(["git", "-C", self.folder, "show", f"{self.head}:{path}"]).stdout.splitlines(
            keepends=True
        )
        lines[len(lines) // 2] = f"CHANGED = '{self._salt} {number}'\n"
        content = "".join(lines).encode(errors="surrogateescape")
        parent = f"from {self.head}\n"
        parts = [HEADER.format(who=WHO, parent=parent).encode(), _file(path, content), b"get-mark :1\n"]
        said = output_of(["git", "-C", self.folder, "fast-import", "--quiet"], stdin=b"".join(parts))
        self.head = said.decode().strip()
        if self._work_tree:
            (self.folder / path).write_bytes(content)
        return self.head


def generated(shape: Shape) -> Path:
    """A bare repository of that shape, made once for each version of this file."""
    return _cached("repository", shape, partial(_tree, shape))


def with_big_file(size: int) -> Path:
    """A bare repository with an incompressible file of SIZE bytes, and a small one; made once."""
    return _cached("big-file", size, partial(_big_tree, size))


def _cached(kind: str, what: object, content: Callable[[], Iterator[bytes]]) -> Path:
    key = key_of(Path(__file__).read_text(), python_version(), repr(what))
    return cached(f"benchmarks/{kind}-{key}.git", partial(_import, content))


def _import(content: Callable[[], Iterator[bytes]], folder: Path) -> None:
    """One process takes all files as a stream; git's porcelain would want them on the disk first."""
    run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder])
    argv = ["git", "-C", str(folder), "fast-import", "--quiet"]
    with subprocess.Popen(argv, env=environment(), stdin=subprocess.PIPE) as importer:
        stream: IO[bytes] | None = importer.stdin
        assert stream is not None
        stream.write(HEADER.format(who=WHO, parent="").encode())
        for chunk in content():
            stream.write(chunk)
    if importer.returncode:
        raise CommandFailed(argv, importer.returncode, "see above")


def _tree(shape: Shape) -> Iterator[bytes]:
    source = random.Random(SEED)
    for number in range(shape.texts):
        yield _file(shape.text_path(number), _text(source, shape.text_size))
    for number in range(shape.binaries):
        yield _file(f"data/set{number // 20:03d}/sample{number:05d}.bin", source.randbytes(shape.binary_size))


def _big_tree(size: int) -> Iterator[bytes]:
    source = random.Random(SEED)
    yield _file("train.py", b"print('hello')\n")
    yield b"M 100644 inline weights.bin\ndata %d\n" % size
    yield from (source.randbytes(min(BLOCK, size - start)) for start in range(0, size, BLOCK))
    yield b"\n"


def _file(path: str, content: bytes) -> bytes:
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)


def _text(source: random.Random, size: int) -> bytes:
    lines = _library()
    text: list[bytes] = []
    length = 0
    while length < size:
        start = source.randrange(len(lines) - PIECE[1])
        piece = lines[start : start + source.randint(*PIECE)]
        text += piece
        length += sum(map(len, piece))
    return b"".join(text)[: size - 1] + b"\n"


@cache
def _library() -> list[bytes]:
    root = Path(sysconfig.get_path("stdlib"))
    files = (file for file in sorted(root.rglob("*.py")) if LEFT_OUT.isdisjoint(file.relative_to(root).parts))
    return [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
