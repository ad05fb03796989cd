"""From a lock and a base to planned layers: what is asked for, what is remembered, and what a hostile lock can do."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from buildkit.bases.base import Base
from buildkit.cache import Cache, NoCache
from buildkit.config.values import Holds
from buildkit.dependencies.lockfile import LockFiles
from buildkit.dependencies.partition import Scheme as Partition
from buildkit.dependencies.plan import Carried, WheelPlan, layer_key, sha256_of
from buildkit.dependencies.stage import Dependencies
from buildkit.endpoints import Silent
from buildkit.errors import InvalidInput
from buildkit.wheels.locks.model import LockedWheel
from tests.buildkit.dependencies.support import SLIM, Notes, Shelf, locked, pylock, scratch, slim_base
from tests.buildkit.wheels_locks.support import PYPROJECT, UV_LOCK

DEFAULTS, FINEST = Holds(), Partition()
GROUPS = 'dependency-groups = ["gpu", "dev"]\ndefault-groups = ["dev"]\nextras = ["more"]'


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return slim_base(tmp_path / "base", {"pip": "24.0", "numpy": "2.0"})


class Stage:
    """The stage under one set of settings, with what was said."""

    def __init__(self, base: Base, shelf: Shelf, cache: Cache | None = None, holds: Holds = DEFAULTS) -> None:
        self.base = base
        self.said = Notes()
        self._stage = Dependencies(holds, shelf, cache or NoCache(), self.said, Silent())

    def plan(self, lock: bytes | LockFiles, room: Partition = FINEST) -> WheelPlan:
        """The plan of this lock, which there has to be."""
        found = self._stage.plan(_files(lock), self.base, room)
        assert found is not None
        return found

    def is_none(self, lock: bytes | LockFiles) -> bool:
        """Whether there turns out to be no lock."""
        return self._stage.plan(_files(lock), self.base, Partition()) is None


def _files(lock: bytes | LockFiles) -> LockFiles:
    return LockFiles("pylock.toml", {"pylock.toml": lock}) if isinstance(lock, bytes) else lock


def layers_of(plan: WheelPlan) -> dict[str, list[str]]:
    """The wheels of each kind of layer, by name."""
    found: dict[str, list[str]] = {}
    for layer in plan.layers:
        found.setdefault(layer.name.partition("-")[0], []).extend(wheel.name for wheel in layer.wheels)
    return {kind: sorted(names) for kind, names in found.items()}


def test_a_lock_becomes_layers_without_a_wheel_being_read(base: Base, shelf: Shelf) -> None:
    plan = Stage(base, shelf).plan(
        pylock(locked("torch", size=900 << 20), locked("six"), locked("numpy", "2.0.0"))
    )
    assert layers_of(plan) == {"wheel": ["torch"], "wheels": ["six"]}
    assert plan.carried == (Carried("numpy", "2.0"),)
    assert (plan.lock, plan.scheme) == ("pylock.toml", SLIM)
    assert dict(plan.why) == {"torch": "named in the lock", "six": "named in the lock"}
    assert shelf.fetched == shelf.resolved == []


def test_a_second_plan_reads_nothing(base: Base, shelf: Shelf, tmp_path: Path) -> None:
    """Neither base nor lock nor wheels: the lock that is given now could not even be parsed."""
    cache = Cache(tmp_path / "cache")
    wheels = [shelf.add("six")._replace(size=None), shelf.add("idna")]
    first = Stage(base, shelf, cache).plan(pylock(*wheels))
    assert shelf.fetched == ["six"]
    again = Unreadable("pylock.toml", {"pylock.toml": pylock(*wheels)})
    assert Stage(base._replace(source=None), shelf, cache).plan(again) == first
    assert shelf.fetched == ["six"]


class Unreadable(LockFiles):
    """A lock that nobody may parse."""

    @property
    def fingerprint(self) -> str:
        return LockFiles(*self).fingerprint

    def __getattribute__(self, name: str) -> object:
        assert name != "files", "its content was asked for"
        return super().__getattribute__(name)


def test_what_decides_the_plan_is_told_apart_in_the_cache(shelf: Shelf, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    lock = pylock(locked("six"), locked("gpu"), head=GROUPS, markers={"gpu": "'gpu' in dependency_groups"})
    base, carrying = slim_base(tmp_path / "one"), slim_base(tmp_path / "other", {"six": "1.0"})
    plain = Stage(base, shelf, cache).plan(lock)
    assert layers_of(plain) == {"wheels": ["six"]}
    gpu = Stage(base, shelf, cache, Holds(groups=("gpu",))).plan(lock)
    assert layers_of(gpu) == {"wheels": ["six"], "extra": ["gpu"]}
    assert Stage(carrying, shelf, cache).plan(lock).carried == (Carried("six", "1.0"),)
    coarse = Stage(base, shelf, cache).plan(lock, Partition(4))
    assert coarse.layers[0].name == "wheels-01"
    assert coarse.key == plain.key
    assert Stage(base, shelf, cache).plan(lock) == plain


def test_a_damaged_entry_of_the_cache_is_made_again(base: Base, shelf: Shelf, tmp_path: Path) -> None:
    class Damaged(Cache):
        def get(self, kind: str, name: str) -> bytes | None:
            return b"[1, 2]" if kind == "dependencies" else super().get(kind, name)

    lock = pylock(locked("six"))
    assert Stage(base, shelf, Damaged(tmp_path / "cache")).plan(lock) == Stage(base, shelf).plan(lock)


def test_sizes_that_the_lock_does_not_say_are_learned(base: Base, shelf: Shelf) -> None:
    big = shelf.add("big", {"big.bin": bytes(5 << 20)})
    noise = shelf.put("noise-1.0-py3-none-any.whl", b"x" * (5 << 20))
    wheels = [wheel._replace(size=None) for wheel in (big, noise)] + [locked("six")]
    plan = Stage(base, shelf).plan(pylock(*wheels))
    assert layers_of(plan) == {"wheel": ["noise"], "wheels": ["big", "six"]}, (
        "a wheel's size, not its content's"
    )
    assert shelf.fetched == ["big", "noise"]


def test_another_hash_than_sha256_is_completed(base: Base, shelf: Shelf) -> None:
    wheel = shelf.add("six")
    strong = hashlib.sha512((shelf.folder / wheel.filename).read_bytes()).hexdigest()
    plan = Stage(base, shelf).plan(pylock(wheel._replace(hashes=(f"sha512:{strong}",))))
    assert shelf.fetched == ["six"]
    assert sha256_of(plan.wheels[0]) == sha256_of(wheel)
    assert plan.layers[0].key == layer_key([wheel], SLIM)


def requirements(*lines: str) -> LockFiles:
    return LockFiles("requirements.txt", {"requirements.txt": "\n".join(lines).encode()})


def test_packages_that_are_named_by_hashes_alone_are_resolved(base: Base, shelf: Shelf) -> None:
    six, idna = shelf.add("six"), shelf.add("idna")
    plan = Stage(base, shelf).plan(
        requirements(*(f"{each.name}==1.0 --hash={each.hashes[0]}" for each in (six, idna)))
    )
    assert shelf.resolved == ["idna", "six"]
    assert {sha256_of(wheel) for wheel in plan.wheels} == {sha256_of(six), sha256_of(idna)}
    assert plan.key == Stage(base, shelf).plan(pylock(six, idna)).key


def test_what_an_index_or_a_folder_offers_now_decides_not_what_was_offered_once(
    base: Base, shelf: Shelf, tmp_path: Path
) -> None:
    """The hashes of a requirements file stand for several wheels, and one commit may bring another than the last."""
    pure = shelf.add("six")
    native = shelf.put("six-1.0-cp312-cp312-linux_x86_64.whl", b"another")
    lock = requirements(f"six==1.0 --hash={pure.hashes[0]} --hash={native.hashes[0]}")
    cache = Cache(tmp_path / "cache")
    first = Stage(base, shelf, cache).plan(lock)
    (shelf.folder / first.wheels[0].filename).unlink()

    assert Stage(base, shelf, cache).plan(lock).wheels[0].filename != first.wheels[0].filename


def test_of_several_hashes_the_key_has_that_of_the_file(base: Base, shelf: Shelf) -> None:
    """A requirement names those of all files of a version. If the key had the first, whoever writes a commit could
    name the hash of a wheel beside that of his own: and the layer of his would be in the cache for the other."""
    wheel = shelf.add("six")
    named = ["sha256:" + "0" * 64, *wheel.hashes, "sha256:" + "f" * 64]
    hashes = " ".join(f"--hash={each}" for each in named)
    for line in (f"six==1.0 {hashes}", f"six @ {wheel.url} {hashes}"):
        plan = Stage(base, shelf).plan(requirements(line))
        assert plan.key == layer_key([wheel], SLIM)
        assert plan.wheels[0].hashes == wheel.hashes


def test_a_file_that_has_another_of_the_hashes_is_not_taken_for_the_sha256(base: Base, shelf: Shelf) -> None:
    """The same in a pylock.toml, whose sha512 is that of another file: what is fetched must have the key's hash."""
    both = ("sha256:" + "0" * 64, "sha512:" + "1" * 128)
    plan = Stage(base, shelf).plan(pylock(locked("six", hashes=both)))
    assert plan.wheels[0].hashes == (both[0],)


