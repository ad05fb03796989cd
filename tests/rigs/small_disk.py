"""A disk that is soon full."""

from contextlib import ExitStack
from pathlib import Path

from tests.rigs.install import need_root
from tests.rigs.mounting import mount
from tests.rigs.rig import Rig


class SmallDisk(Rig):
    """A file system of MEBIBYTES at `path`."""

    path: Path

    def __init__(self, mebibytes: int) -> None:
        self._options = f"size={mebibytes}m,mode=700"

    @classmethod
    def install(cls) -> None:
        need_root("a file system of a fixed size")

    def _start(self, ending: ExitStack) -> None:
        self.path = self.workspace.folder("disk")
        mount(ending, "tmpfs", self.path, self._options)
