"""The world that the pages of the documentation speak of: a project, a registry with bases, and a package index."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from buildkit.image import media
from buildkit.image.digest import Digest
from buildkit.testing.index import InProcessIndex
from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.repositories import ThrowAwayRepository
from tests.buildkit import images
from tests.buildkit.bases_facts.support import LIBC, file, link, python_files, tar
from tests.buildkit.wheels.support import Part, zipped
from tests.end_to_end.locked import Wheel, pylock, wheel

REGISTRY, INDEX = "registry.example", "https://packages.example"
# Equal commits have equal ids, whenever a page makes them. No engine: what one has differs between machines.
ENVIRONMENT = {
    "GIT_AUTHOR_DATE": "2024-01-01T12:00:00Z",
    "GIT_COMMITTER_DATE": "2024-01-01T12:00:00Z",
    "DOCKER_HOST": "unix:///nowhere/docker.sock",
}
# The project that the pages speak of. Its second commit is the one that they build.
PROJECT = {
    "train.py": b"epochs = 3\nprint('training for', epochs)\n",
    "features.py": b"columns = ['age', 'height']\n",
    "evaluate.py": b"print('evaluating')\n",
    "flows/nightly.py": b"print('a flow')\n",
    "data/labels.csv": b"id,label\n" + b"".join(b"%d,%d\n" % (n, n % 7) for n in range(2000)),
    "README.md": b"# A project\n",
    "pyproject.toml": b'[project]\nname = "project"\nversion = "1"\n',
}
# The bases by repository and tag, each with a program that tells it from the others. All have the same Python.
BASES = {"python:3.12": "grep", "python:3.12-next": "sed", "devbox:3.12": "sshd", "training:3.12": "mpirun"}
_SYSTEM = {
    "usr/lib/x86_64-linux-gnu/libc.so.6": LIBC,
    "usr/lib/os-release": b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "etc/passwd": b"root:x:0:0::/root:/bin/bash\napp:x:10001:10001::/home/app:/bin/bash\n",
    "etc/group": b"root:x:0:\napp:x:10001:\n",
    "usr/bin/bash": b"",
    "usr/bin/tar": b"",
}
_GPU = "cp312-cp312-manylinux_2_28_x86_64"
_MIB = 1 << 20
# Small stand-ins for what a project locks. The groups that a wheel is of are in its marker.
_REQUIRES = {"torch": ["nvidia-cublas-cu12", "numpy"], "requests": ["urllib3", "idna"], "pytest": ["pluggy"]}
_DEV = "'dev' in dependency_groups"


@cache
def wheels(numpy: str = "2.3.4") -> list[Wheel]:
    """What the project's lock names."""
    made = [
        wheel("torch", "2.8.0", {"torch/test/test_all.py": b""}, tag=_GPU, size=8 * _MIB),
        wheel("nvidia-cublas-cu12", "12.8.4.1", tag="py3-none-manylinux_2_27_x86_64", size=6 * _MIB),
        wheel("numpy", numpy, {"numpy/tests/test_all.py": b"a = 1\n" * 2000}, tag=_GPU, size=5 * _MIB),
        wheel("requests", "2.32.5"),
        wheel("urllib3", "2.5.0"),
        wheel("idna", "3.11"),
        wheel("pytest", "8.4.2", commands="[console_scripts]\npytest = pytest:main\n"),
        wheel("pluggy", "1.6.0"),
    ]
    return [_stored(each) for each in made]


def lock(locked: list[Wheel]) -> bytes:
    """A pylock.toml. It names PyPI's files, as locks do; the pages fetch from their index instead."""
    markers = dict.fromkeys(("pytest", "pluggy"), _DEV)
    text = pylock("https://files.pythonhosted.org/packages/", locked, markers=markers).decode()
    text = text.replace("[[packages]]", 'dependency-groups = ["dev"]\n[[packages]]', 1)
    for name, required in _REQUIRES.items():
        entries = ", ".join(f'{{ name = "{each}" }}' for each in required)
        text = text.replace(f'\nname = "{name}"\n', f'\nname = "{name}"\ndependencies = [{entries}]\n')
    return text.encode()


class Sandbox(NamedTuple):
    """A work tree of the project, and the registry and the index that the pages call by the names above."""

    folder: Path
    registry: InProcessRegistry
    packages: InProcessIndex

    def run(self, script: str) -> str:
        """What a block prints on stdout, in the page's own words."""
        script = script.replace(REGISTRY, self.registry.host).replace(INDEX, f"http://{self.packages.host}")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=os.environ | {"PATH": path} | ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout.replace(self.registry.host, REGISTRY)

    def json(self, words: str) -> dict[str, Any]:
        """What a verb prints with --json; 10 is what a plan with changes ends with."""
        found = json.loads(self.run(f"treeship {words} --json || test $? = 10"))
        assert isinstance(found, dict)
        return found


@contextmanager
def opened(folder: Path) -> Iterator[Sandbox]:
    """Two commits, a lock that is no part of them yet (and a newer one beside the work tree), bases, and wheels."""
    repository = ThrowAwayRepository(folder / "project")
    first = repository.commit({**PROJECT, "features.py": b"columns = []\n"})
    repository.commit(PROJECT, parents=[first])
    first_lock, newer = wheels(), wheels("2.3.5")
    offered = {each.filename: each.data for each in [*first_lock, *newer]}
    with InProcessRegistry() as registry, InProcessIndex(offered) as packages:
        sandbox = Sandbox(repository.directory, registry, packages)
        sandbox.run("git reset --quiet --hard")
        (sandbox.folder / "pylock.toml").write_bytes(lock(first_lock))
        (folder / "newer-pylock.toml").write_bytes(lock(newer))
        for name, program in BASES.items():
            _put_base(registry, f"bases/{name}", {**_SYSTEM, f"usr/bin/{program}": b""})
        yield sandbox


def _put_base(registry: InProcessRegistry, name: str, files: Mapping[str, bytes]) -> None:
    layer = tar(link("bin", "usr/bin"), *python_files(), *(file(path, data) for path, data in files.items()))
    made = images.image(images.Layer(layer, Digest.of(layer), media.OCI_LAYER))
    repository, _, tag = name.partition(":")
    for raw in made.blobs.values():
        registry.store.add_blob(repository, raw)
    registry.store.add_manifest(repository, made.target.raw, media.OCI_MANIFEST, tag)


def _stored(made: Wheel) -> Wheel:
    """Without compression, so that its size and hash are the same with any zlib."""
    with zipfile.ZipFile(io.BytesIO(made.data)) as source:
        members = {
            each.filename: Part(source.read(each), each.external_attr >> 16, zipfile.ZIP_STORED)
            for each in source.infolist()
        }
    return made._replace(data=zipped(members))
