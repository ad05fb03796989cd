"""pylock.toml: what PEP 751 allows is read, and hostile files are refused without saying their secrets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import InvalidInput, TreeshipError
from buildkit.wheels.locks import checks
from buildkit.wheels.locks.model import LOCK_LIMIT
from buildkit.wheels.locks.pylock import read_pylock
from buildkit.wheels.locks.select import select
from tests.buildkit.wheels_locks.support import BASE, HASH, entry, pylock

MANY = ".".join(f"p{number}" for number in range(20))


def test_everything_that_counts_is_read() -> None:
    more = (
        'marker = "sys_platform == \'linux\'"\nrequires-python = ">=3.8"\nindex = "https://pypi.org/simple"\n'
        'dependencies = [{ name = "other" }]\nattestation-identities = [{ kind = "GitHub", x = 1 }]'
    )
    lock = read_pylock(pylock(entry(more=more), head='extras = ["gpu"]\ndependency-groups = ["dev"]'))
    (package,) = lock.packages
    assert (lock.extras, lock.groups) == (("gpu",), ("dev",))
    assert (package.marker, package.dependencies) == ('sys_platform == "linux"', ("other",))
    assert package.wheels[0].hashes == (f"sha256:{HASH}",)
    assert package.wheels[0].index_url == "https://pypi.org/simple"


def test_paths_are_relative_to_the_lock() -> None:
    where = 'path = "./wheels/demo-1.0-py3-none-any.whl"'
    (package,) = read_pylock(pylock(entry(where=where)), "locks/pylock.toml").packages
    assert package.wheels[0].path == "locks/wheels/demo-1.0-py3-none-any.whl"


def test_an_empty_lock_selects_nothing() -> None:
    assert select(read_pylock(pylock()), BASE).wheels == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "not UTF-8"),
        (b"packages = [", "not TOML"),
        (b'lock-version = "2.0"\ncreated-by = "x"\npackages = []', "not supported"),
        (b'lock-version = "1.0"\npackages = []', "created-by"),
        (b" " * (LOCK_LIMIT + 1), "larger than"),
        (b"#" * (1 << 20) + b"\n" + b"a." * 100 + b"a = 1", "64 parts"),
        (pylock(entry(where='path = "/etc/demo-1.0-py3-none-any.whl"')), "outside of the commit"),
        (pylock(entry(where='path = "../demo-1.0-py3-none-any.whl"')), "outside of the commit"),
        (pylock(entry(where='path = "a/../../demo-1.0-py3-none-any.whl"')), "outside of the commit"),
        (pylock(entry(where='path = "C:/demo-1.0-py3-none-any.whl"')), "outside of the commit"),
        (pylock('name = "demo"\ndirectory = { path = "../x" }'), "outside of the commit"),
        (pylock(entry(where='url = "file:///etc/demo-1.0-py3-none-any.whl"')), "not an https:// URL"),
        (pylock(entry(where='url = "ftp://x/demo-1.0-py3-none-any.whl"')), "not an https:// URL"),
        (pylock(entry(more='index = "file:///"')), "not an https:// URL"),
        (pylock(entry(more=f'marker = "{"(" * 5000}os_name{")" * 5000}"')), "pylock.toml"),
        (pylock(entry(more=f"marker = \"os_name == '{'x' * checks.TEXT_LIMIT}'\"")), "characters"),
        (pylock(entry(f"demo-1.0-{MANY}-{MANY}-{MANY}.whl")), "8000 tags"),
        (
            pylock(entry("other-1.0-py3-none-any.whl").replace('name = "other"', 'name = "demo"', 1)),
            "consistent",
        ),
        (pylock(entry().replace(HASH, "xyz")), "not a sha256 digest"),
        (pylock(entry().replace("sha256", "md5")), "no sha256"),
    ],
)
def test_hostile_locks_are_refused(data: bytes, said: str) -> None:
    start = time.monotonic()
    with pytest.raises(InvalidInput, match=said):
        read_pylock(data)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("key", ["url", "index", "vcs"])
@pytest.mark.parametrize("user", ["bob:hunter2@", "hunter2@", "bob:hun/hunter2@"])
def test_credentials_are_refused_and_never_said(key: str, user: str) -> None:
    url = f"https://{user}files.example/demo-1.0-py3-none-any.whl"
    data = {
        "url": pylock(entry(where=f'url = "{url}"')),
        "index": pylock(entry(more=f'index = "{url}"')),
        "vcs": pylock(f'name = "demo"\nvcs = {{ type = "git", url = "{url}", commit-id = "1" }}'),
    }[key]
    with pytest.raises(InvalidInput) as caught:
        select(read_pylock(data), BASE)
    assert "hunter2" not in str(caught.value)
    assert caught.value.remedy


TEXTS = st.text("a@:/.#?[]\\ ~é%0", max_size=30)


@given(TEXTS, TEXTS)
def test_no_url_gets_by_with_a_user_and_no_path_leaves(start: str, end: str) -> None:
    try:
        url = checks.check_url(f"https://{start}", "x")
        assert "@" not in url.removeprefix("https://").split("/")[0].split("?")[0].split("#")[0]
    except TreeshipError:
        pass
    try:
        path = checks.check_path(f"{start}/{end}", "x", "folder")
        assert path.startswith("folder")
        assert ".." not in path.split("/")
    except TreeshipError:
        pass


@pytest.mark.parametrize(
    "text", ["a:" * 15000, ":/" * 15000, "https://x/" + "?#" * 15000, "https://x" + ":1" * 15000]
)
def test_checks_take_time_in_proportion(text: str) -> None:
    start = time.monotonic()
    checks.has_credentials(text)
    with pytest.raises(InvalidInput):
        checks.check_url(text, "x")
    assert time.monotonic() - start < 1
