"""Layouts that somebody has prepared: links, FIFOs, devices and rubbish in place of their files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.testing.repositories import File, ThrowAwayRepository, link
from tests.end_to_end.complaints import FILES, complains
from tests.end_to_end.helpers import Treeship, build_words


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A repository with one plain commit."""
    repository.commit(FILES)
    return repository


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _linked(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def _manifest_of(layout: Path) -> Path:
    digest = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    return layout / "blobs" / "sha256" / str(digest).removeprefix("sha256:")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


CLIMBING = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "sha256:../../../../etc/passwd",
    "size": 1,
}
LAYOUTS: dict[str, Callable[[Path], object]] = {
    "a FIFO for the index": lambda layout: _fifo(layout / "index.json"),
    "a link for the index": lambda layout: _linked(layout / "index.json"),
    "a folder for the index": lambda layout: _folder(layout / "index.json"),
    "a FIFO for oci-layout": lambda layout: _fifo(layout / "oci-layout"),
    "a link for the blobs": lambda layout: _linked(layout / "blobs" / "sha256"),
    "a FIFO for a manifest": lambda layout: _fifo(_manifest_of(layout)),
    "a link for a manifest": lambda layout: _linked(_manifest_of(layout)),
    "a device for a manifest": lambda layout: _device(_manifest_of(layout)),
    "another version": lambda layout: (layout / "oci-layout").write_text('{"imageLayoutVersion": "9"}'),
    "an index of rubbish": lambda layout: (layout / "index.json").write_text("[1"),
    "an index without list": lambda layout: (layout / "index.json").write_text('{"manifests": {}}'),
    "an index of numbers": lambda layout: (layout / "index.json").write_text(
        '{"manifests": [{"digest": 1}]}'
    ),
    "a huge index": lambda layout: os.truncate(layout / "index.json", 1 << 33),
    "a digest that climbs": lambda layout: (layout / "index.json").write_text(
        json.dumps({"manifests": [CLIMBING]})
    ),
}


def hostile(name: str, tiny_base: Path, folder: Path) -> Path:
    """A copy of a good layout, with what is behind this name done to it."""
    layout = folder / "layout"
    subprocess.run(["cp", "-r", tiny_base, layout], check=True)
    LAYOUTS[name](layout)
    return layout


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_hostile_layout_is_no_base(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is waited for, nothing outside of it is read."""
    layout = hostile(name, tiny_base, tmp_path)
    complains(treeship(*build_words(made, "--json", base=f"oci:{layout}"), code=None), 2, str(layout))


# Entries of kinds that nobody here knows are kept as they are, and blobs are not looked into.
TARGETS = [name for name in LAYOUTS if not {"manifest", "digest", "numbers"} & set(name.split())]


@pytest.mark.parametrize("name", TARGETS)
def test_a_hostile_layout_is_no_target(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is written through a link, and what was there stays as it was."""
    layout = hostile(name, tiny_base, tmp_path)
    index = (layout / "index.json").lstat()
    complains(treeship(*build_words(made, "--json", to=f"oci:{layout}:x"), code=None), 2, str(layout))
    assert (layout / "index.json").lstat()[:7] == index[:7]


def test_a_base_named_by_a_commit_is_not_found_through_a_link(
    treeship: Treeship, repository: ThrowAwayRepository, tiny_base: Path
) -> None:
    """Else a pull request could take what lies beside the repository on the machine that builds."""
    files: dict[str, bytes | File] = {"treeship.toml": b'base = "oci:near"\n', "near": link(bytes(tiny_base))}
    repository.commit({**FILES, **files})
    repository.git("checkout", "-qf", "main")
    ran = treeship("build", "--repo", ".", "--json", cwd=repository.directory, code=None)
    complains(ran, 2, "near", "--base")
