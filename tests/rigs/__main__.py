"""python -m tests.rigs list | install [NAME...]: put what the rigs need on the machine ahead of the tests."""

import argparse
import sys
import time
from collections.abc import Callable

from tests.rigs import base_image, cpu_models, lfs_server
from tests.rigs.binfmt import Binfmt
from tests.rigs.buildkit import BuildKit
from tests.rigs.containerd import Containerd
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.errors import RigError, RigUnavailable
from tests.rigs.ggcr_registry import GgcrRegistry
from tests.rigs.podman import Podman
from tests.rigs.small_disk import SmallDisk
from tests.rigs.token_server import TokenServer

Install = Callable[[], object]

RIGS: dict[str, tuple[Install, str]] = {
    "docker-registry": (DockerRegistry.install, "Debian's docker-registry; passwords, tokens, TLS"),
    "token-server": (TokenServer.install, "the tokens for it"),
    "ggcr-registry": (GgcrRegistry.install, "go-containerregistry's registry, and crane"),
    "docker-engine": (DockerEngine.install, "Debian's Docker Engine on its own socket"),
    "podman": (Podman.install, "podman, buildah, skopeo, umoci"),
    "containerd": (Containerd.install, "Debian's containerd, and ctr"),
    "buildkit": (BuildKit.install, "buildkitd and buildctl"),
    "base-image": (base_image.layout, "Debian with Python, as an OCI layout"),
    "foreign-image": (base_image.foreign_layout, "the same for another machine"),
    "binfmt": (Binfmt.install, "programs for other machines, by qemu-user"),
    "cpu-models": (cpu_models.install, "one program on several CPU models"),
    "small-disk": (SmallDisk.install, "a disk that is soon full"),
    "lfs-server": (lfs_server.install, "a Git LFS server that misbehaves on request; git-lfs"),
}


def main() -> int:
    """0 when all is there that this machine can carry (the rest is named), 1 when a rig is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.rigs", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="name the rigs")
    install = verbs.add_parser("install", help="install what they need")
    install.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    if asked.verb == "list":
        for name, (_, purpose) in RIGS.items():
            print(f"{name:16} {purpose}")
        return 0
    if unknown := set(asked.names) - set(RIGS):
        parser.error(f"no rig is called {', '.join(sorted(unknown))}; `list` names them")
    return max([_install(name) for name in asked.names or RIGS])


def _install(name: str) -> int:
    began = time.monotonic()
    try:
        RIGS[name][0]()
    except RigUnavailable as reason:
        print(f"{name:16} not on this machine: {reason}", file=sys.stderr)
    except RigError as error:
        print(f"{name:16} failed: {error}", file=sys.stderr)
        return 1
    else:
        print(f"{name:16} ready ({time.monotonic() - began:.2f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
