"""A current BuildKit, without an engine: buildkitd on a socket of its own, and buildctl."""

import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.rigs.golang import go_tools
from tests.rigs.install import debian_packages, need_root
from tests.rigs.mounting import overlay_works
from tests.rigs.process import run
from tests.rigs.rig import Rig

SOURCE = Path(__file__).parent / "go" / "buildkit"


class BuildKit(Rig):
    """buildkitd at `address` with an OCI worker (runc) and no cache; loopback registries need no TLS."""

    @classmethod
    def install(cls) -> None:
        need_root("buildkitd")
        debian_packages("runc", "git")
        go_tools(SOURCE)

    @property
    def address(self) -> str:
        """What BUILDKIT_HOST is to be."""
        return f"unix://{self.workspace.path}/buildkit.sock"

    @property
    def env(self) -> dict[str, str]:
        """What buildctl needs: BUILDKIT_HOST, and an empty DOCKER_CONFIG."""
        return {"BUILDKIT_HOST": self.address, "DOCKER_CONFIG": str(self.workspace.folder("client"))}

    def _start(self, ending: ExitStack) -> None:
        folder = self.workspace.path
        settings = folder / "buildkitd.toml"  # Not the machine's /etc/buildkit/buildkitd.toml.
        settings.write_text(f'[worker.oci]\ndefaultCgroupParent = "{self.workspace.token}"\n')
        snapshots = "overlayfs" if overlay_works(folder / "probe") else "native"
        program = str(go_tools(SOURCE) / "buildkitd")
        places = [f"--config={settings}", f"--root={folder / 'root'}", f"--addr={self.address}"]
        worker = ["--containerd-worker=false", "--oci-worker=true", f"--oci-worker-snapshotter={snapshots}"]
        self._process = self._daemon(ending, [program, *places, *worker, "--oci-worker-net=host"])
        self._process.wait_until(lambda: self.buildctl("debug", "workers", check=False).stdout or None)

    def buildctl(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run buildctl against this daemon."""
        return run([self.client, *words], env=self.env, check=check)

    @property
    def client(self) -> Path:
        """The program buildctl."""
        return go_tools(SOURCE) / "buildctl"

    def build(self, context: Path, *, to: str) -> subprocess.CompletedProcess[str]:
        """Build CONTEXT, a folder with a Dockerfile, and push it to the reference TO."""
        folders = [f"--local=context={context}", f"--local=dockerfile={context}"]
        output = f"--output=type=image,name={to},push=true,registry.insecure=true"
        return self.buildctl("build", "--progress=plain", "--frontend=dockerfile.v0", *folders, output)
