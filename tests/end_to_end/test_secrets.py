"""A canary for each secret that treeship is given, and a look at everything that it leaves behind.

Looked at, after success and after each kind of failure: stdout and stderr, the arguments of every process that
ran meanwhile, and every file below the home folder, the temporary folder and the registry's store, other than the
one that the secret was put into. Also what an exception would show to whoever logs it.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from buildkit.errors import TreeshipError
from buildkit.image.reference import RegistryReference, parse_reference
from buildkit.registry.options import RegistryOptions
from buildkit.registry.registries import Registries
from buildkit.testing.registry import InProcessRegistry, Password, Tokens, faults
from buildkit.testing.registry.access import Mode
from buildkit.testing.registry.exchange import Exchange, Reply, error_reply
from buildkit.testing.registry.store import Store
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.helpers import Ran, Treeship
from tests.rigs.lfs_server import LfsServer
from tests.rigs.web import QuietHandler, serving

USER, CANARY = "robot", "Canary7391Swordfish"
AUTH = base64.b64encode(f"{USER}:{CANARY}".encode()).decode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"


def _forms() -> list[bytes]:
    """The canary as it is, backwards, as hex, and in base64 wherever in a text it may begin."""
    plain = CANARY.encode()
    shifted = [base64.b64encode(b"x" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    return [plain, plain[::-1], plain.hex().encode(), *shifted]


FORMS = _forms()


def sings(data: bytes) -> bool:
    """Whether the canary can be heard in it."""
    return any(form in data for form in FORMS)


class Watch:
    """Arguments of this home's processes with the canary in them, and what a `git` in front of git has written down."""

    def __init__(self, folder: Path, treeship: Treeship) -> None:
        self.seen: set[bytes] = set()
        self.folder = folder
        self._ended = threading.Event()
        self._home = f"HOME={treeship.home}\0".encode()
        # Its own arguments are the caller's choice.
        self._own = "\0".join(treeship.argv).encode()

    def arguments(self) -> set[bytes]:
        """Those with the canary in them."""
        written = (self.folder / "calls").read_bytes()
        assert b"cat-file" in written
        return {*self.seen, *([written] if sings(written) else [])}

    def run(self) -> None:
        """Look again and again."""
        while not self._ended.wait(0.01):
            for process in filter(str.isdecimal, os.listdir("/proc")):
                with suppress(OSError):
                    line = Path("/proc", process, "cmdline").read_bytes()
                    if (
                        sings(line)
                        and not line.startswith(self._own)
                        and self._home in Path("/proc", process, "environ").read_bytes()
                    ):
                        self.seen.add(line)

    def end(self) -> None:
        """No more."""
        self._ended.set()


@contextmanager
def watching(folder: Path, treeship: Treeship) -> Iterator[Watch]:
    """A folder for the front of PATH, and a thread that looks at /proc."""
    folder.mkdir(exist_ok=True)
    real = shutil.which("git")
    front = folder / "git"
    front.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{folder}/calls"\nexec {real} "$@"\n')
    front.chmod(0o755)
    watch = Watch(folder, treeship)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()


class Cage:
    """Runs commands, keeps what they say, and lists where the canary can be found afterwards."""

    def __init__(self, treeship: Treeship, watch: Watch, tmp_path: Path) -> None:
        self.treeship = treeship
        self.said: list[tuple[str, Ran]] = []
        self.planted: set[Path] = set()
        self._watch = watch
        self._tmp = tmp_path

    def run(self, name: str, *words: str | Path, env: Mapping[str, str] | None = None) -> Ran:
        """Whatever comes of it."""
        path = f"{self._watch.folder}:{os.environ['PATH']}"
        temporary = self._tmp / "temporary"
        temporary.mkdir(exist_ok=True)
        ran = self.treeship(*words, env={"PATH": path, "TMPDIR": str(temporary), **(env or {})}, code=None)
        self.said.append((name, ran))
        assert "a bug of treeship" not in ran.err, ran.err
        return ran

    def plant(self, path: Path, text: str) -> None:
        """A file that may hold the canary."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.planted.add(path)

    def found(self, *stores: Store) -> list[str]:
        """Where it was heard."""
        heard = [f"{name}: {ran}" for name, ran in self.said if sings((ran.out + ran.err).encode())]
        heard += [f"argv {argv!r}" for argv in self._watch.arguments()]
        for path in self._tmp.rglob("*"):
            if path not in self.planted and path.is_file() and sings(path.read_bytes() + os.fsencode(path)):
                heard.append(str(path))
        for store in stores:
            heard += [f"blob {digest}" for digest, data in store.blobs.items() if sings(data)]
            heard += [
                f"manifest {digest}"
                for repository in store.repositories.values()
                for digest, manifest in repository.manifests.items()
                if sings(manifest.raw)
            ]
        return heard


@pytest.fixture
def cage(treeship: Treeship, tmp_path: Path) -> Iterator[Cage]:
    """Everything below `tmp_path` is looked at."""
    with watching(tmp_path / "front", treeship) as watch:
        yield Cage(treeship, watch, tmp_path)


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A repository with one commit."""
    repository.commit({"train.py": b"print(1)\n"})
    return repository


