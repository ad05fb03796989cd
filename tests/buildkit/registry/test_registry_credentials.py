"""Docker's and containers' files and the helpers they name: which one counts, and what is never shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from buildkit.errors import InvalidInput, Unavailable
from buildkit.registry.credentials import Credentials, CredentialStore
from buildkit.registry.secret import Secret

CANARY = "canary-4f1d"
HOST = "registry.example"


def auth(username: str, password: str = CANARY) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


class Machine:
    """A home, its files, and helpers on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.environ: dict[str, str] = {"HOME": str(folder), "PATH": f"{folder / 'bin'}:/usr/bin:/bin"}

    def write(self, path: str, content: object) -> Path:
        """A file below the home; objects as JSON."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    def helper(self, name: str, script: str) -> None:
        """A program `docker-credential-NAME`."""
        self.write(f"bin/docker-credential-{name}", f"#!/bin/sh\n{script}\n").chmod(0o755)

    def find(self, host: str = HOST, repository: str = "team/app", **environ: str) -> Credentials | None:
        """What a new process would find."""
        return CredentialStore({**self.environ, **environ}).find(host, repository)

    def user(self, host: str = HOST, repository: str = "team/app", **environ: str) -> str:
        """The name it would log in with."""
        found = self.find(host, repository, **environ)
        return found.username if found else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def answering(username: str, secret: str = CANARY) -> str:
    return f'cat >/dev/null; echo \'{{"ServerURL":"","Username":"{username}","Secret":"{secret}"}}\''


def test_nobody_is_logged_in_at_first(machine: Machine) -> None:
    assert machine.find() is None


def test_the_files_have_an_order(machine: Machine) -> None:
    files = {
        "fifth": machine.write(".config/containers/auth.json", {"auths": {HOST: auth("fifth")}}),
        "third": machine.write("run/containers/auth.json", {"auths": {HOST: auth("third")}}),
        "second": machine.write("auth.json", {"auths": {HOST: auth("second")}}),
        "home": machine.write(".docker/config.json", {"auths": {HOST: auth("home")}}),
        "named": machine.write("named/config.json", {"auths": {HOST: auth("named")}}),
    }
    environ = {
        "DOCKER_CONFIG": str(files["named"].parent),
        "REGISTRY_AUTH_FILE": str(files["second"]),
        "XDG_RUNTIME_DIR": str(machine.home / "run"),
    }
    seen = []
    for name in ("named", "second", "third", "fifth"):
        seen.append(machine.user(**environ))
        files[name].unlink()

    assert seen == ["named", "second", "third", "fifth"]
    assert machine.user() == "home"


@pytest.mark.parametrize(
    "key", [HOST, f"https://{HOST}", f"https://{HOST}/v1/", f"http://{HOST}/v2/", f"{HOST}/"]
)
def test_a_host_is_found_in_any_spelling(machine: Machine, key: str) -> None:
    machine.write(".docker/config.json", {"auths": {key: auth("sam")}})

    assert machine.user() == "sam"
    assert machine.user("other.example") == ""


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_has_a_key_of_its_own(machine: Machine, key: str) -> None:
    machine.write(".docker/config.json", {"auths": {key: auth("sam")}})

    assert machine.user("docker.io", "library/python") == "sam"


def test_the_longest_path_counts(machine: Machine) -> None:
    entries = {HOST: auth("host"), f"{HOST}/team": auth("team"), f"{HOST}/team/app": auth("app")}
    machine.write(".config/containers/auth.json", {"auths": entries})

    assert machine.user(repository="team/app") == "app"
    assert machine.user(repository="team/other") == "team"
    assert machine.user(repository="teams") == "host"


def test_a_hosts_helper_counts_before_the_store_before_the_file(machine: Machine) -> None:
    machine.helper("mine", answering("helper"))
    machine.helper("all", answering("store"))
    settings = {"auths": {HOST: auth("file")}, "credsStore": "all", "credHelpers": {HOST: "mine"}}
    machine.write(".docker/config.json", settings)

    assert machine.user() == "helper"
    assert machine.user("other.example") == "store"


def test_where_the_helper_knows_nothing_the_file_counts(machine: Machine) -> None:
    machine.helper("all", "cat >/dev/null; echo credentials not found in native keychain; exit 1")
    machine.write(".docker/config.json", {"auths": {HOST: auth("file")}, "credsStore": "all"})

    assert machine.user() == "file"


def test_a_helper_gets_get_and_the_host_on_stdin(machine: Machine) -> None:
    machine.helper("all", f'echo "$@ $(cat)" > {machine.home}/seen; echo \'{{"Username":"u","Secret":"s"}}\'')
    machine.write(".docker/config.json", {"credsStore": "all"})

    machine.find()
    assert (machine.home / "seen").read_text() == f"get {HOST}\n"
    machine.find("docker.io", "library/python")
    assert (machine.home / "seen").read_text() == "get https://index.docker.io/v1/\n"


def test_a_helpers_identity_token_is_one(machine: Machine) -> None:
    machine.helper("all", answering("<token>"))
    machine.write(".docker/config.json", {"credsStore": "all"})

    found = machine.find()

    assert found is not None
    assert found.identity == Secret(CANARY)
    assert found.basic() is None


def test_tokens_in_the_file_are_taken(machine: Machine) -> None:
    entry = {**auth("<token>", ""), "identitytoken": "id", "registrytoken": "ready"}
    machine.write(".docker/config.json", {"auths": {HOST: entry}})

    found = machine.find()

    assert found is not None
    assert (found.identity, found.bearer) == (Secret("id"), Secret("ready"))


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "-x", "a b", "x" * 200])
def test_a_helper_with_a_path_for_a_name_is_refused(machine: Machine, name: str) -> None:
    machine.write(".docker/config.json", {"credHelpers": {HOST: name or " "}})

    with pytest.raises(InvalidInput, match="not a plain word"):
        machine.find()


def test_a_helper_in_the_working_directory_is_not_found(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.helper("all", answering("evil"))
    machine.write(".docker/config.json", {"credsStore": "all"})
    monkeypatch.chdir(machine.home / "bin")

    with pytest.raises(InvalidInput, match="not installed"):
        machine.find(PATH=".::bin")


@pytest.mark.parametrize(
    "script",
    [
        f"echo {CANARY}; exit 3",
        f"echo {CANARY} >&2; exit 3",
        f"echo {CANARY}",
        f"echo '[\"{CANARY}\"]'",
        f'echo \'{{"Username": 3, "Secret": "{CANARY}"}}\'',
    ],
)
def test_what_a_failing_helper_prints_is_not_shown(machine: Machine, script: str) -> None:
    machine.helper("all", f"cat >/dev/null; {script}")
    machine.write(".docker/config.json", {"credsStore": "all"})

    with pytest.raises(Unavailable, match="docker-credential-all failed") as caught:
        machine.find()

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        f'{{"auths": "{CANARY}"',
        f'["{CANARY}"]',
        {"auths": CANARY},
        {"auths": {HOST: CANARY}},
        {"auths": {HOST: {"auth": CANARY}}},
        {"auths": {HOST: {"auth": "é" + CANARY}}},
        {"auths": {HOST: {"auth": base64.b64encode(CANARY.encode()).decode()}}},
        {"auths": {HOST: {"identitytoken": [CANARY]}}},
        {"credHelpers": [CANARY]},
        "[" * 100_000 + CANARY,
    ],
)
def test_a_malformed_file_is_named_and_not_quoted(machine: Machine, content: object) -> None:
    file = machine.write(".docker/config.json", content)

    with pytest.raises(InvalidInput, match="malformed") as caught:
        machine.find()

    assert str(file) in caught.value.what
    assert CANARY not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_an_entry_without_anything_is_nobody(machine: Machine) -> None:
    """As `docker login` with a store leaves it behind."""
    machine.write(".docker/config.json", {"auths": {HOST: {}}})

    assert machine.find() is None


def test_a_helper_runs_once(machine: Machine) -> None:
    machine.helper("all", f"echo x >> {machine.home}/runs; {answering('sam')}")
    machine.write(".docker/config.json", {"credsStore": "all"})
    store = CredentialStore(machine.environ)

    assert store.find(HOST, "a") == store.find(HOST, "a")
    assert (machine.home / "runs").read_text() == "x\n"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, "%s".__mod__])
def test_credentials_do_not_show_themselves(show: Any) -> None:
    hidden: Mapping[str, object] = {
        "secret": Secret(CANARY),
        "all": Credentials("sam", Secret(CANARY), Secret(CANARY), Secret(CANARY)),
    }

    for value in hidden.values():
        assert CANARY not in show([value])
        assert CANARY not in repr(value)
