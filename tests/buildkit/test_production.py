"""Layers on their way from git to the spool: what is made is whole, however many are made at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, BinaryIO

import pytest

from buildkit.cache import NoCache
from buildkit.config.values import Holds
from buildkit.design import Bench, design
from buildkit.endpoints import Blob, Silent
from buildkit.git.repository import Repository
from buildkit.image.digest import Digest
from buildkit.layers.partition import Scheme
from buildkit.production import make
from buildkit.selection import PointerFile
from buildkit.spool import Spool
from buildkit.testing.repositories import ThrowAwayRepository

SIZE = 3 << 20


class Nowhere:
    """Neither registries, LFS content nor wheels: these builds need none."""

    def connect(self) -> Any:
        raise AssertionError("no registry is named")

    def prefetch(self, wanted: Sequence[PointerFile]) -> None:
        raise AssertionError(wanted)

    def open(self, wanted: PointerFile) -> BinaryIO:
        raise AssertionError(wanted)

    def resolve(self, *wanted: object) -> Any:
        raise AssertionError(wanted)

    def fetch(self, wheels: object) -> Any:
        raise AssertionError(wheels)


@pytest.fixture
def bench(repository: Repository) -> Bench:
    nowhere = Nowhere()
    return Bench(
        repository=repository,
        cache=NoCache(),
        registries=nowhere.connect,
        lfs=nowhere,
        wheels=nowhere,
        progress=Silent(),
        say=lambda _: None,
    )


def in_layers(count: int) -> dict[str, bytes]:
    """Files of several members each, no two of them in one layer."""
    homes: dict[str, str] = {}
    for number in range(200):
        homes.setdefault(Scheme().homes(b"%d.txt" % number)[0], f"{number}.txt")
    dice = random.Random(count)
    return {path: dice.randbytes(SIZE) for path in sorted(homes.values())[:count]}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_layers_that_are_made_one_after_the_other_do_not_mix(
    origin: ThrowAwayRepository, bench: Bench, count: int
) -> None:
    """They share one file while they wait, and each is begun before the one before has been compressed."""
    commit = bench.repository.commit(origin.commit(in_layers(count)))
    offered: list[Blob] = []
    with Spool(0) as spool:
        product = make(bench, design(bench, commit, Holds()), spool, offered.append)
        assert len(product.layers) == count
        assert [blob.digest for blob in offered] == [layer.written.digest for layer in product.layers]
        for blob in (*offered, *product.work.blobs):
            with blob.open() as stream:
                assert Digest.of(stream.read()) == blob.digest