def test_extras_and_groups_that_were_chosen_are_laid_out_apart(base: Base, shelf: Shelf) -> None:
    wheels = [locked(name) for name in ("six", "gpu", "dev", "more")]
    markers = {
        "gpu": "'gpu' in dependency_groups",
        "dev": "'dev' in dependency_groups",
        "more": "'more' in extras",
    }
    lock = pylock(*wheels, head=GROUPS, markers=markers)
    for holds, expected in (
        (Holds(), {"wheels": ["dev", "six"]}),
        (Holds(groups=()), {"wheels": ["six"]}),
        (Holds(groups=("gpu",)), {"wheels": ["six"], "extra": ["gpu"]}),
        (Holds(groups=("dev", "gpu")), {"wheels": ["dev", "six"], "extra": ["gpu"]}),
        (Holds(extras=("more",)), {"wheels": ["dev", "six"], "extra": ["more"]}),
        (Holds(extras=("more",), groups=("gpu",)), {"wheels": ["six"], "extra": ["gpu", "more"]}),
    ):
        assert layers_of(Stage(base, shelf, holds=holds).plan(lock)) == expected


def test_the_groups_of_a_uv_lock_are_laid_out_apart(base: Base, shelf: Shelf) -> None:
    sized = re.sub(rb'(hash = "sha256:[0-9a-f]{64}")(?:, size = \d+)?', rb"\1, size = 1000", UV_LOCK)
    files = LockFiles("uv.lock", {"uv.lock": sized, "pyproject.toml": PYPROJECT})
    plain = Stage(base, shelf).plan(files)
    more = Stage(base, shelf, holds=Holds(groups=("test",))).plan(files)
    assert "extra" not in layers_of(plain)
    assert "execnet" in layers_of(more)["extra"]
    assert set(plain.layers) <= set(more.layers)


