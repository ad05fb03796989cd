"""What the end-to-end tests share: the command as a process of its own, small bases, questions to git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from buildkit.testing.repositories import ThrowAwayRepository
from tests.rigs.oci_layout import RootFilesystem, write_layout

ROOT = Path(__file__).parents[2]
# What a caller may have set for git, treeship or the engines must not reach the process.
FOREIGN = ("GIT_", "TREESHIP_", "DOCKER_", "XDG_", "REGISTRY_AUTH_", "PYTHON")
KEPT = ("RIGS_CACHE",)
SECONDS = 300.0
Json = dict[str, Any]


class Ran(NamedTuple):
    """What one run of the command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        """The one object on stdout."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def build_words(
    repository: ThrowAwayRepository, *more: str, verb: str = "build", base: str = "scratch", to: str = ""
) -> tuple[str, ...]:
    """The command line of a build, `more` at its end; without `to` it goes where it goes by default."""
    target = ("--to", to) if to else ()
    return (verb, "--repo", str(repository.directory), "--base", base, *target, *more)


class Treeship:
    """The real command line with a home, settings, cache and logins of its own, all below `home`.

    `env` is added to what every run sees. `argv` and `environment` are for callers that start it themselves.
    """

    def __init__(self, home: Path, env: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.cache = home / "cache" / "treeship"
        self.user_file = home / "config" / "treeship" / "treeship.toml"
        self.docker_config = home / "docker"
        self.env = dict(env or {})
        self.user_file.parent.mkdir(parents=True, exist_ok=True)
        self.docker_config.mkdir(exist_ok=True)

    @property
    def argv(self) -> list[str]:
        """What a command line begins with; -P, so that a user's own folder `ci` is not taken for ours."""
        return [sys.executable, "-P", "-m", "ci"]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Everything that the process sees."""
        kept = {
            name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(FOREIGN)
        }
        own = {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "DOCKER_CONFIG": str(self.docker_config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PYTHONPATH": str(ROOT),
        }
        return kept | own | self.env | dict(extra or {})

    def start(
        self, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start it and do not wait."""
        return subprocess.Popen(
            [*self.argv, *map(str, words)], cwd=cwd or self.home, env=self.environment(env),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        code: int | None = 0,
        before: Sequence[str] = (),
    ) -> Ran:
        """Run it to its end and expect this exit code (None: any). `before` goes before the command: `setpriv …`."""
        done = subprocess.run(
            [*before, *self.argv, *map(str, words)], cwd=cwd or self.home, env=self.environment(env),
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))
        assert code is None or ran.code == code, (
            f"{words}\nexit code {ran.code}, not {code}\n{ran.out}\n{ran.err}"
        )
        return ran

    def build(self, repository: Path | str, *words: str | Path, **options: Any) -> Json:
        """`treeship build --json` of a repository; what it printed."""
        return self("build", "--repo", repository, "--json", *words, **options).json


def tree_of(directory: Path, commit: str = "HEAD") -> dict[bytes, tuple[str, bytes]]:
    """What git itself says a commit holds: mode and content by path, without this project's code in between."""
    listed = _git(directory, "ls-tree", "-r", "-z", "--full-tree", commit)
    found = {}
    for line in listed.split(b"\0")[:-1]:
        head, path = line.split(b"\t", 1)
        mode, kind, oid = head.decode().split()
        found[path] = (mode, _git(directory, "cat-file", kind, oid))
    return found


def _git(directory: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", directory, *words], capture_output=True, check=True).stdout


def tiny_base(
    folder: Path, *architectures: str, files: Mapping[str, bytes] | None = None, tag: str = "latest"
) -> Path:
    """An OCI layout whose `tag` is a base of one small layer, an index where there are several architectures."""
    systems = []
    folder.parent.mkdir(parents=True, exist_ok=True)
    for architecture in architectures or ("amd64",):
        tar = folder.with_name(f"{folder.name}-{architecture}.tar")
        _write_tar(tar, {"etc/os": architecture.encode(), **(files or {})})
        systems.append(RootFilesystem(tar, architecture))
    write_layout(folder, systems, created="2023-11-14T22:13:20Z", tag=tag)
    return folder


def _write_tar(file: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content: equal before and after means that nothing was written."""
    return dict(_contents(folder))


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(folder)), path.read_bytes()
        else:
            yield str(path.relative_to(folder)), b""


def edited(repository: ThrowAwayRepository, changes: Mapping[str, bytes]) -> str:
    """A commit on top of `main` with these files changed and all others kept; its id."""
    before = {
        name.decode(errors="surrogateescape"): content
        for name, (mode, content) in tree_of(repository.directory, "main").items()
        if mode == "100644"
    }
    return repository.commit({**before, **changes})
