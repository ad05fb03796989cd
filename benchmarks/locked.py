"""Projects with the torch lock: a repository, its wheels on the local disk, and one small wheel that changes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.generated import HEADER, WHO, file_line
from tests.buildkit.wheels.support import wheel_bytes
from tests.rigs import torch_lock
from tests.rigs.process import output_of, run

# The wheel that changes is the team's own. It shares a layer with five others of 8 MB, which is more than the median.
HELPERS = """
[[packages]]
name = "team-helpers"
version = "{version}"
wheels = [{{ url = "https://wheels.example/{file}", hashes = {{ sha256 = "{sha256}" }} }}]
"""
PROGRAM = "import torch, transformers\nprint('{name}', torch.__version__, transformers.__version__)\n"


class Project:
    """A repository with a lock and a program, all wheels of which are in `house`; commits differ in one small wheel.

    `lock` is the lock's text without that wheel. With `neighbour`, its wheels are used.
    """

    def __init__(self, folder: Path, lock: str, neighbour: Project | None = None) -> None:
        self.folder = folder / "repository.git"
        self.context = folder / "context"
        self.house: Path = neighbour.house if neighbour else self.context / "house"
        self._lock = lock
        self._parent = ""
        self.context.mkdir(parents=True)
        if neighbour is None:
            self.house.mkdir()
            for wheel in torch_lock.wheelhouse(lock).glob("*.whl"):
                _link(wheel, self.house / wheel.name)
        run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.folder])

    @property
    def size(self) -> int:
        """Bytes of the wheels."""
        return sum(wheel.stat().st_size for wheel in self.house.iterdir())

    def change(self, number: int) -> str:
        """A commit with the small wheel of that number, and the same for pip in `context`; the commit's id."""
        data = wheel_bytes(_modules(number), name="team_helpers", version=f"1.{number}")
        file = self.house / f"team_helpers-1.{number}-py3-none-any.whl"
        file.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        lock = self._lock + HELPERS.format(version=f"1.{number}", file=file.name, sha256=sha256)
        program = PROGRAM.format(name=self.folder.parent.name)
        (self.context / "requirements.txt").write_text(torch_lock.requirements(lock))
        (self.context / "train.py").write_text(program)
        return self._commit({"pylock.toml": lock, "train.py": program})

    def _commit(self, files: Mapping[str, str]) -> str:
        header = HEADER.format(who=WHO, parent=self._parent).encode()
        lines = [file_line(path, content.encode()) for path, content in files.items()]
        said = output_of(
            ["git", "-C", str(self.folder), "fast-import", "--quiet"],
            stdin=b"".join([header, *lines, b"get-mark :1\n"]),
        )
        commit = said.decode().strip()
        self._parent = f"from {commit}\n"
        return commit


def _modules(number: int) -> dict[str, bytes]:
    return {f"team_helpers/part{part}.py": f"NUMBER = {number}, {part}\n".encode() * 50 for part in range(20)}


def _link(source: Path, target: Path) -> None:
    """A second name of the same file; a copy where the cache is on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