def test_the_groups_of_a_uv_lock_without_a_project_can_be_chosen(base: Base, shelf: Shelf) -> None:
    """uv has nothing to export of it where no group is asked for."""
    listed = [
        f'[[package]]\nname = "{name}"\nversion = "1.0"\nsource = {{ registry = "https://pypi.org/simple" }}\n'
        f'wheels = [{{ url = "https://files.example/{name}-1.0-py3-none-any.whl", size = 7, '
        f'hash = "sha256:{"a" * 64}" }}]'
        for name in ("idna", "six")
    ]
    groups = '[manifest.dependency-groups]\ngpu = [{ name = "six" }]\nmore = [{ name = "idna" }]'
    lock = "\n".join(['version = 1\nrevision = 3\nrequires-python = ">=3.11"\n[manifest]', groups, *listed])
    project = b'[dependency-groups]\ngpu = ["six"]\nmore = ["idna"]\n[tool.uv]\n'
    files = LockFiles("uv.lock", {"uv.lock": lock.encode(), "pyproject.toml": project})
    assert layers_of(Stage(base, shelf, holds=Holds(groups=("gpu",))).plan(files)) == {"extra": ["six"]}
    with pytest.raises(InvalidInput, match=r"has no \[project\]"):
        Stage(base, shelf).plan(files)


