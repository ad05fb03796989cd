"""podman, buildah, skopeo and umoci with a store and settings of their own."""

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.rigs.cgroups import remove_group
from tests.rigs.install import debian_packages, need_root
from tests.rigs.mounting import overlay_works
from tests.rigs.process import TOKEN, run
from tests.rigs.rig import Rig

REGISTRIES = """\
unqualified-search-registries = []
[[registry]]
location = "127.0.0.1"
insecure = true
[[registry]]
location = "localhost"
insecure = true
"""
# podman's default limits are above the hard limits of many machines, which takes CAP_SYS_RESOURCE.
CONTAINERS = """\
[containers]
default_ulimits = []
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "{folder}/tmp"
conmon_env_vars = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "{mark}"]
"""
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}


class Podman(Rig):
    """The tools, each with an empty store: podman(...), buildah(...), skopeo(...), umoci(...).

    Containers use the host's network. Loopback registries need no TLS. Nothing of the machine's own settings,
    images or logins is seen. `argv` and `env` are for callers that start the tools themselves.
    """

    env: dict[str, str]

    @classmethod
    def install(cls) -> None:
        need_root("podman")
        debian_packages("podman", "buildah", "skopeo", "umoci", "runc", "conmon")

    def _start(self, ending: ExitStack) -> None:
        folder = self.workspace.path
        mark = f"{TOKEN}={self.workspace.token}"
        self.driver = "overlay" if overlay_works(folder / "probe") else "vfs"
        (folder / "registries.conf").write_text(REGISTRIES)
        (folder / "containers.conf").write_text(CONTAINERS.format(folder=folder, mark=mark))
        (folder / "policy.json").write_text(json.dumps(POLICY))
        (folder / "auth.json").write_text("{}")
        (folder / "storage.conf").write_text(self._storage())
        self.env = {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
        }
        ending.callback(remove_group, "libpod_parent")
        ending.callback(self.podman, "rm", "--all", "--force", "--time=0", check=False)

    def _storage(self) -> str:
        folder = self.workspace.path
        return f'[storage]\ndriver = "{self.driver}"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'

    def argv(self, tool: str) -> list[str]:
        """What a command line of TOOL begins with; it needs `env` too."""
        store = [f"--root={self.workspace.path}/root", f"--runroot={self.workspace.path}/run"]
        match tool:
            case "podman" | "buildah":
                return [tool, *store, f"--storage-driver={self.driver}"]
            case "skopeo":
                # Debian's skopeo does not read CONTAINERS_REGISTRIES_CONF.
                folder = self.workspace.path
                return [tool, f"--policy={folder}/policy.json", f"--registries-conf={folder}/registries.conf"]
            case _:
                return [tool]

    def podman(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run podman."""
        return run([*self.argv("podman"), *words], env=self.env, check=check)

    def buildah(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run buildah."""
        return run([*self.argv("buildah"), *words], env=self.env, check=check)

    def skopeo(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run skopeo."""
        return run([*self.argv("skopeo"), *words], env=self.env, check=check)

    def umoci(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run umoci."""
        return run([*self.argv("umoci"), *words], env=self.env, check=check)
