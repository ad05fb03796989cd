"""Debian's containerd on a socket of its own, and ctr, which pulls and runs with it."""

import json
import subprocess
import uuid
from contextlib import ExitStack
from pathlib import Path

from tests.rigs.install import debian_packages, need_root
from tests.rigs.mounting import overlay_works
from tests.rigs.process import run
from tests.rigs.rig import Rig

# Kubernetes' part wants networks, and the last one writes to /opt.
DISABLED = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]


class Containerd(Rig):
    """containerd without images; loopback registries need no TLS."""

    @classmethod
    def install(cls) -> None:
        need_root("containerd")
        debian_packages("containerd", "runc")

    @property
    def socket(self) -> Path:
        """The file that it listens on."""
        return self.workspace.path / "containerd.sock"

    def ctr(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ctr against it."""
        return run(["ctr", f"--address={self.socket}", *words], check=check, timeout=600)

    def pull(self, image: str) -> None:
        """Pull a reference of a loopback registry, with tag or digest, and unpack it."""
        self.ctr("image", "pull", "--plain-http", f"--snapshotter={self._snapshotter}", image)

    def output(self, image: str, *command: str) -> str:
        """What a command prints in a container of a pulled image."""
        group = f"/{self.workspace.token}/{uuid.uuid4().hex}"
        words = ["run", "--rm", f"--snapshotter={self._snapshotter}", f"--cgroup={group}"]
        return self.ctr(*words, image, uuid.uuid4().hex, *command).stdout

    def _start(self, ending: ExitStack) -> None:
        folder = self.workspace.path
        self._snapshotter = "overlayfs" if overlay_works(folder / "probe") else "native"
        settings = folder / "containerd.toml"  # Not the machine's /etc/containerd/config.toml.
        settings.write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            f"disabled_plugins = {json.dumps(DISABLED)}\n"
            f'[grpc]\naddress = "{self.socket}"\n[ttrpc]\naddress = "{self.socket}.ttrpc"\n'
        )
        process = self._daemon(ending, ["containerd", f"--config={settings}"])
        process.wait_until(self._answer)

    def _answer(self) -> str | None:
        return self.ctr("version", check=False).stdout.strip() or None if self.socket.exists() else None
