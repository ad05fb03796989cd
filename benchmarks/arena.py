"""What the benchmarks of one run share: a registry with the base, an installed treeship, a folder for clones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from benchmarks import bases, product
from benchmarks.bases import Padding
from benchmarks.clones import Clone
from benchmarks.generated import Shape
from benchmarks.product import Product
from tests.rigs.docker_registry import DockerRegistry

MEGABYTE = 1_000_000


class Sizes(NamedTuple):
    """How large everything is; `engines` says whether the peers that need a daemon take part.

    `settle` is the pause before each turn, in seconds. `lock` names the packages of the torch lock; None is all.
    """

    shape: Shape
    padding: Padding
    big_file: int
    engines: bool
    settle: float
    lock: frozenset[str] | None = None


FULL = Sizes(
    Shape(5400, 11_000, 600, 100_000), Padding(layers=5, files=16), 2 << 30, engines=True, settle=1.0
)
# To see that all of it runs; the numbers mean nothing.
TINY = Sizes(
    Shape(60, 1_000, 6, 1_000),
    Padding(layers=1, files=1),
    4 << 20,
    engines=False,
    settle=0.0,
    # With layers of every kind: 120 MB.
    lock=frozenset({
        "boto3", "botocore", "jmespath", "metaflow", "numpy", "nvidia-cuda-nvrtc-cu12",
        "nvidia-cuda-runtime-cu12", "nvidia-nvtx-cu12", "pandas", "pip", "python-dateutil", "requests",
        "s3transfer", "scikit-learn", "scipy", "six", "urllib3",
    }),
)  # fmt: skip


class Arena:
    """Each part is made when the first benchmark asks for it, and ends with ENDING."""

    def __init__(
        self, folder: Path, sizes: Sizes, rounds: int, ending: ExitStack, *, keep: bool = False
    ) -> None:
        self.sizes = sizes
        self.rounds = rounds
        self._folder = folder
        self._keep = keep
        self._ending = ending

    @cached_property
    def product(self) -> Product:
        """treeship, installed."""
        return product.install(self._folder / "product")

    @cached_property
    def registry(self) -> DockerRegistry:
        """A registry; it holds the base and takes what is built."""
        return self._ending.enter_context(DockerRegistry())

    @cached_property
    def base(self) -> str:
        """The base's reference."""
        return bases.push(self.registry, self.sizes.padding, "base")

    @cached_property
    def plain_base(self) -> str:
        """The base without padding."""
        return bases.push_plain(self.registry, "plain")

    def image(self, name: str) -> str:
        """The reference of a repository of the registry, without a tag."""
        return f"{self.registry.host}/{name}"

    def stored(self) -> int:
        """The bytes of all blobs in the registry: what one push adds is what was new in it."""
        blobs = self.registry.storage / "docker/registry/v2/blobs"
        return sum(file.stat().st_size for file in blobs.glob("sha256/*/*/data"))

    def clone(self, folder: Path, shape: Shape, name: str, *, work_tree: bool = False) -> Clone:
        """A clone in FOLDER that differs from all others in what its commits write, so that none shares blobs."""
        return Clone(folder / name, shape, salt=name, work_tree=work_tree)

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A folder for one benchmark, removed at the end unless it is to be kept."""
        folder = self._folder / name
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            if not self._keep:
                shutil.rmtree(folder)

    def base_size(self) -> int:
        """Bytes of the base's blobs."""
        blobs = bases.layout(self.sizes.padding) / "blobs" / "sha256"
        return sum(file.stat().st_size for file in blobs.iterdir())

    def describe(self, shape: Shape) -> str:
        """What is built on what."""
        code = f"{shape.texts + shape.binaries:,} files, {shape.size / MEGABYTE:,.0f} MB"
        return f"{code}, on a base of {self.base_size() / MEGABYTE:,.0f} MB"
