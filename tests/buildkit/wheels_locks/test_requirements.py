"""requirements.txt as pip reads it, where every line has a hash; everything else is refused with its line."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import InvalidInput, TreeshipError
from buildkit.wheels.locks.lines import FILES_LIMIT, LINE_LIMIT, LINES_LIMIT
from buildkit.wheels.locks.model import Lock, NotALock
from buildkit.wheels.locks.requirements import read_requirements
from buildkit.wheels.locks.select import Wanted, select
from tests.buildkit.wheels_locks.support import BASE, HASH

H = f"--hash=sha256:{HASH}"
OTHER = "cd" * 32
WHEEL = "https://files.example/demo-1.0-py3-none-any.whl"


def lock(text: str, files: dict[str, bytes] | None = None) -> Lock:
    found = read_requirements(text.encode(), "requirements.txt", files.get if files is not None else None)
    assert isinstance(found, Lock)
    return found


def test_lines_continue_and_comments_end() -> None:
    text = f"""\
# made by pip-compile
Demo_X[extra]==1.0.0 ; python_version >= '3.8' \\
    {H} \\
    --hash sha256:{OTHER.upper()}
    # via something
gone==2 ; sys_platform == 'win32' {H}  # only there
"""
    found = select(lock(text), BASE)
    hashes = (f"sha256:{HASH}", f"sha256:{OTHER}")
    assert found.wanted == (Wanted("demo-x", "1.0.0", hashes, "requirements.txt:2: demo-x"),)
    assert found.why("demo-x") == "named in the lock"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x1e", "\x85", "\u2028"])
def test_a_file_of_too_many_lines_is_refused_before_they_are_made(end: str) -> None:
    assert isinstance(read_requirements((end * LINES_LIMIT).encode()), Lock)
    tracemalloc.start()
    with pytest.raises(InvalidInput, match=f"requirements.txt has more than {LINES_LIMIT} lines"):
        read_requirements(f"x{end}".encode() * 2_000_000)
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


def test_files_together_have_no_more_lines_than_one() -> None:
    part = b"x\n" * (LINES_LIMIT // 2)
    with pytest.raises(InvalidInput, match=f"requirements.txt has more than {LINES_LIMIT} lines"):
        lock("-r a.txt\n-r b.txt\nx\n", {"a.txt": part, "b.txt": part})


def test_too_many_files_are_refused_where_the_first_of_these_is_named() -> None:
    files = {f"r{at}.txt": b"" for at in range(FILES_LIMIT)}
    most = "".join(f"-r r{at}.txt\n" for at in range(FILES_LIMIT - 1))
    assert lock(f"{most}demo==1 {H}", files).packages
    with pytest.raises(InvalidInput, match=f"requirements.txt:{FILES_LIMIT}: more than {FILES_LIMIT} files"):
        lock(f"{most}-r r{FILES_LIMIT - 1}.txt\ndemo==1 {H}", files)


def test_options_say_where_files_are() -> None:
    found = lock(
        f"-i https://a.example/simple\n--extra-index-url=https://b.example/simple/\n--find-links ./wheels\n"
        f"--only-binary :all:\n--require-hashes\ndemo==1 {H}\n"
    )
    assert (found.index_url, found.extra_indexes) == (
        "https://a.example/simple",
        ("https://b.example/simple/",),
    )
    assert found.find_links == ("wheels",)
    assert lock(f"--no-index\ndemo==1 {H}").index_url is None


@pytest.mark.parametrize(
    "line",
    [f"demo @ {WHEEL}#sha256={HASH}", f"{WHEEL}#sha256={HASH}", f"demo @ {WHEEL} ; os_name == 'posix' {H}"],
)
def test_wheels_by_url(line: str) -> None:
    (wheel,) = select(lock(line), BASE).wheels
    assert (wheel.name, wheel.version, wheel.url, wheel.hashes) == ("demo", "1.0", WHEEL, (f"sha256:{HASH}",))


def test_wheels_by_path() -> None:
    (wheel,) = select(lock(f"./dist/demo-1.0-py3-none-any.whl {H}"), BASE).wheels
    assert wheel.path == "dist/demo-1.0-py3-none-any.whl"


def test_a_source_archive_by_url_is_no_wheel() -> None:
    with pytest.raises(InvalidInput, match="only a source distribution"):
        select(lock(f"demo @ https://files.example/demo-1.0.tar.gz#sha256={HASH}"), BASE)


@pytest.mark.parametrize(
    "text", ["demo==1\n", "-e .\n", "git+https://x.example/y\n", "-r ../other.txt\n", "a b c\n"]
)
def test_without_hashes_it_is_no_lock(text: str) -> None:
    assert isinstance(read_requirements(text.encode()), NotALock)


def test_without_requirements_it_is_an_empty_lock() -> None:
    assert lock("# nothing\n\n").packages == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("demo==1", "demo has no hash"),
        (f"demo>=1 {H}", "demo is not pinned"),
        (f"demo==1.* {H}", "demo is not pinned"),
        (f"demo {H}", "demo is not pinned"),
        ("-e .", "editable"),
        (f"-e ./x {H}", "editable"),
        (f"git+https://x.example/y@main {H}", "a repository is no wheel"),
        (f"demo @ git+https://x.example/y {H}", "a repository is no wheel"),
        ("-r other.txt", "includes another file"),
        ("-c other.txt", "includes another file"),
        ("--no-binary :all:", "is not understood"),
        (f"demo==1 {H} --config-settings=x=y", "other than --hash"),
        ("demo==1 --hash=md5:00", "no sha256"),
        ("demo==1 --hash=sha256:00", "not a sha256 digest"),
        (f"../demo-1.0-py3-none-any.whl {H}", "outside of the commit"),
        (f"/tmp/demo-1.0-py3-none-any.whl {H}", "outside of the commit"),
        (f"other @ {WHEEL} {H}", "is at a wheel of demo"),
        (f"demo @ file:///x/demo-1.0-py3-none-any.whl {H}", "not an https:// URL"),
        ("--find-links /etc", "outside of the commit"),
        ("--index-url file:///x", "not an https:// URL"),
        ("-i https://${HOST}/simple", "not an https:// URL"),
        (f"demo==1 ; {'(' * 3000}os_name == 'x'{')' * 3000} {H}", "requirements.txt:2"),
        ("x" * (LINE_LIMIT + 1), "characters"),
    ],
)
def test_what_is_refused_is_named_with_its_line(line: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        lock(f"good==1 {H}\n{line}\n")
    assert said in caught.value.what
    assert "requirements.txt:2" in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    "line",
    [
        "-i https://bob:hunter2@x.example/simple",
        "--extra-index-url https://hunter2@x.example/simple",
        f"demo @ https://bob:hunter2@x.example/demo-1.0-py3-none-any.whl {H}",
        f"https://bob:hunter2@x.example/demo-1.0-py3-none-any.whl {H}",
        f"git+https://hunter2@x.example/y {H}",
        f"demo @ https:bob:hunter2@x {H}",
        "https://bob:hunter2@x.example/demo-1.0-py3-none-any.whl",
        "--nonsense=https://bob:hunter2@x.example",
    ],
)
def test_credentials_are_refused_and_never_said(line: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        lock(f"good==1 {H}\n{line}\n")
    assert "hunter2" not in str(caught.value)


def test_includes_are_files_of_the_commit() -> None:
    files = {
        "locks/base.txt": f"-r more.txt\nbase==1 {H}\n".encode(),
        "locks/more.txt": f"-r base.txt\nmore==1 {H}\n".encode(),
        "limits.txt": b"base<2\nunused==5\n",
    }
    found = lock(f"-r locks/base.txt\n--constraint=limits.txt\ntop==1 {H}", files)
    assert [package.place for package in found.packages] == [
        "locks/more.txt:2: more",
        "locks/base.txt:2: base",
        "requirements.txt:3: top",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-r gone.txt", "does not have"),
        ("-r ../x.txt", "not of this commit"),
        ("-r https://x.example/r.txt", "not of this commit"),
        ("-c limits.txt", "contradicts limits.txt:1"),
    ],
)
def test_includes_that_cannot_be_followed(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        lock(f"{text}\nbase==1 {H}", {"limits.txt": b"base>2"})


def test_a_long_chain_of_includes_ends() -> None:
    def read(path: str) -> bytes:
        return f"-r a{path}\nx==1 {H}\n".encode()

    with pytest.raises(InvalidInput, match="more than 64 files"):
        read_requirements(b"-r x.txt\n", "requirements.txt", read)


@pytest.mark.parametrize(
    "text", [" " * 200000 + "x", "#a" * 100000, "@" * 200000, "\\\n" * 100000, "a" * 200000]
)
def test_reading_takes_time_in_proportion(text: str) -> None:
    start = time.monotonic()
    try:
        read_requirements(f"good==1 {H}\n{text}".encode())
    except InvalidInput:
        pass
    assert time.monotonic() - start < 2


@given(
    st.lists(
        st.sampled_from(
            ["demo", "==1", " ", "\\\n", "\n", "#", H, ";", "@", "-r", "-e", "x.whl", "https://", "'", "["]
        )
    )
)
def test_any_text_is_a_lock_or_a_plain_error(parts: list[str]) -> None:
    try:
        found = read_requirements("".join(parts).encode())
    except TreeshipError:
        return
    assert isinstance(found, NotALock) or all(package.place for package in found.packages)
