"""What is shipped works: the wheel is built, installed into an environment of its own, and used from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import buildkit
from buildkit.testing.repositories import ThrowAwayRepository
from tests.sources import ROOT

pytestmark = pytest.mark.xdist_group("packaging")  # One worker builds.


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and a source distribution of the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    _run([sys.executable, "-m", "hatchling", "build", "--directory", str(folder)], cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel, and with the dependencies of this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    uv = Path(sys.executable).with_name("uv")
    _run(
        [
            uv,
            "pip",
            "install",
            "--offline",
            "--no-deps",
            "--quiet",
            "--python",
            folder / "bin" / "python",
            wheel,
        ]
    )
    # A .pth file would be run through, and with it the link to this work tree: plain links leave it out.
    for item in Path(sysconfig.get_path("purelib")).iterdir():
        if "treeship" not in item.name and not (packages / item.name).exists():
            (packages / item.name).symlink_to(item)
    return folder / "bin"


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    sources = {
        str(file.relative_to(ROOT))
        for package in ("buildkit", "ci")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert {"buildkit/py.typed", "ci/py.typed"} <= sources
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_distribution_brings_tests_and_docs(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "uv.lock", "Makefile", "LICENSE", "CHANGELOG.md", "docs/errors.md"} <= names
    assert {"tests/test_packaging.py", "demo/about.py", ".ci/setup", "dockerfiles/bases.toml"} <= names


def test_the_installed_command_says_its_version(installed: Path, tmp_path: Path) -> None:
    assert _run([installed / "treeship", "--version"], cwd=tmp_path) == f"treeship {buildkit.__version__}\n"


def test_the_installed_command_builds_an_image_from_its_own_files(installed: Path, tmp_path: Path) -> None:
    ThrowAwayRepository(tmp_path / "project").commit({"train.py": b"print(1)\n"})
    printed = _run([installed / "treeship", "build", "--base", "scratch"], cwd=tmp_path / "project")
    assert "sha256:" in printed
    assert (tmp_path / "project" / ".treeship" / "oci" / "oci-layout").exists()
    where = _run([installed / "python", "-c", "import buildkit; print(buildkit.__file__)"], cwd=tmp_path)
    assert Path(where).is_relative_to(installed.parent)


def test_the_lock_names_only_the_public_index() -> None:
    """Whoever makes the lock may use a mirror; whoever installs from it may not reach that."""
    lock = (ROOT / "uv.lock").read_text()
    hosts = {
        word.split("/")[2]
        for word in lock.replace('"', " ").split()
        if word.startswith(("https://", "http://"))
    }
    assert hosts <= {"pypi.org", "files.pythonhosted.org"}


def test_the_lock_is_that_of_the_project_file() -> None:
    """uv would say so too, but only where it may ask the index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (locked,) = [package["metadata"] for package in lock["package"] if package["name"] == "treeship"]
    assert _wanted(project["project"]["dependencies"]) == _locked(locked["requires-dist"])
    for extra, lines in project["project"]["optional-dependencies"].items():
        assert _wanted(lines) == _locked(locked["requires-dist"], extra)
    groups = project["dependency-groups"]
    test = _wanted(groups["test"])
    assert test == _locked(locked["requires-dev"]["test"])
    dev = _wanted(item for item in groups["dev"] if isinstance(item, str))
    assert test | dev == _locked(locked["requires-dev"]["dev"])


def _wanted(lines: Iterable[str]) -> set[tuple[str, str]]:
    found = [Requirement(line) for line in lines]
    return {(each.name.lower(), str(each.specifier)) for each in found}


def _locked(entries: Iterable[dict[str, str]], extra: str = "") -> set[tuple[str, str]]:
    """What the lock has for the project itself, or for one of its extras."""
    found = [(re.search(r"extra == '([^']+)'", entry.get("marker", "")), entry) for entry in entries]
    return {
        (entry["name"], entry.get("specifier", ""))
        for match, entry in found
        if (match[1] if match else "") == extra
    }


def _run(words: list[str | Path], cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
