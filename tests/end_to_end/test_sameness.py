"""One commit, one digest: whoever builds it, wherever, with whatever is installed there, whatever was built before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.repositories import File, ThrowAwayRepository, executable, link
from tests.end_to_end.helpers import Json, Treeship
from tests.rigs import cpu_models
from tests.rigs.cache import cached
from tests.rigs.cpu_models import MODELS, QEMU
from tests.rigs.process import run

NOBODY = 65534
SETTINGS = b"""\
entrypoint = ["python3", "-m", "train"]
exclude = ["notes/"]
labels = { "\xc3\xa9quipe" = "d\xc3\xa9ep" }
[lfs]
pointers = "keep"
"""
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12\n" % 7


def content() -> dict[bytes, bytes | File]:
    """A tree of every kind of entry, of compressible and incompressible files, some larger than a gzip member."""
    random = Random(7)
    words = [b"alpha", b"beta", b"gamma\n", "δέλτα".encode(), b"\0\xff"]
    return {
        b"treeship.toml": SETTINGS,
        b".gitattributes": b"*.lfs filter=lfs diff=lfs merge=lfs -text\n*.txt export-subst\nhidden export-ignore\n",
        b"model.lfs": POINTER,
        b"hidden": b"git archive would leave this out\n",
        b"subst.txt": b"$Format:%H$\r\n",
        b"notes/left-out.md": b"# not in the image\n",
        "naïve/☃.txt".encode(): b"snow\n",
        b"latin-1 caf\xe9": b"bytes\n",
        b"line\nbreak": b"",
        b"run.sh": executable(b"#!/bin/sh\n"),
        b"link": link(b"../outside"),
        b"text.csv": b"".join(random.choices(words, k=300_000)),
        b"weights.bin": random.randbytes(1_300_000),
        **{b"src/%d/%d.py" % (n % 5, n): b"x = %d\n" % n * (n % 40) for n in range(60)},
    }


class Built(NamedTuple):
    """What is compared: the image's digest, and its layers, so that a difference is one of them."""

    digest: str
    layers: tuple[tuple[str, str], ...]


class Origin(NamedTuple):
    """The commit, and its image as built once in the plainest way. `base` is where everybody may read it."""

    repository: ThrowAwayRepository
    commit: str
    base: Path
    expected: Built


def built(
    treeship: Treeship, origin: Origin, repository: Path | str, *words: str, **options: object
) -> Built:
    """Build it with a cache of its own, into a layout of its own."""
    to = f"oci:{treeship.home}/out:it"
    return of(treeship.build(repository, "--base", f"oci:{origin.base}", "--to", to, *words, **options))


def of(result: Json) -> Built:
    return Built(result["digest"], tuple((layer["name"], layer["digest"]) for layer in result["layers"]))


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A folder that every user of the machine may enter."""
    with TemporaryDirectory(prefix="treeship-sameness-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def origin(tiny_base: Path, public: Path) -> Origin:
    repository = ThrowAwayRepository(public / "origin")
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repository.commit({"older": b"1"})
    commit = repository.commit(content())
    shutil.copytree(tiny_base, public / "base")
    plain = Origin(repository, commit, public / "base", Built("", ()))
    return plain._replace(expected=built(Treeship(public / "plain"), plain, repository.directory))


def clone(origin: Origin, directory: Path, *options: str) -> Path:
    origin.repository.git("clone", "-q", *options, origin.repository.url, str(directory))
    return directory


def git(directory: Path, *words: str) -> None:
    """Without the machine's own settings: its filters would ask for LFS content that is nowhere."""
    run(["git", *words], cwd=directory, env={"GIT_CONFIG_NOSYSTEM": "1"})


