"""Repositories to build images of: generated with a fixed seed, and kept in the rigs' cache."""

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
from tests.rigs.process import environment, run

SEED = 20_240_229
WHO = "A Bench <bench@example.invalid> 1700000000 +0000"
HEADER = "commit refs/heads/main\nmark :1\ncommitter {who}\ndata 8\na commit\n{parent}"
# What a file of source holds is cut from the standard library: it compresses nearly as real files of that size do
# (3.8 times; they 4.1), which random words do not, and neither does a mixture of many short pieces (3.3 times).
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
    # A pack, as a clone from a server has it, however few objects there are.
    argv = ["git", "-C", str(folder), "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"]
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
        yield file_line(shape.text_path(number), _text(source, shape.text_size))
    for number in range(shape.binaries):
        yield file_line(
            f"data/set{number // 20:03d}/sample{number:05d}.bin", source.randbytes(shape.binary_size)
        )


def _big_tree(size: int) -> Iterator[bytes]:
    source = random.Random(SEED)
    yield file_line("train.py", b"print('hello')\n")
    yield b"M 100644 inline weights.bin\ndata %d\n" % size
    yield from (source.randbytes(min(BLOCK, size - start)) for start in range(0, size, BLOCK))
    yield b"\n"


def file_line(path: str, content: bytes) -> bytes:
    """A file in fast-import's language."""
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)


def _text(source: random.Random, size: int) -> bytes:
    lines = _library()
    start = source.randrange(len(lines))
    text = bytearray()
    while len(text) < size:
        text += lines[start % len(lines)]
        start += 1
    return bytes(text[: size - 1]) + b"\n"


@cache
def _library() -> list[bytes]:
    root = Path(sysconfig.get_path("stdlib"))
    files = (file for file in sorted(root.rglob("*.py")) if LEFT_OUT.isdisjoint(file.relative_to(root).parts))
    return [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
