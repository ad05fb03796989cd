"""Wrong input of every kind ends with a documented exit code and a message that a person can act on.

Every test goes through `complains`: no traceback, an error and a hint on stderr, nothing on stdout. The rest
of each test says what must not have happened: a tag moved, a layout half made.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple

import pytest

from buildkit.testing.registry import InProcessRegistry, Password, faults
from buildkit.testing.registry.exchange import Exchange, Reply
from buildkit.testing.registry.store import Store
from buildkit.testing.repositories import File, ThrowAwayRepository, TreeItem, link, submodule
from tests.end_to_end.helpers import Ran, Treeship, snapshot
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.fixtures import Start
from tests.rigs.small_disk import SmallDisk

FILES = {"train.py": b"print('hello')\n", "data/a.txt": b"a\n"}


def complains(ran: Ran, code: int, *says: str) -> None:
    """The error is one for a person: this code, these words, a way out, and nothing for a machine to misread."""
    said = f"exit code {ran.code}\n{ran.out}\n{ran.err}"
    assert ran.code == code, said
    assert ran.out == "", said
    assert "Traceback" not in ran.err, said
    assert "a bug of treeship" not in ran.err, said
    assert "error: " in ran.err, said
    assert "hint: " in ran.err or "usage: " in ran.err, said
    for words in says:
        assert words in ran.err, f"{words!r} is missing: {said}"


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
        files |= {"treeship.toml": b'base = "scratch"\n', "pyproject.toml": b'[tool.treeship]\nprefix = "/a"\n'}
    repository.commit(files)
    began = time.monotonic()
    complains(treeship("build", "--repo", repository.directory, "--json", code=None), 2, *says)
    assert time.monotonic() - began < 20


ODD_SETTINGS: dict[str, tuple[Callable[[ThrowAwayRepository], File], str]] = {
    "a symbolic link": (lambda _: link(b"base = 'scratch'"), "symbolic link"),
    "a link out of the tree": (lambda _: link(b"/etc/passwd"), "symbolic link"),
}


@pytest.mark.parametrize("name", ODD_SETTINGS)
def test_settings_that_are_no_file_are_refused(name: str, treeship: Treeship, repository: ThrowAwayRepository) -> None:
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


def _peak(treeship: Treeship, *words: str) -> tuple[int, int, str]:
    """The most memory of the process or of any that it waited for, in bytes; its exit code; its stderr."""
    running = treeship.start(*words)
    assert running.stderr is not None
    err = running.stderr.read().decode()
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    running.communicate()
    return usage.ru_maxrss * 1024, running.returncode, err


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
    repository.commit({**FILES, "treeship.toml": b'to = ["oci:stolen:x"]\ninsecure = ["evil.example"]\n[lfs]\nurl = "http://evil.example"\n'})
    repository.git("remote", "add", "origin", str(tmp_path / "nowhere"))
    ran = treeship("build", "--repo", repository.directory, "--base", "scratch", "--to", "oci:right:x", code=0)
    for name in ("to", "insecure", "lfs.url"):
        assert f"note: {name} in treeship.toml at commit" in ran.err
    assert not (treeship.home / "stolen").exists()


def test_a_wrong_user_file_is_named(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """With the key and what it should have been."""
    for text, says in (("job = 3\n", "'jobs'"), ("jobs = 'x'\n", "whole number"), ("base = 'scratch'\n", "the commit alone")):
        treeship.user_file.write_text(text)
        complains(treeship("build", "--repo", made.directory, "--json", code=None), 2, str(treeship.user_file), says)


# Trees and objects


def _tree(repository: ThrowAwayRepository, *names: bytes, mode: bytes = b"100644") -> str:
    blob = repository.blob(b"x")
    return repository.tree([TreeItem(mode, name, blob) for name in names])


TREES: dict[str, tuple[Callable[[ThrowAwayRepository], str], tuple[str, ...]]] = {
    ".git": (lambda r: _tree(r, b".git"), ("malformed", ".git")),
    ".GIT": (lambda r: _tree(r, b".GIT"), ("malformed", ".GIT")),
    "..": (lambda r: _tree(r, b".."), ("malformed", "..")),
    ".": (lambda r: _tree(r, b"."), ("malformed",)),
    "a slash": (lambda r: _tree(r, b"a/../../b"), ("malformed",)),
    "an absolute name": (lambda r: _tree(r, b"/etc/passwd"), ("malformed",)),
    "twice": (lambda r: _tree(r, b"a", b"a"), ("malformed", "twice")),
    "out of order": (lambda r: _tree(r, b"b", b"a"), ("malformed",)),
    "a long name": (lambda r: _tree(r, b"n" * 300), ("malformed", "overlong")),
    "a whiteout": (lambda r: _tree(r, b".wh.passwd"), (".wh.",)),
    "an opaque whiteout": (lambda r: _tree(r, b".wh..wh..opq"), (".wh.",)),
    "a device": (lambda r: _tree(r, b"a", mode=b"020000"), ("submodule",)),  # as git itself reads it
    "a submodule": (lambda r: r.tree([TreeItem(b"160000", b"sub", "1" * 40)]), ("sub is a submodule", "skip")),
    "a blob for a tree": (lambda r: r.tree([TreeItem(b"40000", b"sub", r.blob(b"x"))]), ("git",)),
    "a tree for a blob": (lambda r: r.tree([TreeItem(b"100644", b"a", _tree(r, b"b"))]), ("a is a tree",)),
    "a missing blob": (lambda r: r.tree([TreeItem(b"100644", b"a", "1" * 40)]), ("missing", "fsck")),
    "a missing tree": (lambda r: r.tree([TreeItem(b"40000", b"a", "1" * 40)]), ("fsck",)),
    "no tree at all": (lambda _: "1" * 40, ("fsck",)),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_a_hostile_tree_is_refused_before_anything_is_written(
    name: str, treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """Names that leave the tree, hide files of the base, or confuse who unpacks them; and trees with holes."""
    make, says = TREES[name]
    commit = repository.commit_tree(make(repository))
    complains(treeship("build", commit, "--repo", repository.directory, "--json", code=None), 2, *says)
    assert not (treeship.home / ".treeship").exists()


def _damage_loose(repository: ThrowAwayRepository, oid: str) -> None:
    file = repository.directory / ".git" / "objects" / oid[:2] / oid[2:]
    data = bytearray(file.read_bytes())
    file.chmod(0o600)
    for at in range(len(data) // 2, min(len(data) // 2 + 4, len(data))):
        data[at] ^= 0xFF
    file.write_bytes(data)


def _damage_pack(repository: ThrowAwayRepository, _oid: str) -> None:
    repository.git("repack", "-adq")
    (pack,) = (repository.directory / ".git" / "objects" / "pack").glob("*.pack")
    data = bytearray(pack.read_bytes())
    pack.chmod(0o600)
    for at in range(len(data) // 3, 2 * len(data) // 3):
        data[at] ^= 0xFF
    pack.write_bytes(data)


@pytest.mark.parametrize("kind", ["loose", "packed"])
@pytest.mark.parametrize("object_", ["blob", "tree", "commit"])
def test_a_corrupt_object_is_named_and_nothing_is_built_of_it(
    kind: str, object_: str, treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """Whether git finds it by its checksum or we do by its size."""
    noise = random.Random(3).randbytes(100_000)
    blob = repository.blob(noise)
    tree = repository.tree([TreeItem(b"100644", b"noise", blob)])
    commit = repository.commit_tree(tree)
    damage = _damage_loose if kind == "loose" else _damage_pack
    damage(repository, {"blob": blob, "tree": tree, "commit": commit}[object_])
    if kind == "packed" and object_ != "blob":
        pytest.skip("one pack holds all three, and is damaged where the blob is")
    ran = treeship("build", "--repo", repository.directory, "--json", code=None)
    complains(ran, 2, "git fsck")
    assert not (treeship.home / ".treeship" / "oci" / "index.json").exists()


def test_history_that_a_shallow_clone_lacks_is_explained(
    treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path
) -> None:
    """The remedy is git's, and named."""
    for number in range(7):
        repository.commit({"n": b"%d" % number})
    shallow = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth=1", repository.url, str(shallow))
    ran = treeship("build", "HEAD~5", "--repo", shallow, "--json", code=None)
    complains(ran, 2, "no commit 'HEAD~5'", "git fetch --unshallow")


