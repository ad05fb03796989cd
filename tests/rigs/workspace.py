"""A temporary folder that takes all with it: processes, mounts, files, even where its owner was killed."""

import fcntl
import os
import re
import shutil
import tempfile
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rigs.cgroups import remove_group
from tests.rigs.process import kill_family, run

PREFIX = "treeship-rig-"
OWNER = ".owner"


def mounts_below(folder: Path) -> list[Path]:
    """What is mounted in FOLDER, the deepest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        # Blanks and the like are written as three octal digits.
        name = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4])
        path = Path(os.fsdecode(name))
        if path.is_relative_to(folder):
            found.append(path)
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def remove(folder: Path) -> None:
    """End the processes that were started for FOLDER, unmount what is in it, remove it and its control group."""
    kill_family(folder.name)
    for mount in mounts_below(folder) if Path("/proc/self/mountinfo").exists() else ():
        run(["umount", "--lazy", mount], check=False)
    remove_group(folder.name)
    if folder.exists():
        shutil.rmtree(folder)


def sweep() -> None:
    """Remove the workspaces whose owners were killed: nobody holds their lock any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            with (folder / OWNER).open() as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder)
        except OSError:  # It is in use, somebody else's, or not one of ours.
            continue


class Workspace:
    """`path` exists until the end of the `with` block; its processes have its name in their environment."""

    path: Path
    _owner: TextIOWrapper

    def __enter__(self) -> Self:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        unlocked = self.path / "owner.new"
        self._owner = unlocked.open("w")
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        unlocked.rename(self.path / OWNER)  # Only now a sweep elsewhere may look at it.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove(self.path)
        self._owner.close()

    @property
    def token(self) -> str:
        """What marks the processes that belong to this workspace."""
        return self.path.name

    def folder(self, name: str) -> Path:
        """A folder in it, made when needed."""
        made = self.path / name
        made.mkdir(parents=True, exist_ok=True)
        return made
