"""Debian's Docker Engine on a socket of its own, beside any other on the machine."""

import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.rigs.install import debian_packages, need_root
from tests.rigs.mounting import overlay_works
from tests.rigs.process import run
from tests.rigs.rig import Rig

# Debian's own: another docker on the PATH may be newer, and want another engine.
CLIENT = Path("/usr/bin/docker")
ENGINE = Path("/usr/sbin/dockerd")


class DockerEngine(Rig):
    """An engine without images at `url` (unix://...), for DOCKER_HOST or the docker SDK.

    It has no bridge: run containers with --network=host or --network=none. Loopback registries need no TLS.
    """

    @classmethod
    def install(cls) -> None:
        need_root("the Docker Engine")
        debian_packages("docker.io")

    @property
    def socket(self) -> Path:
        """The file that the engine listens on."""
        return self.workspace.path / "docker.sock"

    @property
    def url(self) -> str:
        """What DOCKER_HOST is to be."""
        return f"unix://{self.socket}"

    @property
    def env(self) -> dict[str, str]:
        """What a client needs: DOCKER_HOST, and an empty DOCKER_CONFIG."""
        return {"DOCKER_HOST": self.url, "DOCKER_CONFIG": str(self.workspace.folder("client"))}

    def docker(
        self, *words: str | Path, check: bool = True, stdin: str | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run Debian's docker client against this engine."""
        return run([CLIENT, *words], env=self.env, check=check, stdin=stdin, timeout=timeout)

    def ctr(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run containerd's client against the containerd that this engine has started, in a namespace of its own."""
        address = self.workspace.path / "exec" / "containerd" / "containerd.sock"
        return run(["ctr", f"--address={address}", "--namespace=treeship", *words], check=check, timeout=900)

    def _start(self, ending: ExitStack) -> None:
        self._process = self._daemon(ending, [str(ENGINE), *self._options()])
        self._process.wait_until(self._answer)

    def _options(self) -> list[str]:
        folder = self.workspace.path
        settings = folder / "daemon.json"  # Not the machine's /etc/docker/daemon.json.
        settings.write_text("{}")
        driver = "overlay2" if overlay_works(folder / "probe") else "vfs"
        return [
            f"--config-file={settings}",
            f"--host={self.url}",
            f"--data-root={folder / 'data'}",
            f"--exec-root={folder / 'exec'}",
            f"--pidfile={folder / 'docker.pid'}",
            f"--storage-driver={driver}",
            f"--cgroup-parent=/{self.workspace.token}",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
        ]

    def _answer(self) -> str | None:
        if not self.socket.exists():
            return None
        return self.docker("version", "--format", "{{.Server.Version}}", check=False).stdout.strip() or None
