"""The password of a package index is heard nowhere: no output, no arguments, no layer, no file of the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from buildkit.testing.index import InProcessIndex, Password, faults
from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.registry.faults.base import Fault
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.helpers import Treeship
from tests.end_to_end.locked import CODE, Watched, pylock, requirements, small_lock
from tests.end_to_end.test_secrets import CANARY, USER, Cage, Repeats, watching

Plant = Callable[[Cage, str], Mapping[str, str]]
"""Gives the machine a login for a host; what is to be added to the environment."""


def _netrc(cage: Cage, host: str) -> Mapping[str, str]:
    netrc = cage.treeship.home / ".netrc"
    cage.plant(netrc, f"machine {host.partition(':')[0]} login {USER} password {CANARY}\n")
    netrc.chmod(0o600)
    return {"TREESHIP_WHEELS_INDEX": f"http://{host}/simple/"}


def _userinfo(cage: Cage, host: str) -> Mapping[str, str]:
    return {"TREESHIP_WHEELS_INDEX": f"http://{USER}:{CANARY}@{host}/simple/"}


def _user_file(cage: Cage, host: str) -> Mapping[str, str]:
    cage.plant(cage.treeship.user_file, f'[wheels]\nindex = "http://{USER}:{CANARY}@{host}/simple/"\n')
    return {}


LOGINS: dict[str, Plant] = {"netrc": _netrc, "variable": _userinfo, "user's file": _user_file}
FAILURES: dict[str, Callable[[InProcessIndex], list[Fault]]] = {
    "401": lambda _: [faults.Status(401)],
    "403": lambda _: [faults.Status(403)],
    "404": lambda _: [faults.Status(404)],
    "repeats 401": lambda _: [Repeats(401)],
    "repeats 403": lambda _: [Repeats(403)],
    "another page": lambda _: [faults.Instead(CANARY[::-1].encode() + b"<html>", "GET page")],
    "elsewhere": lambda _: [faults.Moved("http://169.254.169.254")],
}


@pytest.fixture
def cage(treeship: Treeship, tmp_path: Path) -> Iterator[Cage]:
    """Everything below `tmp_path` is looked at."""
    with watching(tmp_path / "front", treeship) as watch:
        yield Cage(treeship, watch, tmp_path)


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("kind", ["pylock.toml", "requirements.txt"])
def test_an_index_s_password_is_heard_nowhere(
    login: str,
    kind: str,
    cage: Cage,
    repository: ThrowAwayRepository,
    registry: InProcessRegistry,
    python_base: Path,
) -> None:
    """In netrc, in a variable, in the user's file; after success, and whatever the index does with it."""
    wheels = small_lock()
    with InProcessIndex(
        {each.filename: each.data for each in wheels}, access=Password(USER, CANARY)
    ) as index:
        of_lock = {
            "pylock.toml": pylock("https://files.pythonhosted.org/", wheels),
            "requirements.txt": requirements("https://pypi.org/simple/", wheels),
        }
        repository.commit({**CODE, kind: of_lock[kind]})
        env = LOGINS[login](cage, index.host)
        words = ("--repo", repository.directory, "--base", f"oci:{python_base}")
        for number, (name, failure) in enumerate(FAILURES.items()):
            index.faults[:] = failure(index)
            to = f"{registry.host}/app{number}:x"
            ran = cage.run(name, "build", *words, "--to", to, "--json", env=env)
            assert ran.code in (2, 3, 4), (name, ran)
        index.faults.clear()
        to = f"{registry.host}/app:x"
        with Watched(index) as asked:
            for verb in ("explain", "build"):
                assert cage.run(verb, verb, *words, "--to", to, env=env).code == 0
        assert any(entry.authorized for entry in asked.requests)
        cage.run("check", "check", to, "--repo", repository.directory, env=env)
        cage.run("config", "config", "show", "--repo", repository.directory, env=env)
        cage.run("config", "config", "show", "--repo", repository.directory, "--json", env=env)
    assert len(registry.store.repository("app").tags) == 2
    assert cage.found(registry.store) == []


def test_a_login_for_the_index_is_shown_to_no_other_host(
    cage: Cage, repository: ThrowAwayRepository, registry: InProcessRegistry, python_base: Path
) -> None:
    """The index says that its files are on another host, which the settings name too."""
    wheels = small_lock()
    files = {each.filename: each.data for each in wheels}
    with InProcessIndex(files) as other:
        with InProcessIndex(files, access=Password(USER, CANARY), elsewhere=f"http://{other.host}") as index:
            repository.commit({**CODE, "pylock.toml": pylock("https://files.pythonhosted.org/", wheels)})
            ran = cage.run(
                "build", "build", "--repo", repository.directory, "--base", f"oci:{python_base}",
                "--to", f"{registry.host}/app:x", "--wheel-host", other.host, env=_userinfo(cage, index.host),
            )  # fmt: skip
            assert ran.code == 0, ran.err
            assert len(other.log) == len(wheels)
            assert not any(entry.authorized for entry in other.log)
    assert cage.found(registry.store) == []
