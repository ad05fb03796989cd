"""Which git tree a folder is: computed from its files alone, with nothing but the standard library.

The demo runs this inside the image. The commit's tree and the image's content agree when the two ids do:
`python3 -B -m demo.about` there, `git rev-parse HEAD^{tree}` here.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import NamedTuple

# Never committed: git's own, and what Python leaves beside a module that it has run.
NOT_COMMITTED = frozenset({b".git", b"__pycache__"})


class Found(NamedTuple):
    """A folder as git sees it."""

    tree: bytes
    files: int
    size: int


def survey(folder: bytes) -> Found:
    """The id of FOLDER's tree, and how much it holds."""
    rows: list[tuple[bytes, bytes]] = []
    files = size = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in NOT_COMMITTED:
                continue
            if entry.is_dir(follow_symlinks=False):
                below = survey(entry.path)
                files, size = files + below.files, size + below.size
                if below.files:  # git has no empty directories.
                    rows.append((entry.name + b"/", b"40000 " + entry.name + b"\0" + below.tree))
                continue
            mode, content = _file(entry)
            files, size = files + 1, size + len(content)
            rows.append((entry.name, mode + b" " + entry.name + b"\0" + _id(b"blob", content)))
    # git sorts directories as if their names ended in a slash.
    return Found(_id(b"tree", b"".join(row for _, row in sorted(rows))), files, size)


def _file(entry: os.DirEntry[bytes]) -> tuple[bytes, bytes]:
    if entry.is_symlink():
        return b"120000", os.readlink(entry.path)
    executable = entry.stat(follow_symlinks=False).st_mode & stat.S_IXUSR
    return (b"100755" if executable else b"100644"), Path(os.fsdecode(entry.path)).read_bytes()


def _id(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha1(b"%s %d\0" % (kind, len(content)) + content, usedforsecurity=False).digest()


def main() -> None:
    """Say it, of the folder that this program came in."""
    folder = Path(__file__).parent.parent
    found = survey(os.fsencode(folder))
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {python} in {folder}: {found.files} files, {found.size} bytes, which are the git tree")
    print(found.tree.hex())


if __name__ == "__main__":
    main()
