"""A build context holds all files of its folder and nothing else, and its bytes depend on nothing but them."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from buildkit.bases.dockerfiles.context import read_context
from buildkit.errors import InvalidInput, NotFound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "base"
    (made / "sub").mkdir(parents=True)
    (made / "Dockerfile").write_text("FROM scratch\n")
    (made / "sub" / "tool").write_text("#!/bin/sh\n")
    (made / "sub" / "tool").chmod(0o755)
    (made / "sub" / "link").symlink_to("../Dockerfile")
    return made


def test_the_tar_has_names_modes_and_links_in_order(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(read_context(str(folder)).tar)) as tar:
        found = [(m.name, m.type, m.mode, m.linkname, m.uid, m.mtime) for m in tar]
    assert found == [
        ("Dockerfile", tarfile.REGTYPE, 0o644, "", 0, 315619200),
        ("sub", tarfile.DIRTYPE, 0o755, "", 0, 315619200),
        ("sub/link", tarfile.SYMTYPE, 0o777, "../Dockerfile", 0, 315619200),
        ("sub/tool", tarfile.REGTYPE, 0o755, "", 0, 315619200),
    ]


def test_only_names_modes_and_contents_count(folder: Path) -> None:
    before = read_context(str(folder))
    os.utime(folder / "Dockerfile", (1, 1))
    (folder / "Dockerfile").chmod(0o600)
    assert read_context(str(folder)) == before
    (folder / "Dockerfile").chmod(0o700)
    executable = read_context(str(folder))
    (folder / "Dockerfile").chmod(0o644)
    (folder / "more").touch()
    assert len({before.digest, executable.digest, read_context(str(folder)).digest}) == 3


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "../../../x", ".."])
def test_links_that_lead_out_are_refused(folder: Path, target: str) -> None:
    (folder / "sub" / "out").symlink_to(target if target != ".." else "../..")
    with pytest.raises(InvalidInput, match="leads out of the folder"):
        read_context(str(folder))


def test_what_is_no_file_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidInput, match="no regular file"):
        read_context(str(folder))


def test_a_dockerignore_is_not_silently_left_unread(folder: Path) -> None:
    (folder / ".dockerignore").write_text("secret\n")
    with pytest.raises(InvalidInput, match="all files of the folder are sent"):
        read_context(str(folder))


def test_a_data_set_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "data").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidInput, match="larger than 64 MiB"):
        read_context(str(folder))


def test_a_folder_without_dockerfile_or_that_is_a_link_is_not_found(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    (folder / "sub" / "Dockerfile").touch()
    for path in (folder / "sub" / "tool", tmp_path / "link", tmp_path / "absent"):
        with pytest.raises(NotFound):
            read_context(str(path))
    (folder / "Dockerfile").unlink()
    with pytest.raises(NotFound, match="no Dockerfile"):
        read_context(str(folder))
