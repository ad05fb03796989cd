"""Who we are to a server: told by the URL, netrc, git's helpers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from buildkit.errors import InvalidInput
from buildkit.lfs.credentials import first_of, from_git, from_netrc, split_userinfo
from buildkit.registry.secret import basic

URL = "https://lfs.example:8443/team/p.git/info/lfs"


def test_the_url_s_own() -> None:
    assert split_userinfo("https://h/x") == ("https://h/x", None)
    assert split_userinfo("https://a%40b:c%3Ad@h:1/x?y") == ("https://h:1/x?y", basic("a@b", "c:d"))


def test_netrc(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine lfs.example login me password secret\n")
    assert from_netrc({"HOME": str(tmp_path)})(URL) == basic("me", "secret")
    assert from_netrc({"HOME": str(tmp_path)})("https://other.example") is None
    assert from_netrc({"HOME": str(tmp_path / "none")})(URL) is None
    assert from_netrc({"HOME": "/nowhere", "NETRC": str(tmp_path / ".netrc")})(URL) == basic("me", "secret")


def test_a_malformed_netrc_is_named_but_not_quoted(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine lfs.example login me pass word canary\n")
    with pytest.raises(InvalidInput) as caught:
        from_netrc({"HOME": str(tmp_path)})(URL)
    assert str(tmp_path) in caught.value.what
    assert "canary" not in str(caught.value)


def test_git_s_helpers() -> None:
    asked: list[tuple[list[str], bytes]] = []

    def run(arguments: Sequence[str], stdin: bytes) -> bytes:
        asked.append((list(arguments), stdin))
        return b"protocol=https\nhost=lfs.example:8443\nusername=me\npassword=a=b\n"

    assert from_git(run)(URL) == basic("me", "a=b")
    request = b"protocol=https\nhost=lfs.example:8443\npath=team/p.git/info/lfs\n\n"
    assert asked == [(["credential", "fill"], request)]


def test_git_without_an_answer() -> None:
    def fail(arguments: Sequence[str], stdin: bytes) -> bytes:
        raise InvalidInput("git failed: terminal prompts disabled")

    assert from_git(fail)(URL) is None
    assert from_git(lambda arguments, stdin: b"username=me\n")(URL) is None


def test_the_first_answer_counts() -> None:
    one, other = basic("one", ""), basic("other", "")
    assert first_of(lambda url: None, lambda url: one, lambda url: other)(URL) == one
    assert first_of(lambda url: None)(URL) is None
