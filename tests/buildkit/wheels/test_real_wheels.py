"""For every wheel of a real lock, 2.9 GB with torch and CUDA: its layer unpacks to what `installer` (pypa) installs."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import installer
import pytest
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

from buildkit.wheels import archive
from buildkit.wheels.installed import plan
from buildkit.wheels.splice import write_wheels
from tests.buildkit.wheels.support import DEBIAN
from tests.buildkit.wheels.test_oracle import rows
from tests.rigs import torch_lock
from tests.rigs.fixtures import skipping

pytestmark = [pytest.mark.rig, pytest.mark.slow, pytest.mark.large]
BLOCK = 1 << 20


class Found(NamedTuple):
    """A file: its sha256, or what its RECORD lists, and whether it is executable."""

    held: str
    executable: bool


@pytest.fixture(scope="module")
def house() -> Path:
    """All wheels."""
    with skipping():
        return torch_lock.wheelhouse(torch_lock.lock_text())


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that does not outlive the test, as those of `tmp_path` do: gigabytes go into it."""
    with TemporaryDirectory(prefix="treeship-torch-") as name:
        yield Path(name)


@pytest.mark.parametrize("name", sorted(torch_lock.versions(torch_lock.lock_text())))
def test_the_layer_of_a_wheel_unpacks_to_what_installer_installs(
    house: Path, name: str, scratch: Path
) -> None:
    (wheel,) = house.glob(f"{name.replace('-', '_')}-[0-9]*.whl")
    layer = scratch / "layer"
    with archive.opened(str(wheel)) as opened, layer.open("wb") as file:
        written = write_wheels([plan(opened, DEBIAN)], file.write)
    assert f"sha256:{sha256(layer)}" == str(written.digest)
    found, expected = unpacked(layer, scratch / "file"), installed(wheel, scratch / "root")
    # Not the two as they are: pytest would compare thousands of paths letter by letter.
    assert not {path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path)}


def unpacked(layer: Path, room: Path) -> dict[str, Found]:
    found = {}
    with gzip.open(layer) as file, tarfile.open(fileobj=file, mode="r|") as tar:
        for member in tar:
            if member.isfile():
                source = tar.extractfile(member)
                assert source is not None
                with room.open("wb") as target:
                    while block := source.read(BLOCK):
                        target.write(block)
                found[member.name] = Found(held(member.name, room), member.mode == 0o755)
    return found


def installed(wheel: Path, root: Path) -> dict[str, Found]:
    """All scripts are executable, which `installer` leaves to the wheel."""
    project = wheel.name.partition("-")[0]
    places = {**DEBIAN._asdict(), "headers": f"{DEBIAN.headers}/{project}"}
    destination = SchemeDictionaryDestination(places, places.pop("interpreter"), "posix", destdir=str(root))
    with warnings.catch_warnings(), WheelFile.open(wheel) as source:
        warnings.simplefilter("ignore", RuntimeWarning)
        installer.install(source, destination, {"INSTALLER": b"treeship\n"})
    found = {}
    for file in root.rglob("*"):
        name = str(file.relative_to(root))
        if file.is_file():
            executable = bool(file.stat().st_mode & 0o100) or name.startswith(
                DEBIAN.scripts.lstrip("/") + "/"
            )
            found[name] = Found(held(name, file), executable)
    return found


def held(name: str, file: Path) -> str:
    """RECORD's rows may stand in any order."""
    return repr(rows(file.read_bytes())) if name.endswith(".dist-info/RECORD") else sha256(file)


def sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