def test_the_plain_build_is_what_one_would_think(origin: Origin) -> None:
    assert len(origin.expected.layers) > 10
    assert origin.expected.digest.startswith("sha256:")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--bare",),
        ("--bare", "--filter=blob:none", "--depth=1"),
        ("--filter=tree:0", "--no-checkout"),
        ("--depth=1",),
    ],
    ids=["full", "bare", "bare-blobless-shallow", "treeless", "shallow"],
)
def test_from_any_kind_of_clone(
    origin: Origin, treeship: Treeship, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert built(treeship, origin, clone(origin, tmp_path / "clone", *options)) == origin.expected


@pytest.mark.parametrize("name", ["HEAD", "main", "the id"])
def test_from_a_url(origin: Origin, treeship: Treeship, name: str) -> None:
    named = origin.commit if name == "the id" else name
    assert built(treeship, origin, origin.repository.url, named) == origin.expected


def test_from_a_linked_work_tree_and_from_a_folder_within(
    origin: Origin, treeship: Treeship, tmp_path: Path
) -> None:
    cloned = clone(origin, tmp_path / "clone")
    git(cloned, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    assert built(treeship, origin, tmp_path / "linked") == origin.expected
    words = ["build", "--json", "--base", f"oci:{origin.base}", "--to", f"oci:{tmp_path}/within:it"]
    assert of(treeship(*words, cwd=cloned / "src" / "3").json) == origin.expected


def test_from_a_dirty_work_tree(origin: Origin, treeship: Treeship, tmp_path: Path) -> None:
    """What is changed, staged, removed or untracked there is no part of the commit; neither are its filters."""
    cloned = clone(
        origin, tmp_path / "clone", "--config=core.autocrlf=true", "--config=filter.lfs.smudge=false"
    )
    (cloned / "treeship.toml").write_text("prefix = '/elsewhere'\n")
    (cloned / "src/1/1.py").unlink()
    (cloned / "staged").write_text("staged")
    git(cloned, "add", "staged")
    (cloned / ".git/info/attributes").write_text("* text eol=crlf\n")
    assert built(treeship, origin, cloned) == origin.expected


def test_with_replace_refs_and_grafts(origin: Origin, treeship: Treeship, tmp_path: Path) -> None:
    """They make git show another tree under the same id on this one machine."""
    cloned = clone(origin, tmp_path / "clone", "--bare")
    git(cloned, "replace", origin.commit, f"{origin.commit}~1")
    (cloned / "info").mkdir(exist_ok=True)
    (cloned / "info/grafts").write_text(f"{origin.commit}\n")
    assert built(treeship, origin, cloned) == origin.expected


def test_by_another_user(origin: Origin, public: Path) -> None:
    """He may still read everything: the interpreter of these tests can be anywhere."""
    keeps_reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *keeps_reading]
    treeship = Treeship(public / "nobody")
    cloned = clone(origin, public / "nobody" / "clone")
    for path in [treeship.home, *treeship.home.rglob("*")]:
        os.lchown(path, NOBODY, NOBODY)
    assert built(treeship, origin, cloned, before=become) == origin.expected
    assert (treeship.home / "out" / "index.json").stat().st_uid == NOBODY


@pytest.mark.parametrize("mask", ["000", "077"])
def test_under_another_umask(origin: Origin, treeship: Treeship, tmp_path: Path, mask: str) -> None:
    under = ["sh", "-c", f'umask {mask}; exec "$@"', "sh"]
    cloned = tmp_path / "clone"
    subprocess.run([*under, "git", "clone", "-q", origin.repository.url, cloned], check=True)
    assert built(treeship, origin, cloned, before=under) == origin.expected


@pytest.mark.parametrize(
    "env",
    [
        {"TZ": "Pacific/Kiritimati"},
        {"TZ": "XXX+11:59"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX", "LANG": "tr_TR.UTF-8", "LANGUAGE": "tr"},
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4294967295"},
        {"PYTHONOPTIMIZE": "2"},
        {"SOURCE_DATE_EPOCH": "12345"},
        {"TREESHIP_JOBS": "1"},
        {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "GIT_AUTHOR_DATE": "1"},
    ],
    ids=lambda env: "-".join(f"{name}={value}" for name, value in env.items())[:40],
)
def test_in_another_environment(origin: Origin, treeship: Treeship, env: Mapping[str, str]) -> None:
    assert built(treeship, origin, origin.repository.directory, env=env) == origin.expected


@pytest.mark.rig
def test_with_another_build_of_the_encoder(origin: Origin, treeship: Treeship) -> None:
    older = other_deflate()
    env = {"PYTHONPATH": f"{older}{os.pathsep}{treeship.environment()['PYTHONPATH']}"}
    ask = [sys.executable, "-c", "import deflate; print(deflate.__file__)"]
    assert run(ask, env=env).stdout.startswith(str(older))
    assert built(treeship, origin, origin.repository.directory, env=env) == origin.expected


def other_deflate() -> Path:
    """The wheel of an older release, of another libdeflate, unpacked."""

    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run([*pip, "--only-binary=:all:", f"--target={folder}", "deflate==0.8.0"])

    return cached(f"deflate-0.8.0-{sys.implementation.cache_tag}", install)


def test_with_an_encoder_that_gives_other_bytes_the_layers_are_others_too(
    origin: Origin, treeship: Treeship, tmp_path: Path
) -> None:
    """It is found out before it is used. Its layers have keys of their own, so neither kind is taken for the other."""
    (tmp_path / "deflate.py").write_text(
        "import zlib\nclass DeflateError(Exception): pass\n"
        "def deflate_compress(data, level=6): return zlib.compress(data, 9, -15)\n"
        "def deflate_decompress(data, size): return zlib.decompress(data, -15)\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{treeship.environment()['PYTHONPATH']}"}
    words = ["--base", f"oci:{origin.base}", "--to", f"oci:{treeship.home}/out:it"]
    usual = treeship.build(origin.repository.directory, *words)
    odd = treeship.build(origin.repository.directory, *words, env=env)
    assert of(usual) == origin.expected
    assert {layer["key"] for layer in usual["layers"]}.isdisjoint(layer["key"] for layer in odd["layers"])
    assert [layer["diff_id"] for layer in usual["layers"]] == [layer["diff_id"] for layer in odd["layers"]]
    assert {layer["reason"] for layer in odd["layers"]} == {"new"}


@pytest.mark.rig
@pytest.mark.parametrize("model", MODELS)
def test_on_another_cpu(origin: Origin, treeship: Treeship, model: str) -> None:
    cpu_models.install()
    assert (
        built(treeship, origin, origin.repository.directory, before=[str(QEMU), "-cpu", model])
        == origin.expected
    )


def history(random: Random, length: int) -> Iterator[tuple[dict[bytes, bytes | File], bool]]:
    """Trees, each made from the one before by edits, additions, removals, moves, changes of mode and kind; and
    whether the commit is on a side branch that is merged next."""
    files = {name: value for name, value in content().items() if not name.startswith((b"weights", b"text"))}
    old = dict(files)
    for number in range(length):
        for _ in range(random.randint(1, 6)):
            _edit(random, files, number)
        if number == length // 2:
            files[b"treeship.toml"] = SETTINGS.replace(b'"notes/"', b'"notes/", "src/1/"')
        if number == length // 2 + 3:
            files[b".gitattributes"] = b"*.lfs filter=lfs\n*.ptr filter=lfs\n"
        if number == length - 4:  # as a revert does
            files = dict(old)
        yield dict(files), number % 7 == 3


def _edit(random: Random, files: dict[bytes, bytes | File], number: int) -> None:
    editable = [name for name in sorted(files) if name not in (b"treeship.toml", b".gitattributes")]
    name = random.choice(editable)
    fresh = b"%s/%d-%d" % (
        random.choice([b"src/1", b"src/2", b"new/deep/er", b"notes"]),
        number,
        random.randrange(1000),
    )
    match random.randrange(8):
        case 0 | 1:
            files[name] = b"edited %d\n" % number
        case 2:
            files[fresh + b".py"] = random.randbytes(random.randrange(3000))
        case 3:
            del files[name]
        case 4:
            files[fresh] = files.pop(name)
        case 5:
            files[name] = executable(b"#!/bin/sh\necho %d\n" % number)
        case 6:
            files[name] = link(b"target %d" % number)
        case _:
            files[fresh + b".ptr"] = POINTER


@pytest.mark.parametrize("seed", [20])
def test_an_incremental_build_has_the_digest_of_a_fresh_one(
    registry: InProcessRegistry, tiny_base: Path, repository: ThrowAwayRepository, tmp_path: Path, seed: int
) -> None:
    """Over a random history: with a cache, with nothing, and with nothing but the images of earlier commits."""
    kept = Treeship(tmp_path / "kept")
    base = ["--base", f"oci:{tiny_base}"]
    incremental, fresh, hinted = (
        f"docker://{registry.host}/{name}/app" for name in ("incremental", "fresh", "hinted")
    )
    reasons: dict[str, set[str]] = {"cache": set(), "fresh": set(), "hints": set()}
    for number, commit in enumerate(_commit_all(repository, Random(seed), 20)):
        alone = Treeship(tmp_path / f"alone-{number}")
        results = {
            "cache": kept.build(repository.directory, commit, *base, "--to", incremental),
            "fresh": kept.build(repository.directory, commit, *base, "--to", fresh, "--no-reuse"),
            "hints": alone.build(repository.directory, commit, *base, "--to", hinted, "--reuse-from", hinted),
        }
        assert len({of(result) for result in results.values()}) == 1, (number, commit)
        for road, result in results.items():
            reasons[road] |= {layer["reason"] for layer in result["layers"]}
    assert reasons == {
        "cache": {"new", "changed", "cached"},
        "fresh": {"new"},
        "hints": {"new", "changed", "ancestor"},
    }
    assert registry.store.incomplete() == []


def _commit_all(repository: ThrowAwayRepository, random: Random, length: int) -> Sequence[str]:
    commits: list[str] = []
    side = ""
    for files, aside in history(random, length):
        parents = [oid for oid in (commits[-1] if commits else "", side) if oid]
        side = ""
        oid = repository.commit(files, parents=parents, seconds=1_700_000_000 + len(commits))
        if aside:
            side = repository.commit({**files, b"side": b"%d" % len(commits)}, parents=[oid], branch="side")
        commits.append(oid)
    return commits