def test_a_repository_of_another_user_is_explained(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """git refuses it, and the hint is the command that allows it."""
    for path in (made.directory, made.directory / ".git"):
        os.chown(path, 12345, 12345)
    ran = treeship("build", "--repo", made.directory, "--json", code=None)
    complains(ran, 2, "belongs to another user", "safe.directory")


# Registries


class Answering(NamedTuple):
    """How a registry misbehaves, and what is said of it."""

    fault: Callable[[], faults.Fault]
    code: int
    says: tuple[str, ...]


class Redirects(faults.Fault):
    """Sends all reading requests elsewhere."""

    def __init__(self, location: str, verb: str = "") -> None:
        super().__init__(verb)
        self._location = location

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        """The redirect."""
        return Reply(307, {"location": self._location}) if self.strikes(exchange) else reply


def _nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


ANSWERS = {
    "401": Answering(lambda: faults.Status(401), 2, ("docker login",)),
    "403": Answering(lambda: faults.Status(403), 2, ("docker login",)),
    "404": Answering(lambda: faults.Status(404), 2, ("check the name",)),
    "418": Answering(lambda: faults.Status(418), 2, ("does not accept",)),
    "429": Answering(lambda: faults.Status(429, retry_after="0"), 4, ("try again later",)),
    "500": Answering(lambda: faults.Status(500), 4, ("try again later",)),
    "503": Answering(lambda: faults.Status(503, retry_after="0"), 4, ("try again later",)),
    "resets": Answering(faults.DropBefore, 4, ("was lost", "try again")),
    "redirects to itself": Answering(lambda: Redirects("/v2/base/manifests/latest"), 2, ("redirects without end",)),
    "redirects to a file": Answering(lambda: Redirects("file:///etc/passwd"), 2, ("hint",)),
    "redirects to metadata": Answering(lambda: Redirects("http://169.254.169.254/latest"), 2, ("metadata",)),
    "redirects to plain HTTP": Answering(lambda: Redirects("http://registry.invalid/x"), 2, ("plain HTTP",)),
    "redirects to a bad port": Answering(lambda: Redirects("http://127.0.0.1:99999/x"), 2, ("hint",)),
    "no JSON": Answering(lambda: faults.ManifestBytes(b"<html>", honest=True), 2, ("not JSON",)),
    "a list": Answering(lambda: faults.ManifestBytes(b"[]", honest=True), 2, ("not a JSON object",)),
    "deep JSON": Answering(lambda: faults.ManifestBytes(_nested(100_000), honest=True), 2, ("not JSON",)),
    "huge": Answering(lambda: faults.ManifestBytes(b" " * (5 << 20), honest=True), 2, ("larger than",)),
    "not UTF-8": Answering(lambda: faults.ManifestBytes(b'{"mediaType": "\xff"}', honest=True), 2, ("not JSON",)),
    "a long number": Answering(
        lambda: faults.ManifestBytes(b'{"layers": ' + b"9" * 10_000 + b"}", honest=True), 2, ("not JSON",)),
    "another digest": Answering(lambda: faults.ManifestBytes(b"{}"), 2, ("digest",)),
    "another digest claimed": Answering(
        lambda: faults.DigestHeader("GET manifest", "sha256:" + "0" * 64), 2, ("digest",)),
    "no image": Answering(lambda: faults.ManifestBytes(b'{"mediaType": "text/plain"}', honest=True), 2, ("not an image",)),
    "wrong types": Answering(
        lambda: faults.ManifestBytes(b'{"config": [], "layers": {"a": 1}}', honest=True), 2, ("layers",)),
    "wrong sizes": Answering(
        lambda: faults.ManifestBytes(
            b'{"config": {"digest": "sha256:%s", "size": -1}, "layers": []}' % (b"0" * 64), honest=True),
        2, ("descriptor is malformed",)),
    "corrupt blobs": Answering(lambda: faults.BlobBytes("corrupt"), 2, ("gave other content",)),
    "short blobs": Answering(lambda: faults.BlobBytes("short"), 2, ("hint",)),
    "long blobs": Answering(lambda: faults.BlobBytes("long"), 2, ("hint",)),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_a_base_that_a_registry_does_not_give_is_explained(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, registry: InProcessRegistry
) -> None:
    """By status, by lost connections, by answers that are no image."""
    answering = ANSWERS[name]
    base = f"docker://{registry.host}/base:latest"
    treeship("copy", f"oci:{tiny_base}", base)
    registry.faults.append(answering.fault())
    ran = treeship("build", "--repo", made.directory, "--base", base, "--json", code=None)
    complains(ran, answering.code, *answering.says)
    assert not (treeship.home / ".treeship").exists()


TARGETS = {
    "401": (lambda: faults.Status(401, "POST uploads"), 2),
    "403": (lambda: faults.Status(403, "POST uploads"), 2),
    "405": (lambda: faults.Status(405, "PUT upload"), 2),
    "413": (lambda: faults.TooLarge(10), 2),
    "429": (lambda: faults.Status(429, "PUT upload", retry_after="0"), 4),
    "500": (lambda: faults.Status(500, "PUT manifest"), 4),
    "507": (lambda: faults.Status(507, "PUT upload"), 4),
    "resets": (lambda: faults.DropBefore("PUT upload"), 4),
    "redirected uploads": (lambda: Redirects("http://169.254.169.254/", "POST uploads"), 4),
    "no location": (lambda: NoLocation("POST uploads"), 2),
    "a strange location": (lambda: NoLocation("POST uploads", "gopher://x"), 2),
    "a location elsewhere": (lambda: NoLocation("POST uploads", "http://169.254.169.254/"), 2),
}  # fmt: skip


class NoLocation(faults.Fault):
    """Uploads go nowhere, or where they should not."""

    def __init__(self, verb: str, location: str = "") -> None:
        super().__init__(verb)
        self._location = location

    def after(self, exchange: Exchange, reply: Reply, store: Store) -> Reply:
        """Another location."""
        return reply.with_headers(Location=self._location or None) if self.strikes(exchange) else reply


@pytest.mark.parametrize("name", TARGETS)
def test_a_push_that_a_registry_refuses_leaves_no_tag(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, registry: InProcessRegistry
) -> None:
    """Neither the commit's nor the one that was asked for; and the next push, when all is well, finds its way."""
    make, code = TARGETS[name]
    registry.faults.append(make())
    words = ("build", "--repo", made.directory, "--base", f"oci:{tiny_base}", "--to", f"{registry.host}/app:main", "--json")
    complains(treeship(*words, code=None), code)
    assert registry.store.repository("app").tags == {}
    registry.faults.clear()
    pushed = treeship(*words).json
    assert set(registry.store.repository("app").tags.values()) == {pushed["digest"]}
    assert registry.store.incomplete() == []


def test_a_registry_that_is_down_or_silent_is_named(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """Exit code 4: trying again may help. The time-outs are those that were asked for."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        words = ("build", "--repo", made.directory, "--base", f"docker://{host}/base", "--json", "--read-timeout", "0.3")
        began = time.monotonic()
        complains(treeship(*words, code=None), 4, f"{host} did not answer in time")
        assert time.monotonic() - began < 10
    complains(treeship(*words, code=None), 4, f"{host} refuses connections", "running")
    unknown = (*words[:4], "docker://registry.invalid/base", "--json")
    complains(treeship(*unknown, code=None), 4, "registry.invalid", "not known")


def test_a_registry_that_nobody_answers_for_is_given_up_in_time(
    treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """--connect-timeout is kept: a full backlog on loopback drops what comes, as firewalls do."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, _full(server):
        host = f"127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        ran = treeship("build", "--repo", made.directory, "--base", f"docker://{host}/base", "--connect-timeout", "0.3", code=None)
        complains(ran, 4, f"{host} did not answer in time")
        assert time.monotonic() - began < 10


@contextmanager
def _full(server: socket.socket) -> Iterator[None]:
    waiting = []
    for _ in range(8):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(server.getsockname())
        waiting.append(client)
    try:
        yield
    finally:
        for client in waiting:
            client.close()


def test_an_unknown_authority_is_explained(treeship: Treeship, made: ThrowAwayRepository, start: Start) -> None:
    """And --ca-file is the way out of it, which a file that is no certificate is not."""
    registry = start(DockerRegistry(tls=True))
    words = ("build", "--repo", made.directory, "--base", "scratch", "--to", f"{registry.host}/app:x", "--json")
    complains(treeship(*words, code=None), 2, "certificate", "ca_file")
    complains(treeship(*words, "--ca-file", made.directory / "train.py", code=None), 2, "CA file")
    assert treeship(*words, "--ca-file", str(registry.ca_file)).json["digest"]


def test_a_login_that_does_not_fit_is_explained(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """None, a wrong one, a malformed file: the host is named, what was tried is not."""
    with InProcessRegistry(access=Password("me", "right")) as registry:
        words = ("build", "--repo", made.directory, "--base", "scratch", "--to", f"{registry.host}/app:x", "--json")
        complains(treeship(*words, code=None), 2, f"docker login {registry.host}", "no credentials")
        for text, says in (
            ('{"auths": {"HOST": {"auth": "bWU6d3Jvbmc="}}}', "docker login"),
            ('{"auths": {"HOST": {"auth": "!"}}}', "docker login"),
            ('{"auths": [', "malformed"),
            ('{"auths": [1]}', "malformed"),
            ('{"credsStore": "nowhere"}', "docker-credential-nowhere"),
            ('{"credsStore": "../../bin/sh"}', "plain word"),
            ('{"credHelpers": {"HOST": ["x"]}}', "config.json"),
        ):
            (treeship.docker_config / "config.json").write_text(text.replace("HOST", registry.host))
            complains(treeship(*words, code=None), 2, says)
        assert registry.store.repositories == {}


# Configs of hostile bases


CONFIGS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "no platform": (b'{"rootfs": {"diff_ids": []}}', ("operating system or architecture",)),
    "no rootfs": (b'{"os": "linux", "architecture": "amd64"}', ("diff_ids",)),
    "too many layers": (b'{"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ["sha256:%s"]}}' % (b"0" * 64), ("layers",)),
    "Env of numbers": (b'{"os": "linux", "architecture": "amd64", "config": {"Env": [1]}, "rootfs": {"diff_ids": []}}', ("not text",)),
    "Env of text": (b'{"os": "linux", "architecture": "amd64", "config": {"Env": "A=B"}, "rootfs": {"diff_ids": []}}', ("Env",)),
    "Labels of numbers": (b'{"os": "linux", "architecture": "amd64", "config": {"Labels": {"a": 1}}, "rootfs": {"diff_ids": []}}', ("not text",)),
    "a config of text": (b'{"os": "linux", "architecture": "amd64", "config": "x", "rootfs": {"diff_ids": []}}', ("not an object",)),
    "history of text": (b'{"os": "linux", "architecture": "amd64", "history": "x", "rootfs": {"diff_ids": []}}', ("history",)),
    "half a surrogate": (b'{"os": "linux", "architecture": "amd64", "author": "\\ud800", "rootfs": {"diff_ids": []}}', ("canonical",)),
    "NaN": (b'{"os": "linux", "architecture": "amd64", "x": NaN, "rootfs": {"diff_ids": []}}', ("canonical",)),
    "deep": (b'{"os": "linux", "architecture": "amd64", "x": ' + _nested(50_000) + b', "rootfs": {"diff_ids": []}}', ("JSON",)),
    "a platform of two lines": (b'{"os": "linux\\n", "architecture": "amd64", "rootfs": {"diff_ids": []}}', ("platform",)),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_of_a_hostile_base_is_refused(
    name: str, treeship: Treeship, made: ThrowAwayRepository, registry: InProcessRegistry
) -> None:
    """Values of the wrong type, or that no runtime could take."""
    raw, says = CONFIGS[name]
    config = registry.store.add_blob("base", raw)
    manifest = b'{"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "%s", "size": %d}, "layers": []}' % (config.encode(), len(raw))
    registry.store.add_manifest("base", manifest, "application/vnd.oci.image.manifest.v1+json", "latest")
    ran = treeship("build", "--repo", made.directory, "--base", f"{registry.host}/base", "--json", code=None)
    complains(ran, 2, *says)
    assert not (treeship.home / ".treeship").exists()


# Layouts that somebody has prepared


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _linked(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def _manifest_of(layout: Path) -> Path:
    from json import loads

    digest = loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "a FIFO for the index": lambda layout: _fifo(layout / "index.json"),
    "a link for the index": lambda layout: _linked(layout / "index.json"),
    "a folder for the index": lambda layout: ((layout / "index.json").unlink(), (layout / "index.json").mkdir()) and None,
    "a FIFO for oci-layout": lambda layout: _fifo(layout / "oci-layout"),
    "a link for the blobs": lambda layout: _linked(layout / "blobs" / "sha256"),
    "a FIFO for a manifest": lambda layout: _fifo(_manifest_of(layout)),
    "a link for a manifest": lambda layout: _linked(_manifest_of(layout)),
    "a device for a manifest": lambda layout: (_manifest_of(layout).unlink(), _manifest_of(layout).symlink_to("/dev/zero")) and None,
    "another version": lambda layout: (layout / "oci-layout").write_text('{"imageLayoutVersion": "9"}') and None,
    "an index of rubbish": lambda layout: (layout / "index.json").write_text("[1") and None,
    "an index without list": lambda layout: (layout / "index.json").write_text('{"manifests": {}}') and None,
    "an index of numbers": lambda layout: (layout / "index.json").write_text('{"manifests": [{"digest": 1}]}') and None,
    "a huge index": lambda layout: os.truncate(layout / "index.json", 1 << 33),
    "a digest that climbs": lambda layout: (layout / "index.json").write_text(
        '{"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:../../../../etc/passwd", "size": 1}]}') and None,
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_hostile_layout_is_no_base(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is waited for, nothing outside of it is read."""
    layout = tmp_path / "layout"
    subprocess.run(["cp", "-r", tiny_base, layout], check=True)
    LAYOUTS[name](layout)
    complains(treeship("build", "--repo", made.directory, "--base", f"oci:{layout}", "--json", code=None), 2, str(layout))


@pytest.mark.parametrize("name", [name for name in LAYOUTS if "manifest" not in name and "digest" not in name])
def test_a_hostile_layout_is_no_target(
    name: str, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is written through a link, and what was there stays as it was."""
    if name == "an index of numbers":
        pytest.skip("entries of kinds that nobody here knows are kept as they are")
    layout = tmp_path / "layout"
    subprocess.run(["cp", "-r", tiny_base, layout], check=True)
    LAYOUTS[name](layout)
    index = (layout / "index.json").lstat()
    complains(treeship("build", "--repo", made.directory, "--base", "scratch", "--to", f"oci:{layout}:x", "--json", code=None), 2, str(layout))
    assert (layout / "index.json").lstat()[:7] == index[:7]


def test_a_base_named_by_a_commit_is_not_found_through_a_link(
    treeship: Treeship, repository: ThrowAwayRepository, tiny_base: Path
) -> None:
    """Else a pull request could take what lies beside the repository on the machine that builds."""
    repository.commit({**FILES, "treeship.toml": b'base = "oci:near"\n', "near": link(bytes(tiny_base))})
    repository.git("checkout", "-qf", "main")
    ran = treeship("build", "--repo", ".", "--json", cwd=repository.directory, code=None)
    complains(ran, 2, "near", "--base")


# Disks


@contextmanager
def _read_only(disk: SmallDisk) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)


@pytest.fixture
def large(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A commit with 40 MB that cannot be compressed: more than waits in memory, and than a small disk takes."""
    noise = random.Random(1).randbytes(10 << 20)
    repository.git("config", "core.compression", "0")
    repository.commit({f"noise{number}": noise[number:] for number in range(4)})
    return repository


def test_a_full_disk_under_a_layout_is_no_bug_and_leaves_no_image(
    treeship: Treeship, large: ThrowAwayRepository, small_disk: SmallDisk
) -> None:
    """Exit code 4, which place is full, and the layout as it was before."""
    to = f"oci:{small_disk.path}/oci:x"
    words = ("build", "--repo", large.directory, "--base", "scratch", "--to", to, "--json")
    complains(treeship(*words, code=None), 4, f"{small_disk.path}/oci", "free some space")
    assert not (small_disk.path / "oci" / "index.json").exists()
    small = large.commit({"small": b"x"})
    digest = treeship("build", small, *words[1:]).json["digest"]
    complains(treeship("build", "HEAD~1", *words[1:], "--retag", code=None), 4)
    assert treeship("inspect", to, "--json").json["digest"] == digest
    assert [path.name for path in (small_disk.path / "oci").glob(".treeship-*")] == []


def test_a_full_temporary_folder_is_no_bug(
    treeship: Treeship, large: ThrowAwayRepository, small_disk: SmallDisk
) -> None:
    """Layers that wait for their upload need room: exit code 4, and TMPDIR is named."""
    ran = treeship("build", "--repo", large.directory, "--base", "scratch", "--json", env={"TMPDIR": str(small_disk.path)}, code=None)
    complains(ran, 4, "TMPDIR")
    assert list(small_disk.path.iterdir()) == []
    assert not (treeship.home / ".treeship").exists()


@pytest.mark.parametrize("how", ["full", "read only", "a file"])
def test_a_cache_that_cannot_be_written_only_costs_time(
    how: str, treeship: Treeship, made: ThrowAwayRepository, small_disk: SmallDisk
) -> None:
    """The image is the same."""
    words = ("build", "--repo", made.directory, "--base", "scratch", "--json")
    expected = treeship(*words).json["digest"]
    cache = small_disk.path / "cache"
    cache.mkdir()
    if how == "full":
        _fill(small_disk.path / "filler")
        assert treeship(*words, "--cache", cache, "--to", "oci:a:x").json["digest"] == expected
    elif how == "read only":
        with _read_only(small_disk):
            assert treeship(*words, "--cache", cache, "--to", "oci:a:x").json["digest"] == expected
    else:
        assert treeship(*words, "--cache", made.directory / ".git" / "config", "--to", "oci:a:x").json["digest"] == expected


def _fill(file: Path) -> None:
    with file.open("wb", 0) as stream:
        try:
            while True:
                stream.write(bytes(65536))
        except OSError:
            return


@pytest.mark.parametrize("how", ["full", "read only", "a file"])
def test_a_clone_needs_a_cache_that_can_be_written(
    how: str, treeship: Treeship, made: ThrowAwayRepository, small_disk: SmallDisk
) -> None:
    """A repository by URL has nowhere else to go: the cache is named."""
    words = ("build", "--repo", made.url, "--base", "scratch", "--json")
    if how == "a file":
        file = made.directory / ".git" / "config"
        complains(treeship(*words, "--cache", file, code=None), 2, str(file))
    elif how == "full":
        _fill(small_disk.path / "filler")
        complains(treeship(*words, "--cache", small_disk.path, code=None), 4, "space")
    else:
        with _read_only(small_disk):
            complains(treeship(*words, "--cache", small_disk.path, code=None), 2, str(small_disk.path))


def test_output_that_cannot_be_written_is_no_bug(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """/dev/full is a disk without room; a closed stdout is a caller's choice."""
    for words in (["config", "show", "--repo", str(made.directory)], ["--help"]):
        line = " ".join([*treeship.argv, *words])
        complains(_in_shell(treeship, f"{line} >/dev/full"), 4, "standard output", "No space left")
        for redirection in (">&-", "2>&-", "<&- >&- 2>&-"):
            assert _in_shell(treeship, f"{line} {redirection}").code == 0


def _in_shell(treeship: Treeship, line: str) -> Ran:
    done = subprocess.run(["sh", "-c", line], env=treeship.environment(), capture_output=True, check=False)
    return Ran(done.returncode, "", done.stderr.decode())


@pytest.mark.parametrize("words", [("--help",), ("build", "--help"), ("config", "show", "--repo", "REPO"), ("--version",)])
def test_a_reader_that_goes_away_is_no_error(words: tuple[str, ...], treeship: Treeship, made: ThrowAwayRepository) -> None:
    """`| head -1` ends it quietly."""
    line = " ".join([*treeship.argv, *words]).replace("REPO", str(made.directory))
    assert _in_shell(treeship, f"{line} | true").err == ""


def test_names_that_stdout_cannot_encode_are_shown_all_the_same(
    treeship: Treeship, made: ThrowAwayRepository
) -> None:
    """A locale without the letter, or a folder that is no UTF-8: the build has happened, and says so."""
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    for folder in ("größe", os.fsdecode(b"\xff")):
        for env in ({}, plain):
            words = ("build", "--repo", made.directory, "--base", "scratch", "--to", f"oci:{folder}:x")
            ran = treeship(*words, env=env, code=0)
            assert "@sha256:" in ran.out


# The cache


def test_a_damaged_cache_entry_is_healed(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """Whatever is in it instead: cut off, other bytes, empty, a FIFO, a link; the image is the same."""
    words = ("build", "--repo", made.directory, "--base", "scratch", "--json")
    digest = treeship(*words).json["digest"]
    whole = snapshot(treeship.cache)
    entries = [path for path in treeship.cache.rglob("*") if path.is_file() and path.name != "swept"]
    assert entries

    def link_to_zero(path: Path) -> None:
        path.unlink()
        path.symlink_to("/dev/zero")

    damages: list[Callable[[Path], object]] = [
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: path.write_bytes(b"\xff" * 200),
        lambda path: os.truncate(path, 0),
        _fifo,
        link_to_zero,
        lambda path: (path.unlink(), path.mkdir()),
    ]
    for number, damage in enumerate(damages):
        for entry in entries:
            damage(entry)
        assert treeship(*words, "--to", f"oci:{number}:x").json["digest"] == digest
        if number < 3:
            assert snapshot(treeship.cache) == whole, "healed: what was damaged is there again"
        for entry in entries:
            if entry.is_dir():
                entry.rmdir()
            else:
                entry.unlink(missing_ok=True)
        treeship(*words, "--to", f"oci:{number}:x")


def test_the_cache_belongs_to_its_user_alone(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """Whatever the umask: who could write to it could choose what is in images."""
    treeship("build", "--repo", made.directory, "--base", "scratch", before=("sh", "-c", 'umask 0; exec "$@"', "sh"))
    folders = [path for path in (treeship.cache, *treeship.cache.rglob("*")) if path.is_dir()]
    assert [path for path in folders if path.stat().st_mode & 0o077] == []


# Interruption


@pytest.mark.parametrize("number", range(1, 8))
def test_an_interrupt_ends_with_130_and_without_traceback(
    number: int, treeship: Treeship, made: ThrowAwayRepository, tiny_base: Path
) -> None:
    """Ctrl-C while the registry keeps us waiting, be it in one thread or in several."""
    running: list[subprocess.Popen[bytes]] = []
    with InProcessRegistry() as registry:

        def interrupt(count: int, _exchange: Exchange) -> None:
            if count >= number:
                running[0].send_signal(signal.SIGINT)
                registry.wait(30)

        registry.on_request(interrupt)
        words = ("build", "--repo", made.directory, "--base", f"oci:{tiny_base}", "--to", f"{registry.host}/app:x")
        running.append(treeship.start(*words))
        out, err = running[0].communicate(timeout=20)
        assert registry.store.repository("app").tags == {}
    assert running[0].returncode == 130, err
    assert (out, err) == (b"", b"")