# Registries


class Repeats(faults.Fault):
    """Refuses, and says in its error what it was sent: a proxy in debug mode, or somebody who wants it in a log."""

    def __init__(self, status: int, verb: str = "") -> None:
        super().__init__(verb)
        self._status = status

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        """All of the headers, and the password in clear."""
        sent = exchange.sent.get("authorization", "")
        if not sent:
            return reply
        clear = base64.b64decode(sent.removeprefix("Basic ")).decode() if sent.startswith("Basic ") else sent
        refused = error_reply(self._status, "DENIED", f"{clear} is wrong: {sent}")
        return refused.with_headers(WWW_Authenticate='Basic realm="x"')


FAILURES: dict[str, Callable[[], list[faults.Fault]]] = {
    "success": list,
    "401": lambda: [faults.Status(401, "PUT manifest")],
    "403": lambda: [faults.Status(403, "PUT manifest")],
    "404": lambda: [faults.Status(404, "POST uploads")],
    "500": lambda: [faults.Status(500, "PUT upload")],
    "reset": lambda: [faults.DropBefore("PUT upload")],
    "slow": lambda: [faults.Slow(1.0, "PUT upload")],
    "redirect": lambda: [faults.RedirectBlobs("169.254.169.254", query=f"signature={CANARY}")],
    "no HTTP": lambda: [faults.EmptyError(500, "PUT manifest")],
    "repeats 401": lambda: [Repeats(401)],
    "repeats 403": lambda: [Repeats(403)],
    "repeats 500": lambda: [Repeats(500)],
}


QUICK = ("success", "401", "redirect", "repeats 401", "repeats 403")


def _plain_login(cage: Cage, host: str) -> None:
    cage.plant(
        cage.treeship.docker_config / "config.json", f'{{"auths": {{"{host}": {{"auth": "{AUTH}"}}}}}}'
    )


def _identity_login(cage: Cage, host: str) -> None:
    entry = f'{{"auth": "{base64.b64encode(b"robot:").decode()}", "identitytoken": "{CANARY}"}}'
    cage.plant(cage.treeship.docker_config / "config.json", f'{{"auths": {{"{host}": {entry}}}}}')


def _helper_login(cage: Cage, host: str) -> None:
    helper = cage.treeship.home.parent / "front" / "docker-credential-canary"
    cage.plant(helper, f'#!/bin/sh\necho \'{{"Username": "{USER}", "Secret": "{CANARY}"}}\'\n')
    helper.chmod(0o755)
    cage.plant(cage.treeship.docker_config / "config.json", '{"credsStore": "canary"}')


LOGINS: dict[str, tuple[Mode, Callable[[Cage, str], None]]] = {
    "basic": (Password(USER, CANARY), _plain_login),
    "bearer": (Tokens(username=USER, password=CANARY), _plain_login),
    "identity": (Tokens(identity=CANARY), _identity_login),
    "helper": (Password(USER, CANARY), _helper_login),
    "helper and bearer": (Tokens(username=USER, password=CANARY), _helper_login),
    "basic, wrong": (Password(USER, "another"), _plain_login),
    "bearer, wrong": (Tokens(username=USER, password="another"), _plain_login),
    "identity, wrong": (Tokens(identity="another"), _identity_login),
}


