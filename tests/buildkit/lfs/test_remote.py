"""Which server is asked: the one that trusted settings name, else the one that goes with the remote."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit.lfs.remote import Directory, Nowhere, Server, find_remote, git_directory


@pytest.mark.parametrize(
    ("setting", "remote", "expected"),
    [
        ("", "https://h.example/t/p.git", Server("https://h.example/t/p.git/info/lfs")),
        ("", "https://h.example/t/p", Server("https://h.example/t/p.git/info/lfs")),
        ("", "https://h.example/t/p/", Server("https://h.example/t/p.git/info/lfs")),
        ("", "http://u:p@h.example:8080/p.git", Server("http://u:p@h.example:8080/p.git/info/lfs")),
        ("https://lfs.example/x/", "git@h.example:t/p.git", Server("https://lfs.example/x")),
        ("file:///srv/a%20b", "https://h.example/p", Directory("/srv/a b")),
        ("", "file:///srv/p.git", Directory("/srv/p.git")),
        ("", "/srv/p.git", Directory("/srv/p.git")),
        ("", "../p.git", Directory("/srv/repo/../p.git")),
    ],
)
def test_where(setting: str, remote: str, expected: object) -> None:
    assert find_remote(setting, remote, "/srv/repo") == expected


@pytest.mark.parametrize(
    "remote",
    ["git@h.example:t/p.git", "h.example:t/p", "ssh://git@h.example:2222/t/p.git", "git://h.example/t/p"],
)
def test_over_ssh_the_likely_address_is_suggested_but_not_used(remote: str) -> None:
    found = find_remote("", remote)
    assert isinstance(found, Nowhere)
    assert "https://h.example/t/p.git/info/lfs" in found.remedy
    assert "lfs.url" in found.remedy


def test_without_a_remote_there_is_nobody() -> None:
    assert isinstance(find_remote("", ""), Nowhere)


def test_the_git_directory_of_a_path(tmp_path: Path) -> None:
    assert git_directory(str(tmp_path)) == str(tmp_path)
    (tmp_path / ".git").mkdir()
    assert git_directory(str(tmp_path)) == str(tmp_path / ".git")
