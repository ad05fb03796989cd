"""Repositories by URL: the cached clone, and credentials that nobody else may see."""

from __future__ import annotations

import base64
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from buildkit.errors import InvalidInput, NotFound, TreeshipError, Unavailable
from buildkit.git.address import is_url
from buildkit.git.remote import Remote, open_remote, split_credentials
from buildkit.testing.repositories import ThrowAwayRepository

SECRET = "hunter2-canary"


@pytest.mark.parametrize(
    "text",
    [
        "https://h/r.git",
        "http://h/r",
        "ssh://git@h/r",
        "git://h/r",
        "file:///srv/r",
        "git@h:team/r.git",
        "me@10.0.0.1:r",
    ],
)
def test_these_name_a_remote(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text", [".", "", "/srv/r", "../r", "dir:with/colon", "C:\\r", "a@b", "host:path", "a@b://x"]
)
def test_these_name_a_folder(text: str) -> None:
    assert not is_url(text)


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("url", "clean", "header"),
    [
        ("https://me:pw@h/r.git", "https://h/r.git", basic("me", "pw")),
        ("https://token@h:8443/r?a=b#c", "https://h:8443/r?a=b#c", basic("token", "")),
        ("http://me:p%40w%3A@h/r", "http://h/r", basic("me", "p@w:")),
        ("https://me:p@w@h/r", "https://h/r", basic("me", "p@w")),
    ],
)
def test_credentials_of_a_url_become_a_header_for_its_host(url: str, clean: str, header: str) -> None:
    remote = split_credentials(url)
    (name, value), = remote.settings  # fmt: skip
    assert (remote.url, value) == (clean, header)
    assert name == f"http.{clean.split('/r')[0]}/.extraHeader"


@pytest.mark.parametrize("url", ["https://h/r@v1", "ssh://git@h/r", "git@h:r", "file:///a@b/r"])
def test_other_urls_stay_as_they_are(url: str) -> None:
    assert split_credentials(url) == Remote(url, ())


