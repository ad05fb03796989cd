"""A repository as a source: commits by any name, replace refs and grafts, small files, foreign owners."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from buildkit.errors import InvalidInput, NotFound, TreeshipError
from buildkit.git.repository import COMMIT_LIMIT, Repository
from buildkit.testing.repositories import SECONDS, File, ThrowAwayRepository, link, submodule


def test_every_name_of_a_commit_is_the_commit(origin: ThrowAwayRepository, repository: Repository) -> None:
    first = origin.commit({"a": b"1"})
    second = origin.commit({"a": b"2"}, seconds=SECONDS + 5)
    origin.git("update-ref", "refs/tags/light", second)
    origin.git("-c", "user.name=T", "-c", "user.email=t@t", "tag", "-a", "-m", "x", "heavy", second)
    for name in (second, second[:10], "HEAD", "main", "light", "heavy", "refs/tags/heavy", "@", "main@{0}"):
        if name == "main@{0}":
            continue  # depends on reflogs, which a bare repository has none of
        found = repository.commit(name)
        assert (found.oid, found.parents, found.seconds) == (second, (first,), SECONDS + 5)
    assert repository.commit("HEAD~1").oid == first
    assert repository.commit("HEAD^").tree == repository.commit(first).tree


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "1" * 40,
        "-x",
        "--help",
        "--upload-pack=touch x",
        "HEAD:a",
        "HEAD^{tree}",
        "HEAD^9",
        "HEAD ",
        "a b",
        "^HEAD",
    ],
)
def test_what_is_no_commit_is_not_found(
    origin: ThrowAwayRepository, repository: Repository, name: str
) -> None:
    commit = origin.commit({"a": b"1"})
    with pytest.raises(NotFound, match="no commit"):
        repository.commit(name)
    assert repository.find_commit(name) is None
    assert repository.commit("HEAD").oid == commit


@pytest.mark.parametrize("name", ["HEAD\nHEAD~1", "a\0b"])
def test_a_name_with_a_line_feed_is_refused(
    origin: ThrowAwayRepository, repository: Repository, name: str
) -> None:
    origin.commit({"a": b"1"})
    with pytest.raises(InvalidInput):
        repository.commit(name)


def test_a_file_that_is_named_like_a_commit_is_none(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    """`HEAD:evil` is asked for as `HEAD:evil^{commit}`, and a file may have that name."""
    forged = b"tree " + b"1" * 40 + b"\ncommitter C <c@d> 1 +0000\n\n"
    origin.commit({"evil^{commit}": forged})
    assert repository.find_commit("HEAD:evil") is None
    assert repository.find_commit("HEAD") is not None


def test_the_error_for_an_unknown_commit_keeps_credentials_out(repository: Repository) -> None:
    with pytest.raises(NotFound) as caught:
        repository.commit("https://me:hunter2@host/x")
    assert "hunter2" not in str(caught.value)


def test_a_replaced_commit_is_still_what_its_id_says(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    good, evil = origin.commit({"a": b"good"}), origin.commit({"a": b"evil"}, branch="evil")
    good_blob, evil_blob = origin.blob(b"good"), origin.blob(b"evil")
    origin.git("replace", good, evil)
    origin.git("replace", good_blob, evil_blob)
    assert repository.commit(good).oid == good
    assert [entry.oid for entry in repository.listing(repository.commit(good).tree)] == [good_blob]
    assert [b"".join(chunks) for _, chunks in repository.blobs([good_blob])] == [b"good"]


def test_grafts_do_not_change_who_the_parents_are(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    stranger = origin.commit({"a": b"0"}, branch="stranger")
    first = origin.commit({"a": b"1"})
    second = origin.commit({"a": b"2"})
    (origin.directory / ".git/info").mkdir(exist_ok=True)
    (origin.directory / ".git/info/grafts").write_text(f"{second} {stranger}\n")
    assert repository.commit(second).parents == (first,)
    assert repository.commit(f"{second}^").oid == first


def test_settings_that_rewrite_content_are_not_obeyed(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    origin.git("config", "core.autocrlf", "true")
    origin.git("config", "filter.evil.smudge", "echo evil")
    origin.commit({".gitattributes": b"* filter=evil export-ignore\n", "a": b"1\r\n2\n"})
    entries = repository.listing(repository.commit("HEAD").tree)
    assert [entry.path for entry in entries] == [b".gitattributes", b"a"]
    assert b"".join(next(repository.blobs([entries[1].oid]))[1]) == b"1\r\n2\n"


def test_a_small_file_is_read_whole_and_a_large_one_not_at_all(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    files: dict[str, bytes | File] = {"treeship.toml": b"prefix = '/x'\n", "large": bytes(5000), "d/e": b"1"}
    origin.commit({**files, "m": submodule("1" * 40)})
    tree = repository.commit("HEAD").tree
    assert repository.small_file(tree, "treeship.toml", 1000) == b"prefix = '/x'\n"
    assert repository.small_file(tree, "nothing.toml", 1000) is None
    assert repository.small_file(tree, "d/e", 1) == b"1"
    assert repository.small_file(tree, "m", 1) is None
    with pytest.raises(InvalidInput, match="blob of 5000 bytes"):
        repository.small_file(tree, "large", 1000)
    with pytest.raises(InvalidInput, match="is a tree"):
        repository.small_file(tree, "d", 1000)
    assert repository.small_file(tree, "treeship.toml", 1000) == b"prefix = '/x'\n"


def test_a_large_file_is_read_in_parts_and_a_larger_one_not_at_all(
    origin: ThrowAwayRepository, repository: Repository
) -> None:
    content = random.Random(1).randbytes(5 << 20)
    files: dict[str, bytes | File] = {"d/large": content, "small": b"1"}
    origin.commit({**files, "d/link": link(b"large")})
    tree = repository.commit("HEAD").tree
    for _ in range(2):
        parts = repository.large_file(tree, "d/large", len(content))
        assert parts is not None
        read = list(parts)
        assert b"".join(read) == content
        assert max(map(len, read)) <= 1 << 20
        assert repository.large_file(tree, "d/none", 1000) is None
        assert repository.large_file(tree, "none/large", 1000) is None
        assert repository.large_file(tree, "small/large", 1000) is None
        assert next(repository.large_file(tree, "d/large", len(content)) or iter(())), "and left there"
        assert repository.small_file(tree, "small", 1) == b"1"
    with pytest.raises(InvalidInput, match="is a symbolic link"):
        repository.large_file(tree, "d/link", 1000)
    with pytest.raises(InvalidInput, match=f"blob of {len(content)} bytes"):
        repository.large_file(tree, "d/large", len(content) - 1)


@pytest.mark.parametrize("path", ["treeship.toml", "env/pylock.toml", "a/b/c", "a b/-x", "120000 x/ä"])
def test_a_small_file_that_is_a_link_is_refused_at_any_depth(
    origin: ThrowAwayRepository, repository: Repository, path: str
) -> None:
    """git gives its target for its content."""
    folder, name = os.path.split(path)
    others: dict[str, bytes | File] = {f"plain/{path}": b"here", f"x{path}": b"1", f"{folder}x/{name}": b"1"}
    origin.commit({**others, path: link(b"/etc/passwd")})
    tree = repository.commit("HEAD").tree
    with pytest.raises(InvalidInput, match="is a symbolic link"):
        repository.small_file(tree, path, 1000)
    assert repository.small_file(tree, f"plain/{path}", 1000) == b"here"
    assert repository.small_file(tree, f"x{path}", 1000) == b"1"


def test_no_link_is_followed_to_a_small_file(origin: ThrowAwayRepository, repository: Repository) -> None:
    links = {"linked": link(b"real"), "deep/linked": link(b"../real"), "up": link(b"..")}
    origin.commit({"real/file": File(b"1"), **links})
    tree = repository.commit("HEAD").tree
    for path in ("linked/file", "deep/linked/file", "up/real/file", "real/../real/file"):
        assert repository.small_file(tree, path, 1000) is None
    with pytest.raises(InvalidInput, match="is a symbolic link"):
        repository.small_file(tree, "deep/linked", 1000)


def test_a_commit_of_a_megabyte_is_refused(origin: ThrowAwayRepository, repository: Repository) -> None:
    origin.commit({"a": b"1"}, message="x" * COMMIT_LIMIT)
    with pytest.raises(InvalidInput, match="bytes"):
        repository.commit("HEAD")


@pytest.mark.parametrize("line", ["parent ../../x", "parent -x", "parent " + "z" * 40])
def test_a_commit_with_a_forged_parent_is_refused(
    origin: ThrowAwayRepository, repository: Repository, line: str
) -> None:
    """What stands there would be asked for as a tag of a registry otherwise."""
    tree = origin.tree([])
    raw = f"tree {tree}\n{line}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n"
    commit = origin.literal("commit", raw.encode())
    with pytest.raises(TreeshipError):
        repository.commit(commit)


def test_work_tree_subdirectory_bare_and_linked_work_tree_are_the_same(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    commit = origin.commit({"d/a": b"1"})
    (origin.directory / "d").mkdir()
    origin.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), commit)
    origin.git("clone", "-q", "--bare", str(origin.directory), str(tmp_path / "bare"))
    for directory in (origin.directory, origin.directory / "d", tmp_path / "linked", tmp_path / "bare"):
        with Repository(directory) as repository:
            assert repository.commit("HEAD").oid == commit
            assert [entry.path for entry in repository.listing(repository.commit("HEAD").tree)] == [b"d/a"]
            assert repository.promisor_remote() == ""
    with Repository(tmp_path / "linked") as repository:
        assert Path(repository.git_directory()) == origin.directory / ".git"


def test_uncommitted_changes_do_not_count(origin: ThrowAwayRepository, repository: Repository) -> None:
    origin.commit({"a": b"1"})
    (origin.directory / "a").write_bytes(b"2")
    (origin.directory / "b").write_bytes(b"3")
    origin.git("add", "-A")
    (entry,) = repository.listing(repository.commit("HEAD").tree)
    assert b"".join(next(repository.blobs([entry.oid]))[1]) == b"1"


@pytest.mark.parametrize("missing", [False, True])
def test_a_folder_without_repository_is_told_so(tmp_path: Path, missing: bool) -> None:
    folder = tmp_path / "folder"
    if not missing:
        folder.mkdir()
    with Repository(folder) as repository, pytest.raises(InvalidInput, match="not a git repository"):
        repository.commit("HEAD")


def test_a_folder_whose_name_looks_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = ThrowAwayRepository(tmp_path / "--git-dir=x")
    commit = origin.commit({"a": b"1"})
    monkeypatch.chdir(tmp_path)
    with Repository("--git-dir=x") as repository:
        assert repository.commit("HEAD").oid == commit


def test_settings_are_read_as_git_reads_them(origin: ThrowAwayRepository, repository: Repository) -> None:
    origin.git("config", "remote.Up.Stream.url", "https://h/r")
    origin.git("config", "--add", "a.b", "1")
    origin.git("config", "--add", "a.b", "2\nlines")
    assert repository.config("remote.Up.Stream.url") == ["https://h/r"]
    assert repository.config("a.b") == ["1", "2\nlines"]
    assert repository.config("none.such") == []


def test_the_object_format_sha256(tmp_path: Path) -> None:
    origin = ThrowAwayRepository(tmp_path / "repository", object_format="sha256")
    first, second = origin.commit({"d/a": b"1", "b": b"2"}), origin.commit({"d/a": b"3", "b": b"2"})
    with Repository(origin.directory) as repository:
        old, new = repository.commit(first), repository.commit(second)
        assert len(new.oid) == len(new.tree) == 64
        assert new.parents == (first,)
        assert [change.path for change in repository.changes(old.tree, new.tree)] == [b"d/a"]
        assert [b"".join(chunks) for _, chunks in repository.blobs([e.oid for e in repository.listing(new.tree)])] == [
            b"2", b"3",
        ]  # fmt: skip


# Owners


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository away")
def test_a_repository_of_another_user_is_refused_with_the_remedy(
    origin: ThrowAwayRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({"a": b"1"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for path in (origin.directory, origin.directory / ".git"):
        os.chown(path, 65534, 65534)
    with Repository(origin.directory) as repository, pytest.raises(InvalidInput) as caught:
        repository.commit("HEAD")
    assert "belongs to another user" in caught.value.what
    assert caught.value.remedy == f"git config --global --add safe.directory {origin.directory}"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_an_unprivileged_user_is_refused_the_same_way_and_the_remedy_helps() -> None:
    code = "import sys; from buildkit.git.repository import Repository as R; print(R(sys.argv[1]).commit('HEAD').oid)"
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own folders are closed to other users
        os.chmod(folder, 0o755)
        origin = ThrowAwayRepository(Path(folder, "repository"))
        commit = origin.commit({"a": b"1"})
        settings = Path(folder, "gitconfig")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.getcwd(),
            "GIT_CONFIG_GLOBAL": str(settings),
        }

        def read() -> subprocess.CompletedProcess[str]:
            settings.chmod(0o644)
            return subprocess.run(
                [*drop, sys.executable, "-W", "ignore", "-c", code, str(origin.directory)],
                env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip

        settings.write_text("")
        refused = read()
        if "Permission denied" in refused.stderr and "buildkit" not in refused.stderr:
            pytest.skip("another user cannot run this Python")
        assert "belongs to another user" in refused.stderr
        settings.write_text(f"[safe]\n\tdirectory = {origin.directory}\n")
        assert read().stdout.strip() == commit
