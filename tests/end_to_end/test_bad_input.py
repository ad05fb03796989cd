"""Wrong input of every kind ends with a documented exit code and a message that a person can act on.

Every test goes through `complains`: no traceback, an error and a hint on stderr, nothing on stdout. The rest
of each test says what must not have happened: a tag moved, a layout half made.
"""

from __future__ import annotations

import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.testing.repositories import File, ThrowAwayRepository, link, submodule
from tests.end_to_end.complaints import FILES, complains
from tests.end_to_end.helpers import Treeship


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A repository with one plain commit."""
    repository.commit(FILES)
    return repository


class Case(NamedTuple):
    """A command line in which PLACE stands for a folder with `repository`, `base` and `empty` in it."""

    words: tuple[str, ...]
    says: tuple[str, ...]
    code: int = 2
    env: Mapping[str, str] = {}


BUILD = ("build", "--repo", "PLACE/repository", "--base", "oci:PLACE/base", "--json")
LONG = "t" * 200
COMMAND_LINES = {
    "not a repository": Case(("build", "--repo", "PLACE/empty"), ("not a git repository", "--repo")),
    "no such folder": Case(("build", "--repo", "PLACE/nowhere"), ("not a git repository",)),
    "a file for a repository": Case(("build", "--repo", "PLACE/base/index.json"), ("not a git repository",)),
    "unknown commit": Case((*BUILD, "no-such-branch"), ("no commit 'no-such-branch'", "check the spelling")),
    "unknown id": Case((*BUILD, "1" * 40), ("no commit",)),
    "an empty commit name": Case((*BUILD, ""), ("no commit ''",)),
    "a commit of two lines": Case((*BUILD, "HEAD\nHEAD"), ("not an object name",)),
    "a commit like an option": Case((*BUILD, "--", "--upload-pack=touch${IFS}x"), ("no commit",)),
    "a commit that is no UTF-8": Case((*BUILD, "\udcff"), ("no commit",)),
    "a file of a commit": Case((*BUILD, "HEAD:train.py"), ("no commit",)),
    "unknown variant": Case((*BUILD, "--variant", "gpu"), ("no variant 'gpu'",)),
    "no layout": Case((*BUILD, "--base", "oci:PLACE/nowhere"), ("no OCI layout in", "check the path")),
    "no such tag in a layout": Case((*BUILD, "--base", "oci:PLACE/base:other"), ("no image 'other'", "latest")),
    "wrong platform": Case((*BUILD, "--platform", "linux/s390x"), ("linux/amd64, not for linux/s390x",)),
    "no platform": Case((*BUILD, "--platform", "arm"), ("not a platform: 'arm'", "linux/amd64")),
    "a base from nowhere": Case((*BUILD, "--base", "docker-archive:PLACE/nowhere.tar"), ("nowhere.tar",)),
    "to scratch": Case((*BUILD, "--to", "scratch"), ("an image cannot go to scratch",)),
    "to a digest": Case((*BUILD, "--to", "127.0.0.1:9/a@sha256:" + "0" * 64), ("cannot be sent to a digest",)),
    "to an unknown transport": Case((*BUILD, "--to", "ftp://host/a:b"), ("unknown transport", "oci:")),
    "to capitals": Case((*BUILD, "--to", "127.0.0.1:9/App:x"), ("not an image reference", "lower case")),
    "to nothing": Case((*BUILD, "--to", ""), ("error: ",)),
    "a long tag": Case((*BUILD, "--to", f"127.0.0.1:9/app:{LONG}"), ("not a tag", "at most 128")),
    "a tag of a branch": Case((*BUILD, "--to", "127.0.0.1:9/app:feature/x"), ("not a tag",)),
    "a dangling colon": Case((*BUILD, "--to", "127.0.0.1:9/app:"), ("nothing behind it",)),
    "two lines": Case((*BUILD, "--to", "127.0.0.1:9/app:a\nb"), ("not an image reference",)),
    "a layout without folder": Case((*BUILD, "--to", "oci:"), ("needs a directory",)),
    "an archive without file": Case((*BUILD, "--to", "docker-archive:"), ("needs a file",)),
    "a layout in a repository": Case((*BUILD, "--to", "oci:PLACE/repository"), ("has other things in it",)),
    "a layout in a file": Case((*BUILD, "--to", "oci:PLACE/base/index.json:x"), ("PLACE/base/index.json",)),
    "credentials in --to": Case((*BUILD, "--to", "me:pw@127.0.0.1:9/app:x"), ("holds no credentials",)),
    "jobs": Case((*BUILD, "--jobs", "0"), ("flag --jobs", "at least 1")),
    "no number": Case((*BUILD, "--jobs", "many"), ("flag --jobs", "whole number")),
    "no time": Case((*BUILD, "--read-timeout", "nan"), ("flag --read-timeout", "number of seconds")),
    "an insecure URL": Case((*BUILD, "--insecure", "http://host"), ("without scheme",)),
    "an unknown verb": Case(("biuld",), ("no verb 'biuld'", "treeship build")),
    "an unknown noun": Case(("config", "shw"), ("config show",)),
    "half a verb": Case(("config",), ("config show",)),
    "an unknown flag": Case(("build", "--bse", "x"), ("does not take '--bse'", "did you mean --base?")),
    "a flag that nothing is like": Case(("build", "--frobnicate"), ("--frobnicate", "treeship build --help")),
    "a flag without value": Case(("build", "--base"), ("--base", "expected one argument")),
    "too many words": Case(("build", "a", "b"), ("does not take 'b'",)),
    "a word too few": Case(("copy", "oci:PLACE/base"), ("DST",)),
    "the same for inspect": Case(("inspect", "oci:PLACE/empty"), ("no OCI layout",)),
    "an image that says nothing": Case(("check", "oci:PLACE/base", "--repo", "PLACE/repository"), ("--commit",)),
    "copy from scratch": Case(("copy", "scratch", "oci:PLACE/new:x"), ("scratch",)),
    "a setting in the environment": Case(BUILD, ("TREESHIP_JOBS",), env={"TREESHIP_JOBS": "x"}),
    "no user file": Case(BUILD, ("no settings file", "TREESHIP_CONFIG"), env={"TREESHIP_CONFIG": "PLACE/nowhere"}),
    "a folder for a user file": Case(BUILD, ("cannot read",), env={"TREESHIP_CONFIG": "PLACE/empty"}),
    "PATH without git": Case(BUILD, ("git is not installed",), env={"PATH": "PLACE/empty"}),
    "no temporary folder": Case(BUILD, (), 0, env={"TMPDIR": "PLACE/nowhere"}),
    "no HOME, and a URL": Case(("build", "--repo", "file://PLACE/repository"), ("--cache",),
                               env={"HOME": "", "XDG_CACHE_HOME": ""}),
    "a URL of nothing": Case(("build", "--repo", "file://PLACE/empty"), ("not",)),
    "a URL and a revision": Case(("build", "--repo", "file://PLACE/repository", "HEAD~1"), ("branch",)),
    "a URL and an option": Case(("build", "--repo", "file://PLACE/repository", "--", "--upload-pack=x"), ("branch",)),
    "a URL without the commit": Case(("build", "--repo", "file://PLACE/repository", "nope"), ("nope",)),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_a_wrong_command_line_says_what_to_do(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is written but the cache."""
    case = COMMAND_LINES[name]
    (tmp_path / "empty").mkdir()
    (tmp_path / "base").symlink_to(tiny_base)
    placed = [word.replace("PLACE", str(tmp_path)) for word in case.words]
    env = {key: value.replace("PLACE", str(tmp_path)) for key, value in case.env.items()}
    ran = treeship(*placed, env=env, code=None)
    if case.code == 0:
        assert ran.code == 0, ran.err
        return
    complains(ran, case.code, *(words.replace("PLACE", str(tmp_path)) for words in case.says))
    assert not (treeship.home / ".treeship").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "empty", "home", "repository"]