def test_a_branch_a_tag_a_full_id_and_head_are_found(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    first, second = origin.commit({"a": b"1"}), origin.commit({"a": b"2", "b": b"3"})
    other = origin.commit({"c": b"4"}, branch="feature/x")
    origin.git("update-ref", "refs/tags/v1", first)
    for name, oid in (
        ("HEAD", second), ("main", second), ("refs/heads/main", second), ("feature/x", other), ("v1", first),
        (first, first), (first, first),
    ):  # fmt: skip
        repository, found = open_remote(origin.url, name, tmp_path / "cache")
        with repository:
            assert found == oid
            commit = repository.commit(found)
            entries = repository.listing(commit.tree)
            repository.hydrate(commit.tree, [entry.oid for entry in entries])
            assert all(b"".join(chunks).isdigit() for _, chunks in repository.blobs([e.oid for e in entries]))
    assert len(list((tmp_path / "cache/repositories").glob("*[!k]"))) == 1


def test_a_branch_that_moved_is_fetched_again(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    for number in range(3):
        commit = origin.commit({"a": b"%d" % number})
        repository, found = open_remote(origin.url, "main", tmp_path / "cache")
        with repository:
            assert found == commit
    rewritten = origin.commit({"a": b"rewritten"}, parents=[])
    repository, found = open_remote(origin.url, "main", tmp_path / "cache")
    with repository:
        assert found == rewritten


def test_a_clone_is_shallow_and_without_blobs(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    parent = origin.commit({"a": b"1"})
    origin.commit({"a": os.urandom(100_000)})
    repository, found = open_remote(origin.url, "main", tmp_path / "cache")
    with repository:
        assert repository.run(["rev-list", found]).split() == [found.encode()]
        assert repository.is_cut_off(repository.commit(found))
        assert repository.commit(found).parents == (parent,)
        size = sum(path.stat().st_size for path in Path(repository.directory).rglob("*.pack"))
        assert size < 10_000


def test_a_full_id_that_is_here_needs_no_remote(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    commit = origin.commit({"a": b"1"})
    open_remote(origin.url, commit, tmp_path / "cache")[0].close()
    origin.directory.rename(tmp_path / "moved")
    repository, found = open_remote(origin.url, commit, tmp_path / "cache")
    with repository:
        assert found == commit


@pytest.mark.parametrize("name", ["nothing", "1" * 40, "refs/heads/none"])
def test_a_commit_that_the_remote_lacks_is_not_found(
    origin: ThrowAwayRepository, tmp_path: Path, name: str
) -> None:
    origin.commit({"a": b"1"})
    with pytest.raises(NotFound):
        open_remote(origin.url, name, tmp_path / "cache")


@pytest.mark.parametrize(
    "name",
    ["--upload-pack=touch /tmp/x", "-x", "HEAD~1", "main:evil", "a b", "a\nb", "^main", "refs/heads/*", ""],
)
def test_a_name_that_is_more_than_a_name_is_refused(
    origin: ThrowAwayRepository, tmp_path: Path, name: str
) -> None:
    origin.commit({"a": b"1"})
    with pytest.raises(InvalidInput):
        open_remote(origin.url, name, tmp_path / "cache")


def test_a_remote_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_remote(f"file://{tmp_path}/nowhere", "HEAD", tmp_path / "cache")


def test_a_remote_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_remote("http://127.0.0.1:1/r.git", "HEAD", tmp_path / "cache")


def test_what_a_killed_build_left_is_finished_by_the_next(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    commit = origin.commit({"a": b"1"})
    open_remote(origin.url, "HEAD", tmp_path / "cache")[0].close()
    (clone,) = (path for path in (tmp_path / "cache/repositories").iterdir() if path.is_dir())
    half = clone.with_suffix(".new")
    clone.rename(half)
    (half / "config").write_text("[core]\n\tbare = true\n")
    repository, found = open_remote(origin.url, "HEAD", tmp_path / "cache")
    with repository:
        assert found == commit
    assert not half.exists()


def test_builds_of_different_commits_at_once_do_not_fetch_over_each_other(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    commits = [origin.commit({"a": b"%d" % number}, parents=[], branch=f"b{number}") for number in range(6)]

    def build(number: int) -> tuple[str, bytes]:
        repository, found = open_remote(origin.url, f"b{number}", tmp_path / "cache")
        with repository:
            commit = repository.commit(found)
            oids = [entry.oid for entry in repository.listing(commit.tree)]
            repository.hydrate(commit.tree, oids)
            return found, b"".join(next(repository.blobs(oids))[1])

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(build, range(6))) == [
            (oid, b"%d" % number) for number, oid in enumerate(commits)
        ]


# Credentials


class Door(BaseHTTPRequestHandler):
    """A web server that lets nobody in, and notes who asked how."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def door() -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnDoor", (Door,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}", seen
    server.shutdown()
    thread.join()
    server.server_close()


LOGGING_GIT = f"""#!{sys.executable}
import os, sys
with open(os.environ["ARGV_LOG"], "a") as log:
    log.write(repr(sys.argv) + "\\n")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            log.write(open(f"/proc/{{pid}}/cmdline").read().replace("\\0", " ") + "\\n")
        except OSError:
            pass
os.execv(os.environ["REAL_GIT"], ["git", *sys.argv[1:]])
"""


def test_credentials_of_a_url_reach_the_server_and_nobody_else(
    door: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    host, seen = door
    wrapper = tmp_path / "bin/git"
    wrapper.parent.mkdir()
    wrapper.write_text(LOGGING_GIT)
    wrapper.chmod(0o755)
    monkeypatch.setenv("REAL_GIT", shutil.which("git") or "")
    monkeypatch.setenv("ARGV_LOG", str(tmp_path / "argv"))
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    with pytest.raises(TreeshipError) as caught:
        open_remote(f"http://me:{SECRET}@{host}/r.git", "HEAD", tmp_path / "cache")
    coded = base64.b64encode(f"me:{SECRET}".encode()).decode()
    log = (tmp_path / "argv").read_text()
    files = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert f"Basic {coded}" in seen
    assert "fetch" in log
    for secret in (SECRET, coded):
        assert secret not in log
        assert secret not in str(caught.value) + repr(caught.value)
        assert not any(secret.encode() in content for content in files)


def test_credentials_are_not_carried_to_another_host(door: tuple[str, list[str]], tmp_path: Path) -> None:
    """The header is bound to the host of the URL: a redirect takes nothing along."""
    host, seen = door
    location = f"http://localhost:{host.rpartition(':')[2]}/elsewhere"

    class Redirect(Door):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{location}/info/refs?service=git-upload-pack")
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirect)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with pytest.raises(TreeshipError):
            open_remote(
                f"http://me:{SECRET}@127.0.0.1:{server.server_port}/r.git", "HEAD", tmp_path / "cache"
            )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert seen == [""] * len(seen)
    assert seen
