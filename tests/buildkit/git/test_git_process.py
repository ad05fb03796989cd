"""How git is started: whose environment it sees, and what its complaints turn into."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit.errors import AccessDenied, InvalidInput, NotFound, TreeshipError, Unavailable
from buildkit.git import process
from buildkit.git.repository import Repository
from buildkit.testing.repositories import ThrowAwayRepository

HOOK = {
    "GIT_DIR": "/elsewhere/.git",
    "GIT_WORK_TREE": "/elsewhere",
    "GIT_INDEX_FILE": "/elsewhere/.git/index",
    "GIT_OBJECT_DIRECTORY": "/elsewhere/.git/objects",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/elsewhere/.git/objects",
    "GIT_NAMESPACE": "other",
    "GIT_CEILING_DIRECTORIES": "/",
    "GIT_TRACE": "1",
    "GIT_REPLACE_REF_BASE": "refs/evil/",
    "GIT_CONFIG_PARAMETERS": "'core.bare=true'",
    "GIT_CONFIG": "/elsewhere/config",
}


def test_variables_that_would_name_another_repository_are_dropped() -> None:
    seen = process.environment(source={**HOOK, "HOME": "/home/me", "GIT_SSH_COMMAND": "ssh -i key"})
    assert not HOOK.keys() & seen.keys()
    assert (seen["HOME"], seen["GIT_SSH_COMMAND"]) == ("/home/me", "ssh -i key")
    assert seen["GIT_TERMINAL_PROMPT"] == "0"
    assert seen["LC_ALL"] == "C"


def test_a_build_inside_a_hook_of_another_repository_reads_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, own = ThrowAwayRepository(tmp_path / "other"), ThrowAwayRepository(tmp_path / "own")
    other.commit({"which": b"other"})
    commit = own.commit({"which": b"own"})
    monkeypatch.setenv("GIT_DIR", str(other.directory / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.directory / ".git/objects"))
    with Repository(own.directory) as repository:
        assert repository.commit("HEAD").oid == commit


def test_settings_of_one_process_go_behind_those_of_the_environment() -> None:
    seen = process.environment(
        [("http.extraHeader", "A: b")],
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"},
    )
    assert {name: seen[name] for name in seen if name.startswith("GIT_CONFIG_")} == {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "a.b",
        "GIT_CONFIG_VALUE_0": "c",
        "GIT_CONFIG_KEY_1": "http.extraHeader",
        "GIT_CONFIG_VALUE_1": "A: b",
    }


@pytest.mark.parametrize("count", ["", "many", "-1", "1.5"])
def test_a_malformed_count_of_settings_is_taken_for_none(count: str) -> None:
    seen = process.environment([("a.b", "c")], {"GIT_CONFIG_COUNT": count})
    assert (seen["GIT_CONFIG_COUNT"], seen["GIT_CONFIG_KEY_0"]) == ("1", "a.b")


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("fatal: not a git repository (or any of the parent directories): .git", InvalidInput),
        ("fatal: cannot change to '/nowhere': No such file or directory", InvalidInput),
        ("fatal: detected dubious ownership in repository at '/r'", InvalidInput),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", Unavailable),
        ("ssh: connect to host h port 22: Connection refused", Unavailable),
        (
            "fatal: unable to access 'http://h/': Failed to connect to h port 80: Couldn't connect",
            Unavailable,
        ),
        ("fatal: unable to access 'http://h/': The requested URL returned error: 503", Unavailable),
        ("fatal: unable to access 'http://h/': The requested URL returned error: 403", AccessDenied),
        ("error: RPC failed; early EOF", Unavailable),
        ("fatal: write error: No space left on device", Unavailable),
        ("fatal: couldn't find remote ref nothing", NotFound),
        ("fatal: remote error: upload-pack: not our ref 1111", NotFound),
        ("fatal: '/nowhere' does not appear to be a git repository", NotFound),
        ("fatal: repository 'https://h/r/' not found", NotFound),
        ("fatal: Authentication failed for 'https://h/r/'", AccessDenied),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", AccessDenied),
        ("git@h: Permission denied (publickey).", AccessDenied),
        ("", InvalidInput),
    ],
)
def test_what_git_says_becomes_an_error_of_its_kind(stderr: str, kind: type[TreeshipError]) -> None:
    error = process.failure("/r", stderr.encode())
    assert type(error) is kind
    assert error.remedy


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@host/r.git",
        "https://hunter2@host/r.git",
        "https://user:p@hunter2@host/r.git",
        "https://user:hunter2@1.2.3.4:8443/r.git?x=a@b",
        "ssh://git:hunter2@host/r",
    ],
)
def test_credentials_in_urls_are_kept_out_of_errors(url: str) -> None:
    text = str(process.failure("/r", f"fatal: unable to access '{url}': 403".encode()))
    assert "hunter2" not in text
    assert "host" in text or "1.2.3.4" in text


def test_control_characters_of_a_remote_are_kept_off_the_terminal() -> None:
    assert process.redact("remote: \x1b]0;owned\x07 done\n") == "remote: ?]0;owned? done\n"


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    ThrowAwayRepository(tmp_path)
    with pytest.raises(Unavailable, match="took more than"):
        process.run(str(tmp_path), ["-c", "alias.wait=!sleep 20 >/dev/null 2>&1", "wait"], timeout=0.3)


def test_a_machine_without_git_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidInput, match="git is not installed"):
        process.run(str(tmp_path), ["status"])
