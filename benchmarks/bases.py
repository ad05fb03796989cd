"""The base: Debian with Python from the rigs, padded with random layers to the size of a usual ML base."""

from __future__ import annotations

import io
import random
import tarfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.rigs import base_image
from tests.rigs.cache import cached, key_of
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.ggcr_registry import GgcrRegistry, crane
from tests.rigs.process import run

FILE = 8 << 20


class Padding(NamedTuple):
    """Layers that are added, and the files of 8 MiB in each."""

    layers: int
    files: int


def push(registry: DockerRegistry, padding: Padding, name: str) -> str:
    """Push the base as NAME; its reference, without a transport."""
    return _push(registry, layout(padding), name)


def push_plain(registry: DockerRegistry, name: str) -> str:
    """The same of a base that is Debian with Python and nothing else."""
    return _push(registry, base_image.layout(), name)


def _push(registry: DockerRegistry, folder: Path, name: str) -> str:
    reference = f"{registry.host}/{name}:latest"
    run([crane(), "push", folder, reference], timeout=600)
    return reference


def layout(padding: Padding) -> Path:
    """An OCI layout with the base, made once."""
    plain = base_image.layout()
    key = key_of(Path(__file__).read_text(), plain.name, padding)
    return cached(f"benchmarks/base-{key}", partial(_pad, plain, padding))


def _pad(plain: Path, padding: Padding, folder: Path) -> None:
    """By crane, in a registry that lives as long as this takes."""
    tars = [
        _random_tar(folder.parent / f"{number}.tar", number, padding.files)
        for number in range(padding.layers)
    ]
    with GgcrRegistry() as registry:
        base, padded = f"{registry.host}/base:plain", f"{registry.host}/base:padded"
        run([crane(), "push", plain, base])
        words = [f"--new_layer={tar}" for tar in tars]
        run([crane(), "append", f"--base={base}", *words, f"--new_tag={padded}"], timeout=900)
        run([crane(), "pull", "--format=oci", padded, folder])


def _random_tar(file: Path, number: int, files: int) -> Path:
    source = random.Random(number)
    with tarfile.open(file, "w") as archive:
        for each in range(files):
            member = tarfile.TarInfo(f"opt/padding/{number}-{each}.bin")
            member.size = FILE
            archive.addfile(member, io.BytesIO(source.randbytes(FILE)))
    return file
