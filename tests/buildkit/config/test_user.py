"""The user's file is where the XDG specification says, or where $TREESHIP_CONFIG says."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit.config.user import read_user_file, user_file_path
from buildkit.errors import InvalidInput, NotFound


def test_where_it_is() -> None:
    assert user_file_path({"HOME": "/home/me"}) == "/home/me/.config/treeship/treeship.toml"
    assert (
        user_file_path({"HOME": "/home/me", "XDG_CONFIG_HOME": "/etc/me"}) == "/etc/me/treeship/treeship.toml"
    )
    assert user_file_path({"HOME": "/home/me", "XDG_CONFIG_HOME": "relative"}).startswith("/home/me")
    assert user_file_path({"HOME": "/home/me", "TREESHIP_CONFIG": "/x.toml"}) == "/x.toml"
    assert user_file_path({}) == ""


def test_it_need_not_be_there_unless_it_is_named(tmp_path: Path) -> None:
    assert read_user_file({"HOME": str(tmp_path)}) is None
    assert read_user_file({}) is None
    with pytest.raises(NotFound, match="TREESHIP_CONFIG"):
        read_user_file({"TREESHIP_CONFIG": str(tmp_path / "no.toml")})


def test_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"jobs = 2\n")
    assert read_user_file({"TREESHIP_CONFIG": str(file)}) == (str(file), b"jobs = 2\n")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot read"):
        read_user_file({"TREESHIP_CONFIG": str(tmp_path)})