# Settings


SETTINGS = {
    "an unknown key": (b'bas = "scratch"\n', ("unknown key 'bas'", "'base'")),
    "a wrong type": (b"base = 1\n", ("base: expected text",)),
    "no TOML": (b"base = \n", ("treeship.toml:1", "not TOML")),
    "an absolute base": (b'base = "oci:/etc"\n', ("--base",)),
    "a base above": (b'base = "oci:a/../../b"\n', ("--base",)),
    "a base in an archive": (b'base = "docker-archive:/etc/passwd"\n', ("--base",)),
    "a prefix above": (b'prefix = "/app/../etc"\n', ("prefix", "'..'")),
    "a relative prefix": (b'prefix = "app"\n', ("prefix", "absolute")),
    "a prefix of slashes": (b'prefix = "//etc"\n', ("prefix",)),
    "a prefix with a dot": (b'prefix = "/./etc"\n', ("prefix",)),
    "a prefix with a NUL": (b'prefix = "/a\\u0000b"\n', ("prefix",)),
    "a prefix with a new line": (b'prefix = "/a\\nb"\n', ("prefix",)),
    "a long prefix": (b'prefix = "/' + b"a/" * 100_000 + b'b"\n', ("prefix",)),
    "a whiteout prefix": (b'prefix = "/etc/.wh.passwd"\n', ("prefix", ".wh.")),
    "a working directory above": (b'workdir = "../etc"\n', ("workdir", "'..'")),
    "a PATH of two": (b'path = ["a:b"]\n', ("path", "':'")),
    "half a surrogate": (b'base = "\\ud800"\n', ("treeship.toml:1",)),
    "a NUL in the environment": (b'[environment]\nA = "a\\u0000b"\n', ("environment", "NUL")),
    "a name with an equals sign": (b'[environment]\n"A=B" = "x"\n', ("environment",)),
    "a billion laughs": (b"a = [" + b"[" * 200_000 + b"]" * 200_000 + b"]\n", ("nested too deep",)),
    "deep tables": (b"[" + b".".join([b"a"] * 100_000) + b"]\n", ("64 parts",)),
    "a deep dotted key": (b".".join([b"a"] * 100_000) + b" = 1\n", ("64 parts",)),
    "a number of a million digits": (b"jobs = " + b"9" * 900_000 + b"\n", ("out of range",)),
    "many keys": (b"".join(b"k%d = 1\n" % n for n in range(60_000)), ("unknown key",)),
    "many patterns": (b'exclude = ["' + b"*" * 200_000 + b'"]\n', ("exclude",)),
    "binary junk": (bytes(range(256)) * 40, ("treeship.toml",)),
    "no UTF-8": (b'base = "\xff"\n', ("not UTF-8",)),
    "UTF-16": ('base = "scratch"\n'.encode("utf-16"), ("not UTF-8",)),
    "two mebibytes": (b"#" * (2 << 20), ("2097152 bytes", "at most")),
    "both files": (b"", ("both treeship.toml and [tool.treeship]",)),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_a_hostile_commit_are_refused_quickly(
    name: str, treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """The message names the file, and the key or line; the refusal costs neither time nor memory."""
    data, says = SETTINGS[name]
    files = {**FILES, "treeship.toml": data}
    if not data:
        files |= {
            "treeship.toml": b'base = "scratch"\n',
            "pyproject.toml": b'[tool.treeship]\nprefix = "/a"\n',
        }
    repository.commit(files)
    began = time.monotonic()
    complains(treeship("build", "--repo", repository.directory, "--json", code=None), 2, *says)
    assert time.monotonic() - began < 20


ODD_SETTINGS: dict[str, tuple[Callable[[ThrowAwayRepository], File], str]] = {
    "a symbolic link": (lambda _: link(b"base = 'scratch'"), "symbolic link"),
    "a link out of the tree": (lambda _: link(b"/etc/passwd"), "symbolic link"),
}


@pytest.mark.parametrize("name", ODD_SETTINGS)
def test_settings_that_are_no_file_are_refused(
    name: str, treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """git would hand out a link's target as if it were the file's content."""
    make, says = ODD_SETTINGS[name]
    repository.commit({**FILES, "treeship.toml": make(repository)})
    complains(treeship("build", "--repo", repository.directory, code=None), 2, "treeship.toml", says)


def test_settings_that_are_a_folder_or_a_submodule_are_refused(
    treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """Neither is read, whatever it leads to."""
    first = repository.commit({**FILES, "treeship.toml/base": b"x"})
    complains(treeship("build", "--repo", repository.directory, code=None), 2, "treeship.toml", "tree")
    for commit in (first, "1" * 40):
        repository.commit({**FILES, "treeship.toml": submodule(commit)})
        complains(treeship("build", "--repo", repository.directory, code=None), 2, "treeship.toml")


def test_settings_of_a_gigabyte_are_refused_without_reading_them(
    treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """Under 200 MB for treeship and all that it starts."""
    blob = _zeros(repository, 1 << 30)
    repository.commit_tree(repository.tree([(b"100644", b"treeship.toml", blob)]))
    peak, code, err = _peak(treeship, "build", "--repo", str(repository.directory))
    assert code == 2, err
    assert "treeship.toml in the commit is a blob of 1073741824 bytes" in err
    assert peak < 200 << 20


# A forked process begins with the peak of its parent, so the parent must be a small one: not the test runner.
_MEASURED = """
import os, subprocess, sys
running = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(running.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def _peak(treeship: Treeship, *words: str) -> tuple[int, int, str]:
    """The most memory of the process or of any that it waited for, in bytes; its exit code; its stderr."""
    command = [sys.executable, "-c", _MEASURED, *treeship.argv, *words]
    ran = subprocess.run(command, env=treeship.environment(), capture_output=True, text=True, check=False)
    return int(ran.stdout.splitlines()[-1]) * 1024, ran.returncode, ran.stderr


def _zeros(repository: ThrowAwayRepository, size: int) -> str:
    """A loose blob of so many zeros, without deflating all of them: a block of a stream, again and again."""
    step = 1 << 20
    head = b"blob %d\0" % size
    name, check = sha1(head), zlib.adler32(head)
    block = bytes(step)
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    stream = [b"\x78\x01", packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)]
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(size // step):
        name.update(block)
        check = zlib.adler32(block, check)
    stream += [again] * (size // step) + [packer.flush(zlib.Z_FINISH), check.to_bytes(4, "big")]
    oid = name.hexdigest()
    file = repository.directory / ".git" / "objects" / oid[:2] / oid[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"".join(stream))
    return oid


def test_places_in_a_commit_are_ignored_and_named(
    treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path
) -> None:
    """Where the image goes is not for a pull request to say, nor is what is trusted."""
    repository.commit(
        {
            **FILES,
            "treeship.toml": b'to = ["oci:stolen:x"]\ninsecure = ["evil.example"]\n[lfs]\nurl = "http://evil.example"\n',
        }
    )
    repository.git("remote", "add", "origin", str(tmp_path / "nowhere"))
    ran = treeship(
        "build", "--repo", repository.directory, "--base", "scratch", "--to", "oci:right:x", code=0
    )
    for name in ("to", "insecure", "lfs.url"):
        assert f"note: {name} in treeship.toml at commit" in ran.err
    assert not (treeship.home / "stolen").exists()


def test_a_wrong_user_file_is_named(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """With the key and what it should have been."""
    for text, says in (
        ("job = 3\n", "'jobs'"),
        ("jobs = 'x'\n", "whole number"),
        ("base = 'scratch'\n", "the commit alone"),
    ):
        treeship.user_file.write_text(text)
        complains(
            treeship("build", "--repo", made.directory, "--json", code=None), 2, str(treeship.user_file), says
        )