def test_a_lock_that_is_nothing_without_a_choice_can_be_chosen_from(base: Base, shelf: Shelf) -> None:
    """As conflicting extras are locked: each has its own entry, and where none is chosen nothing fits."""
    one = locked("torch", "2.0+cpu")
    other = locked("torch", "2.0+cu")._replace(filename="torch-2.0+cu-cp27-none-win32.whl")
    markers = {one.version: "'cpu' in extras", other.version: "'cpu' not in extras"}
    lock = pylock(one, other, head='extras = ["cpu"]', markers=markers)
    with pytest.raises(InvalidInput, match="no wheel for"):
        Stage(base, shelf).plan(lock)
    plan = Stage(base, shelf, holds=Holds(extras=("cpu",))).plan(lock)
    assert layers_of(plan) == {"extra": ["torch"]}


def test_a_file_that_is_no_lock_is_said_and_brings_nothing(base: Base, shelf: Shelf) -> None:
    stage = Stage(base, shelf)
    assert stage.is_none(requirements("six", "idna>=3"))
    assert stage.said == [
        "requirements.txt is no lock, and no dependencies are built: no requirement in it has a hash"
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "six>=1\n", "--hash-like\n-i https://x.example/\nsix"])
def test_what_is_no_lock_asks_the_base_for_nothing(shelf: Shelf, text: str) -> None:
    """Images without dependencies need no Python, whatever lies in their repository."""
    assert Stage(scratch(), shelf).is_none(requirements(text))


def test_hashes_in_comments_make_no_lock(base: Base, shelf: Shelf) -> None:
    stage = Stage(base, shelf)
    assert stage.is_none(requirements("six>=1  # --hash=sha256:" + "0" * 64))
    assert len(stage.said) == 1


def test_a_lock_for_another_python_is_an_error(base: Base, shelf: Shelf) -> None:
    with pytest.raises(
        InvalidInput, match=r"pylock\.toml is for Python >=3\.13, the base has CPython 3\.12\.4"
    ):
        Stage(base, shelf).plan(pylock(locked("six"), head='requires-python = ">=3.13"'))


def test_an_error_is_not_remembered(base: Base, shelf: Shelf, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    wheel = shelf.add("six")._replace(size=None)
    path = shelf.folder / wheel.filename
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        Stage(base, shelf, cache).plan(pylock(wheel))
    path.write_bytes(data)
    assert layers_of(Stage(base, shelf, cache).plan(pylock(wheel))) == {"wheels": ["six"]}


def test_another_version_than_the_bases_is_an_error_with_the_chain(base: Base, shelf: Shelf) -> None:
    with pytest.raises(
        InvalidInput, match=r"numpy 2\.1 \(named in the lock\), and the base has numpy 2\.0 in /usr/local"
    ):
        Stage(base, shelf).plan(pylock(locked("numpy", "2.1")))


def test_a_base_without_python_is_an_error_that_names_the_way_out(shelf: Shelf) -> None:
    with pytest.raises(InvalidInput, match="has no Python") as caught:
        Stage(scratch(), shelf).plan(pylock(locked("six")))
    assert "--no-dependencies" in caught.value.remedy


@pytest.mark.parametrize("size", [str(1 << 80), "0x" + "f" * 9000])
def test_a_size_that_no_wheel_has_is_refused(base: Base, shelf: Shelf, size: str, tmp_path: Path) -> None:
    lock = pylock(locked("six", size=77)).replace(b"size = 77", f"size = {size}".encode())
    with pytest.raises(InvalidInput, match="six"):
        Stage(base, shelf, Cache(tmp_path / "cache")).plan(lock)


def test_a_lock_of_nothing_is_a_plan_of_nothing(base: Base, shelf: Shelf) -> None:
    assert Stage(base, shelf).plan(pylock()).layers == ()


def test_wheels_are_of_the_lock_and_of_no_other_name(base: Base, shelf: Shelf) -> None:
    """Its URL and file name decide nothing of the layer."""
    wheel = locked("six")
    moved = wheel._replace(url="https://mirror.example/x/" + wheel.filename)
    assert isinstance(moved, LockedWheel)
    assert (
        Stage(base, shelf).plan(pylock(moved)).layers[0].key
        == Stage(base, shelf).plan(pylock(wheel)).layers[0].key
    )