@pytest.mark.slow
@pytest.mark.parametrize("login", LOGINS)
def test_a_registry_s_password_is_heard_nowhere(
    login: str, cage: Cage, made: ThrowAwayRepository, tiny_base: Path
) -> None:
    """In a docker config, from a helper, as Basic, for tokens; and whatever the registry does with it."""
    access, plant = LOGINS[login]
    store = Store()
    with InProcessRegistry(access=access, store=store) as registry:
        plant(cage, registry.host)
        # With retries each failure takes seconds; where the password comes from makes no difference to most.
        chosen = FAILURES if login == "bearer" else QUICK
        for number, name in enumerate(chosen):
            registry.faults[:] = FAILURES[name]()
            to = f"{registry.host}/app{number}:x"
            ran = cage.run(
                name, "build", "--repo", made.directory, "--base", f"oci:{tiny_base}", "--to", to, "--json",
                "--read-timeout", "0.3",
            )  # fmt: skip
            assert ran.code == 0 if name == "success" and "wrong" not in login else ran.code in (0, 2, 4)
        registry.faults.clear()
        to = f"{registry.host}/app0:x"
        for verb in (("inspect", to), ("copy", to, "oci:copied:x"), ("check", to, "--repo", made.directory)):
            cage.run(verb[0], *verb)
        assert (
            any(sings(entry.headers.get("authorization", "").encode()) for entry in registry.log)
            or "identity" in login
        )
    assert cage.found(store) == []


@pytest.mark.parametrize("login", ["basic", "bearer", "identity"])
def test_an_exception_shows_nothing_to_who_logs_it(login: str, cage: Cage) -> None:
    """Neither its text nor its repr, nor those of what caused it, nor those of the objects in between."""
    access, plant = LOGINS[login]
    with InProcessRegistry(access=access) as registry:
        plant(cage, registry.host)
        environ = cage.treeship.environment()
        reference = parse_reference(f"{registry.host}/app:x")
        assert isinstance(reference, RegistryReference)
        for fault in (Repeats(401), Repeats(403), Repeats(500), faults.DropAfterBody("GET manifest", skip=1)):
            registry.faults[:] = [fault]
            with Registries(RegistryOptions(retries=0), environ=environ) as registries:
                with pytest.raises(TreeshipError) as raised:
                    registries.source(reference).document()
            error = raised.value
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
            shown.stack[:1] = []  # this test
            heard = [line for line in "".join(shown.format()).splitlines() if sings(line.encode())]
            # Locals of the innermost frames may hold the request's bytes, which no message asks for.
            assert [line for line in heard if not re.match(r"\s+(head|data|lines) = ", line)] == []
            assert not sings(f"{error!r} {error} {vars(error)!r}".encode())
        assert (
            any(sings(entry.headers.get("authorization", "").encode()) for entry in registry.log)
            or login == "identity"
        )


# Repositories by URL


class _GitHandler(QuietHandler):
    """`git http-backend` behind a password."""

    def __init__(self, root: Path, state: dict[str, Any], *connection: Any) -> None:
        self.root = root
        self.state = state
        super().__init__(*connection)

    def do_GET(self) -> None:
        """All of git's requests."""
        body = self.body()
        if status := self.state.get("status"):
            if status < 0:
                self.close_connection = True
                return
            self.answer(
                status,
                f"{self.headers.get('Authorization')} {CANARY if self.state.get('repeats') else ''}".encode(),
                "text/plain",
            )
            return
        if self.headers.get("Authorization") != f"Basic {AUTH}":
            self.answer(401, b"", WWW_Authenticate='Basic realm="git"')
            return
        self.state["admitted"] = True
        parts = urlsplit(self.path)
        env = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "uploadpack.allowFilter", "GIT_CONFIG_VALUE_0": "true",
            "GIT_CONFIG_KEY_1": "uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1": "true",
            "REMOTE_ADDR": "127.0.0.1",
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.answer(int(fields.get("Status", "200").split()[0]), content, fields["Content-Type"])

    do_POST = do_GET


@pytest.fixture
def git_server(made: ThrowAwayRepository) -> Iterator[tuple[str, dict[str, Any]]]:
    """Host and path of a repository that wants a password, and what it is to do instead."""
    made.git("config", "uploadpack.allowFilter", "true")
    state: dict[str, Any] = {}
    with serving(partial(_GitHandler, made.directory.parent, state)) as host:
        yield f"{host}/repository/.git", state


