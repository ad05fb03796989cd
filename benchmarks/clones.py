"""A contestant's own clone, with a new commit for every round."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.generated import HEADER, WHO, Shape, file_line, generated
from tests.rigs.process import output_of, run


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
        parts = [HEADER.format(who=WHO, parent=parent).encode(), file_line(path, content), b"get-mark :1\n"]
        said = output_of(["git", "-C", self.folder, "fast-import", "--quiet"], stdin=b"".join(parts))
        self.head = said.decode().strip()
        if self._work_tree:
            (self.folder / path).write_bytes(content)
        return self.head
