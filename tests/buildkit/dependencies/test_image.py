"""The whole path: a commit with a lock, on a real base, becomes an image whose layers are base, wheels, code."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pytest

from buildkit import build
from buildkit.cache import Cache, NoCache
from buildkit.config.values import Holds, Places
from buildkit.dependencies.partition import MOST_LAYERS
from buildkit.design import Bench, Design, design
from buildkit.destinations import destinations
from buildkit.endpoints import Silent
from buildkit.errors import InvalidInput
from buildkit.git.repository import Repository
from buildkit.image.annotations import LAYER_KEY, LAYER_NAME, LAYER_PATHS, LAYER_WHEELS
from buildkit.image.digest import Digest
from buildkit.image.manifest import Manifest
from buildkit.image.reference import LayoutReference
from buildkit.layout import LayoutSource
from buildkit.plan import Reason
from buildkit.production import make, outline
from buildkit.selection import PointerFile
from buildkit.spool import Spool
from buildkit.testing.repositories import ThrowAwayRepository
from buildkit.transports import Registries
from tests.buildkit.dependencies.support import Notes, Shelf, locked, pylock

BIG = {"big/__init__.py": b"", "big/weights.bin": random.Random(3).randbytes(5 << 20)}
TINY = "[console_scripts]\ntiny = small:NAME.strip\n"
APP = b"import big, small; print(small.NAME)\n"


class Nowhere:
    """Neither LFS content nor registries."""

    def prefetch(self, wanted: object) -> None:
        raise AssertionError(wanted)

    def open(self, wanted: PointerFile) -> BinaryIO:
        raise AssertionError(wanted)

    def connect(self) -> Registries:
        raise AssertionError("no registry is named")


class Built(NamedTuple):
    """What became of a build, and what was asked of the shelf for it."""

    design: Design
    manifest: Manifest
    image: LayoutSource
    fetched: list[str]

    @property
    def names(self) -> list[str]:
        """The layers above the base, lowest first."""
        return [
            layer.annotations.get(LAYER_NAME, "")
            for layer in self.manifest.layers[len(self.design.bases[0].layers) :]
        ]

    @property
    def reasons(self) -> dict[str, Reason]:
        return {layer.slot.name: layer.reason for layer in self.design.wheels}


class Rig:
    """Builds of one repository, with wheels of one shelf."""

    def __init__(self, origin: ThrowAwayRepository, repository: Repository, folder: Path, base: str) -> None:
        self.origin, self.repository, self.folder = origin, repository, folder
        self.shelf = Shelf(folder / "wheels")
        self.holds = Holds(base=base)
        self.said = Notes()
        self._count = 0

    def bench(self, cache: Cache) -> Bench:
        nowhere = Nowhere()
        return Bench(self.repository, cache, nowhere.connect, nowhere, self.shelf, Silent(), self.said)

    def build(
        self,
        files: dict[str, bytes],
        cache: Cache,
        *,
        holds: Holds | None = None,
        reuse: tuple[str, ...] = (),
    ) -> Built:
        """All stages, into a layout of its own."""
        self._count += 1
        self.shelf.fetched.clear()
        out = f"{self.folder}/out{self._count}"
        holds = holds or self.holds
        bench, commit = self.bench(cache), self.repository.commit(self.origin.commit(files, parents=()))
        wanted = destinations((f"oci:{out}:latest",), commit.oid, "", commit_tag=False)
        opened = build.open_destinations(bench, commit, holds, wanted)
        plan = design(bench, commit, holds, reuse, wanted)
        with Spool() as spool:
            product = make(bench, plan, spool, build.eager(plan, opened))
            build.remember(bench, product, build.deliver(product, opened, Places()))
        source = LayoutSource(LayoutReference(out, "latest"))
        manifest = source.document()
        assert isinstance(manifest, Manifest)
        assert manifest.digest == product.digest
        return Built(plan, manifest, source, sorted(set(self.shelf.fetched)))


@pytest.fixture
def rig(origin: ThrowAwayRepository, repository: Repository, tmp_path: Path, base_layout: Path) -> Rig:
    return Rig(origin, repository, tmp_path, f"oci:{base_layout}:latest")


def commit_of(rig: Rig, *, small: str = "1.0") -> dict[str, bytes]:
    """A program with a lock of three wheels."""
    wheels = [
        rig.shelf.add("small", {"small.py": b"NAME = 'small %s'\n" % small.encode()}, small, TINY),
        rig.shelf.add("big", BIG),
        rig.shelf.add("other"),
    ]  # fmt: skip
    return {"pylock.toml": pylock(*wheels), "app.py": APP, "src/more.py": b"\n"}


def test_base_wheels_code(rig: Rig, tmp_path: Path) -> None:
    built = rig.build(commit_of(rig), NoCache())
    base = built.design.bases[0]
    assert built.manifest.layers[: len(base.layers)] == tuple(
        layer._replace(annotations=found.annotations)
        for layer, found in zip(base.layers, built.manifest.layers, strict=False)
    )
    kinds = [name.partition("-")[0] for name in built.names]
    wheels = [name for name in built.names if name.startswith("wheel")]
    assert wheels[0] == "wheel-big", "the largest lies lowest"
    assert kinds[: len(wheels)] == ["wheel"] + ["wheels"] * (len(wheels) - 1)
    assert not {"wheel", "wheels"} & set(kinds[len(wheels) :]), "the commit's own files lie on top"
    described = {layer.annotations.get(LAYER_NAME): layer.annotations for layer in built.manifest.layers}
    assert described["wheel-big"][LAYER_WHEELS] == "big==1.0"
    assert described["wheel-big"][LAYER_PATHS] == "6"
    assert sorted(" ".join(described[name][LAYER_WHEELS] for name in wheels).split()) == [
        "big==1.0",
        "other==1.0",
        "small==1.0",
    ]
    assert [described[layer.slot.name][LAYER_KEY] for layer in built.design.wheels] == [
        layer.slot.key for layer in built.design.wheels
    ]
    _runs(_unpacked(built, tmp_path / "root"))


def _unpacked(built: Built, root: Path) -> Path:
    """The layers above the base, one over the other."""
    with built.image.blob(built.manifest.config) as stream:
        config = stream.read().decode()
    for layer in built.manifest.layers[len(built.design.bases[0].layers) :]:
        with built.image.blob(layer) as stream:
            data = stream.read()
        raw = gzip.decompress(data)
        assert Digest.of(raw) in config
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            tar.extractall(root, filter="tar")
    return root


def _runs(root: Path) -> None:
    """With this Python, as the folders are what matters."""
    site = root / "usr/local/lib/python3.11/dist-packages"
    listed = f"sorted((d.name, d.version, len(d.files)) for d in m.distributions(path=[{str(site)!r}]))"
    program = (
        f"exec(open({str(root / 'app/app.py')!r}).read()); import importlib.metadata as m; print({listed})"
    )
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"]}
    argv = [sys.executable, "-S", "-c", program]
    output = subprocess.run(argv, env=environment, capture_output=True, check=True, text=True).stdout
    assert output.splitlines()[0] == "small 1.0"
    assert "('small', '1.0', 7)" in output
    assert (root / "usr/local/bin/tiny").read_bytes().startswith(b"#!/usr/bin/python3.11\n")


def test_the_image_is_the_same_with_and_without_a_cache(rig: Rig, tmp_path: Path) -> None:
    cache, files = Cache(tmp_path / "cache"), commit_of(rig)
    cold, warm, without = rig.build(files, cache), rig.build(files, cache), rig.build(files, NoCache())
    assert cold.manifest.digest == warm.manifest.digest == without.manifest.digest
    assert set(cold.reasons.values()) == {Reason.NEW}
    assert set(warm.reasons.values()) == {Reason.CACHED}
    assert cold.fetched == without.fetched == ["big", "other", "small"]


def test_a_commit_that_changes_no_lock_touches_no_wheel(rig: Rig, tmp_path: Path) -> None:
    cache, files = Cache(tmp_path / "cache"), commit_of(rig)
    first = rig.build(files, cache)
    bench, commit = (
        rig.bench(cache),
        rig.repository.commit(rig.origin.commit({**files, "app.py": APP + b"#"})),
    )
    rig.shelf.fetched.clear()
    plan = design(bench, commit, rig.holds)
    with Spool() as spool:
        made = make(bench, plan, spool)
    assert rig.shelf.fetched == []
    assert [layer.written for layer in made.layers][: len(plan.wheels)] == [
        layer.slot.written for layer in plan.wheels
    ]
    assert made.digest != first.manifest.digest


def test_a_lock_with_one_other_wheel_makes_one_layer(rig: Rig, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    first = rig.build(commit_of(rig), cache)
    second = rig.build(commit_of(rig, small="1.1"), cache)
    made = [name for name, reason in second.reasons.items() if reason is not Reason.CACHED]
    assert len(made) == 1
    before, after = ({layer.digest for layer in each.manifest.layers} for each in (first, second))
    assert len(after - before) == 1 + 1, "the wheels' layer, and that of the lock itself"
    assert second.names == first.names


def test_what_an_ancestor_s_image_says_saves_making_it(rig: Rig, tmp_path: Path) -> None:
    files = commit_of(rig)
    first = rig.build(files, NoCache())
    trusted = f"oci:{tmp_path}/out1:latest"
    bench, commit = rig.bench(NoCache()), rig.repository.commit("HEAD")
    plan = design(bench, commit, rig.holds, (trusted,))
    assert {layer.reason for layer in plan.layers} == {Reason.ANCESTOR}
    rig.shelf.fetched.clear()
    with Spool() as spool:
        assert outline(bench, plan, spool).digest == first.manifest.digest
        assert rig.shelf.fetched == []
        assert make(bench, plan, spool).digest == first.manifest.digest
    second = rig.build(files, NoCache(), reuse=(trusted,))
    assert second.manifest.layers == first.manifest.layers


def test_an_outline_reads_no_wheel(rig: Rig) -> None:
    bench, commit = rig.bench(NoCache()), rig.repository.commit(rig.origin.commit(commit_of(rig)))
    plan = design(bench, commit, rig.holds)
    with Spool() as spool:
        product = outline(bench, plan, spool)
    assert rig.shelf.fetched == []
    assert product.guessed == {layer.slot.key for layer in plan.wheels}


def test_settings_without_dependencies_leave_the_lock_alone(rig: Rig) -> None:
    files = commit_of(rig)
    built = rig.build(
        {**files, "pylock.toml": b"broken ["}, NoCache(), holds=rig.holds._replace(dependencies=False)
    )
    assert built.design.needs == (None,)
    assert built.design.wheels == ()
    assert built.fetched == []
    assert not [name for name in built.names if name.startswith("wheel")]


def test_a_base_without_python_is_refused_with_the_way_out(rig: Rig) -> None:
    with pytest.raises(InvalidInput, match="the base scratch has no Python") as caught:
        rig.build(commit_of(rig), NoCache(), holds=Holds(base="scratch"))
    assert "--no-dependencies" in caught.value.remedy
    built = rig.build(commit_of(rig), NoCache(), holds=Holds(base="scratch", dependencies=False))
    assert built.design.wheels == ()


def test_nothing_is_delivered_of_a_lock_that_cannot_be_followed(rig: Rig, tmp_path: Path) -> None:
    clash = [rig.shelf.add("small", {"x.py": b"1"}), rig.shelf.add("other", {"x.py": b"2"})]
    for lock, words in (
        (pylock(*clash), "both write"),
        (pylock(locked("small"), head='requires-python = ">=3.99"'), "is for Python"),
        (b"= nonsense", "not TOML"),
    ):
        with pytest.raises(InvalidInput, match=words):
            rig.build({"pylock.toml": lock, "app.py": APP}, Cache(tmp_path / "cache"))
    assert not [path for path in tmp_path.glob("out*/**/*") if path.is_file()]


def test_a_requirements_file_without_hashes_brings_nothing_and_is_noted(rig: Rig) -> None:
    built = rig.build({"requirements.txt": b"numpy\n", "app.py": APP}, NoCache())
    assert built.design.wheels == ()
    assert [note for note in rig.said if "requirements.txt is no lock" in note]
    rig.build({"requirements.txt": b"numpy\n", "app.py": APP}, NoCache(), holds=Holds(base="scratch"))


def test_a_lock_leaves_room_for_the_code_whatever_it_holds(rig: Rig) -> None:
    """Files of the tree move to no other layer when the lock grows."""
    few = rig.build(commit_of(rig), NoCache())
    many = [rig.shelf.add(f"w{number}") for number in range(MOST_LAYERS)]
    more = rig.build({**commit_of(rig), "pylock.toml": pylock(*many)}, NoCache())
    own = [[name for name in each.names if not name.startswith("wheel")] for each in (few, more)]
    assert own[0] == own[1]