@pytest.mark.parametrize("given", ["flag", "environment"])
def test_a_repository_s_url_is_remembered_without_its_password(
    given: str, cage: Cage, git_server: tuple[str, dict[str, Any]]
) -> None:
    """Not in the clone's config, nor in git's arguments, nor in git's complaints."""
    where, state = git_server
    url = f"http://{USER}:{CANARY}@{where}"
    chosen: tuple[str, ...] = ("--repo", url) if given == "flag" else ()
    env = {} if given == "flag" else {"TREESHIP_REPO": url}
    failures: dict[str, dict[str, Any]] = {
        "success": {}, "401": {"status": 401}, "403": {"status": 403}, "404": {"status": 404}, "500": {"status": 500},
        "reset": {"status": -1}, "repeats": {"status": 500, "repeats": True},
    }  # fmt: skip
    for name, fault in failures.items():
        state.clear()
        state.update(fault)
        for verb in (("build", "--base", "scratch"), ("config", "show"), ("explain", "no-such-branch")):
            ran = cage.run(f"{name} {verb}", *verb, *chosen, env=env)
            assert ran.code == (0 if name == "success" and verb[0] != "explain" else ran.code)
            assert ran.code in (0, 2, 4)
        assert state.get("admitted") or fault
    configs = list((cage.treeship.cache / "repositories").glob("*/config"))
    assert configs
    assert cage.found() == []


# References, proxies, LFS, the environment


def test_a_password_in_a_reference_is_not_repeated(cage: Cage, made: ThrowAwayRepository) -> None:
    """It does not belong there, which is said without it."""
    for number, reference in enumerate((
        f"{USER}:{CANARY}@registry.invalid/app:x", f"docker://{USER}:{CANARY}@registry.invalid/app:x",
        f"https://{USER}:{CANARY}@registry.invalid/app:x", f"docker://{CANARY}@registry.invalid/app",
    )):  # fmt: skip
        for variable in ("TREESHIP_TO", "TREESHIP_REUSE_FROM"):
            ran = cage.run(
                f"{variable} {number}", "build", "--repo", made.directory, env={variable: reference}
            )
            assert ran.code == 2
            assert "hint: " in ran.err
        for words in (
            ("build", "--repo", made.directory, "--base", reference),
            ("inspect", reference),
            ("copy", reference, "oci:x:x"),
        ):
            assert cage.run(f"{words[0]} {number}", *words).code == 2
        made.commit({"treeship.toml": f'base = "{reference}"\n'.encode()})
        assert cage.run(f"commit {number}", "build", "--repo", made.directory).code == 2
        cage.plant(cage.treeship.user_file, f'to = ["{reference}"]\n')
        assert cage.run(f"user's file {number}", "build", "--repo", made.directory).code == 2
        cage.treeship.user_file.unlink()
    assert [name for name, ran in cage.said if sings((ran.out + ran.err).encode())] == []


def test_a_proxy_s_password_is_heard_nowhere(
    cage: Cage, made: ThrowAwayRepository, registry: InProcessRegistry
) -> None:
    """HTTP and CONNECT, let through and refused."""
    proxy = f"http://{USER}:{CANARY}@{registry.host}"
    words = ("build", "--repo", made.directory, "--base", "scratch", "--json", "--read-timeout", "0.5")
    plain = (*words, "--insecure", "registry.invalid", "--to", "registry.invalid/app:x")
    assert cage.run("through", *plain, env={"http_proxy": proxy}).code == 0
    assert any("proxy-authorization" in entry.headers for entry in registry.log)
    assert cage.run(
        "connect", *words, "--to", "registry.invalid/other:x", env={"https_proxy": proxy}
    ).code in (2, 4)
    for status in (407, 500):
        registry.faults[:] = [faults.Status(status)]
        assert cage.run(f"{status}", *plain, env={"http_proxy": proxy}).code in (2, 4)
    assert (
        cage.run("socks", *plain, env={"http_proxy": f"socks5://{USER}:{CANARY}@{registry.host}"}).code == 2
    )
    assert cage.run("nobody", *plain, env={"http_proxy": f"http://{USER}:{CANARY}@127.0.0.1:9"}).code == 4
    assert cage.found(registry.store) == []


