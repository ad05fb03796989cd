"""go-containerregistry's registry, a second implementation; and crane."""

import re
from contextlib import ExitStack
from pathlib import Path

from tests.rigs.golang import go_install
from tests.rigs.process import Daemon
from tests.rigs.rig import Rig

MODULE = "github.com/google/go-containerregistry"
VERSION = "v0.22.1"
SERVING = re.compile(r"serving on port (\d+)")


def crane() -> Path:
    """The program crane, built on first use."""
    return go_install(MODULE, VERSION, "cmd/crane") / "crane"


class GgcrRegistry(Rig):
    """A registry on `host`: manifests in memory, blobs on disk, no authentication, plain HTTP."""

    host: str

    @classmethod
    def install(cls) -> None:
        crane()

    def _start(self, ending: ExitStack) -> None:
        blobs = self.workspace.folder("blobs")
        # The same code as the module's cmd/registry, with a disk and an address to choose.
        command = ["registry", "serve", "--address=127.0.0.1:0", f"--disk={blobs}"]
        self._process = self._daemon(ending, [str(crane()), *command])
        self.host = self._process.wait_until(lambda: _listening(self._process))

    @property
    def url(self) -> str:
        """Where it answers, with the scheme."""
        return f"http://{self.host}"


def _listening(process: Daemon) -> str | None:
    match = SERVING.search(process.output())
    return f"127.0.0.1:{match[1]}" if match else None