def test_an_lfs_server_s_password_is_heard_nowhere(
    cage: Cage, repository: ThrowAwayRepository, start: Callable[[LfsServer], LfsServer]
) -> None:
    """In its URL, as a setting, as the remote's address, and in netrc; right and wrong, there and missing."""
    server = start(LfsServer(login=(USER, CANARY)))
    oid = server.add(b"weights")
    settings = b'[lfs]\ninclude = ["*.bin"]\n'
    repository.commit({
        "model.bin": POINTER % (oid.encode(), 7), ".gitattributes": b"*.bin filter=lfs\n", "treeship.toml": settings,
    })  # fmt: skip
    parts = urlsplit(server.url)
    right, wrong = (
        f"{parts.scheme}://{who}@{parts.netloc}{parts.path}"
        for who in (f"{USER}:{CANARY}", f"{CANARY}:wrong")
    )
    words = ("build", "--repo", repository.directory, "--base", "scratch", "--json")
    assert cage.run("wrong", *words, env={"TREESHIP_LFS_URL": wrong}).code == 2
    assert cage.run("right", *words, env={"TREESHIP_LFS_URL": right}).code == 0
    assert sings(b"".join(CANARY.encode() for request in server.requests if request.status == 200))
    shutil.rmtree(repository.directory / ".git" / "lfs", ignore_errors=True)
    server.faults.missing.add(oid)
    assert cage.run("missing", *words, "--no-reuse", "--retag", env={"TREESHIP_LFS_URL": right}).code in (
        0,
        2,
    )
    cage.plant(cage.treeship.home / ".netrc", f"machine 127.0.0.1 login {USER} password {CANARY}\n")
    server.faults.missing.clear()
    assert cage.run("netrc", *words, "--no-reuse", env={"TREESHIP_LFS_URL": server.url}).code == 0
    cage.plant(
        cage.treeship.home / ".netrc", f"machine 127.0.0.1 login {USER} password {CANARY} rubbish {CANARY}\n"
    )
    assert cage.run("bad netrc", *words, "--no-reuse", env={"TREESHIP_LFS_URL": server.url}).code in (0, 2)
    assert (
        cage.run(
            "shown", "config", "show", "--repo", repository.directory, env={"TREESHIP_LFS_URL": right}
        ).code
        == 0
    )
    repository.git("remote", "add", "origin", right)
    cage.planted.add(repository.directory / ".git" / "config")
    for verb in (("build", "--base", "scratch"), ("config", "show")):
        assert cage.run(f"remote {verb[0]}", *verb, "--repo", repository.directory).code in (0, 2, 4)
    # A remote whose URL holds a password was written by its user: git itself hands it to its helpers.
    assert [place for place in cage.found() if not place.startswith("argv ")] == []


def test_the_environment_is_not_written_down(
    cage: Cage, made: ThrowAwayRepository, registry: InProcessRegistry
) -> None:
    """Neither variables that are ours, nor those of others, nor wrong ones; nor wrong settings files."""
    others = {"AWS_SECRET_ACCESS_KEY": CANARY, "GITHUB_TOKEN": CANARY, "TREESHIP_PASSWORD": CANARY,
              "GIT_ASKPASS": f"/{CANARY}", "TREESHIP_DEBUG": "1"}  # fmt: skip
    words = ("build", "--repo", made.directory, "--base", "scratch", "--json")
    assert cage.run("others", *words, "--to", f"{registry.host}/app:x", env=others).code == 0
    for name in ("JOBS", "RETAG", "TIMEOUTS_READ", "INSECURE", "LFS_URL"):
        ran = cage.run(name, *words, env={f"TREESHIP_{name}": f"{CANARY}!/"})
        assert ran.code == 2
        assert f"TREESHIP_{name}" in ran.err
    for text in (
        f"to = {CANARY}",
        f'jobs = "{CANARY}"',
        f'insecure = ["https://{USER}:{CANARY}@host"]',
        f'lfs.url = "ssh://{USER}:{CANARY}@h"',
    ):
        cage.plant(cage.treeship.user_file, f"{text}\n")
        assert cage.run(text, *words).code == 2
    cage.treeship.user_file.unlink()
    cage.plant(cage.treeship.docker_config / "config.json", f'{{"auths": {{"{registry.host}": "{CANARY}"')
    registry.faults[:] = [faults.Status(401)]
    assert cage.run("malformed login", *words, "--to", f"{registry.host}/app:y").code == 2
    assert cage.found(registry.store) == []


def test_a_bug_does_not_tell_what_it_had_in_hand(cage: Cage, made: ThrowAwayRepository) -> None:
    """The last line of defence shows kinds and places, not texts and values."""
    program = (
        "import sys\nfrom ci import __main__ as ours\n"
        "class Broken:\n    words = 'build'\n    module = 'broken'\n    summary = 'x'\n"
        "class Module:\n    EXAMPLE = ''\n"
        "    @staticmethod\n    def configure(parser): pass\n"
        f"    @staticmethod\n    def run(arguments, console): raise RuntimeError('{CANARY}')\n"
        "sys.modules['broken'] = Module\n"
        "ours.VERBS = (Broken,)\n"
        "sys.exit(ours.main(['build']))\n"
    )
    done = subprocess.run(
        [cage.treeship.argv[0], "-c", program],
        env=cage.treeship.environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 70
    assert b"RuntimeError" in done.stderr
    assert not sings(done.stdout + done.stderr)
