"""Git LFS: pointers stay pointers, and content that is asked for arrives verified, or nothing is sent."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from random import Random

import pytest

from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.repositories import File, ThrowAwayRepository
from tests.end_to_end.helpers import Json, Treeship, edited, snapshot
from tests.end_to_end.programs import pointer
from tests.rigs import lfs_server as rig
from tests.rigs.lfs_server import LfsServer
from tests.rigs.process import run

MODEL, DATA = Random(1).randbytes(3_000_000), b"1,2,3\n" * 1000
FILES: Mapping[str, bytes | File] = {
    ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.csv filter=lfs\n",
    "models/a.bin": pointer(MODEL),
    "data/d.csv": pointer(DATA),
    "train.py": b"print(1)\n",
}
INCLUDE = b'[lfs]\ninclude = ["models/"]\n'


def held(layout: Path, result: Json) -> dict[str, bytes]:
    """Every file of the commit's layers, by path."""
    found = {}
    for layer in result["layers"]:
        raw = (layout / "blobs/sha256" / layer["digest"].removeprefix("sha256:")).read_bytes()
        with tarfile.open(fileobj=BytesIO(gzip.decompress(raw))) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                if stream is not None:
                    found[member.name] = stream.read()
    return found


def store(repository: ThrowAwayRepository, *contents: bytes) -> None:
    """Put content where git-lfs keeps it."""
    for content in contents:
        oid = hashlib.sha256(content).hexdigest()
        file = repository.directory / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return tmp_path / "layout"


@pytest.fixture
def words(tiny_base: Path, layout: Path) -> list[str]:
    return ["--base", f"oci:{tiny_base}", "--to", f"oci:{layout}:it"]


def test_without_a_word_pointers_stay_pointers_and_are_listed(
    treeship: Treeship, repository: ThrowAwayRepository, layout: Path, words: list[str]
) -> None:
    """Though the content is here, and though git-lfs itself would put it into a work tree."""
    repository.commit(FILES)
    store(repository, MODEL, DATA)
    result = treeship.build(repository.directory, *words)
    assert held(layout, result) == {f"app/{name}": content for name, content in FILES.items()}
    assert result["lfs_pointers"] == [
        {
            "path": "data/d.csv",
            "oid": hashlib.sha256(DATA).hexdigest(),
            "size": len(DATA),
            "ships": "pointer",
        },
        {
            "path": "models/a.bin",
            "oid": hashlib.sha256(MODEL).hexdigest(),
            "size": len(MODEL),
            "ships": "pointer",
        },
    ]
    table = treeship("build", "--repo", repository.directory, *words).out
    assert "LFS pointer  models/a.bin  3.0 MB" in table


def test_pointers_are_left_out_where_a_setting_says_so(
    treeship: Treeship, repository: ThrowAwayRepository, layout: Path, words: list[str]
) -> None:
    repository.commit({**FILES, "treeship.toml": INCLUDE + b'pointers = "drop"\n'})
    store(repository, MODEL)
    result = treeship.build(repository.directory, *words)
    assert set(held(layout, result)) == {
        "app/.gitattributes",
        "app/treeship.toml",
        "app/train.py",
        "app/models/a.bin",
    }


def test_included_content_comes_from_the_local_store_into_a_layer_of_its_own(
    treeship: Treeship, repository: ThrowAwayRepository, layout: Path, words: list[str]
) -> None:
    repository.commit({**FILES, "treeship.toml": INCLUDE})
    store(repository, MODEL)
    result = treeship.build(repository.directory, *words)
    found = held(layout, result)
    assert found["app/models/a.bin"] == MODEL
    assert found["app/data/d.csv"] == FILES["data/d.csv"]
    (apart,) = [layer for layer in result["layers"] if layer["name"].startswith("lfs-")]
    assert apart["paths"] == 1
    assert apart["size"] > len(MODEL)


@pytest.mark.rig
def test_included_content_comes_from_the_server_in_one_batch(
    treeship: Treeship, repository: ThrowAwayRepository, layout: Path, words: list[str], lfs_server: LfsServer
) -> None:
    repository.commit({**FILES, "treeship.toml": b'[lfs]\ninclude = ["*"]\n'})
    for content in (MODEL, DATA):
        lfs_server.add(content)
    result = treeship.build(repository.directory, *words, "--lfs-url", lfs_server.url)
    found = held(layout, result)
    assert (found["app/models/a.bin"], found["app/data/d.csv"]) == (MODEL, DATA)
    assert [request.method for request in lfs_server.requests] == ["POST", "GET", "GET"]
    edited(repository, {"train.py": b"print(2)\n"})
    treeship.build(repository.directory, *words, "--lfs-url", lfs_server.url)
    assert len(lfs_server.requests) == 3, "a layer that is known needs no content"


@pytest.mark.rig
def test_what_git_lfs_itself_has_pushed_arrives(
    treeship: Treeship, tmp_path: Path, layout: Path, words: list[str], lfs_server: LfsServer
) -> None:
    """The pointers, the objects and the upload are git-lfs's own; the clone that is built has no objects."""
    rig.install()
    author, origin, clone = (
        tmp_path / "author",
        ThrowAwayRepository(tmp_path / "origin", bare=True),
        tmp_path / "clone",
    )
    git = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_LFS_SKIP_SMUDGE": "1"}
    run(["git", "init", "-q", "-b", "main", author])
    for name, value in (
        ("lfs.url", lfs_server.url),
        ("remote.origin.url", origin.url),
        ("user.name", "A"),
        ("user.email", "a@b.c"),
    ):
        run(["git", "config", name, value], cwd=author)
    for command in (["install", "--local"], ["track", "*.bin"]):
        run(["git", "lfs", *command], cwd=author, env=git)
    (author / "model.bin").write_bytes(MODEL)
    (author / "treeship.toml").write_text('[lfs]\ninclude = ["*.bin"]\n')
    run(["git", "add", "."], cwd=author, env=git)
    run(["git", "commit", "-q", "-m", "a model"], cwd=author, env=git)
    run(["git", "push", "-q", "origin", "main"], cwd=author, env=git)
    assert lfs_server.objects.keys() == {hashlib.sha256(MODEL).hexdigest()}
    run(["git", "clone", "-q", "--bare", origin.url, clone], env=git)
    result = treeship.build(clone, *words, "--lfs-url", lfs_server.url)
    assert held(layout, result)["app/model.bin"] == MODEL


def test_both_roads_give_one_digest(
    treeship: Treeship,
    repository: ThrowAwayRepository,
    words: list[str],
    lfs_server: LfsServer,
    tmp_path: Path,
) -> None:
    repository.commit({**FILES, "treeship.toml": INCLUDE})
    lfs_server.add(MODEL)
    far = Treeship(tmp_path / "far").build(repository.directory, *words, "--lfs-url", lfs_server.url)
    store(repository, MODEL)
    near = treeship.build(repository.directory, *words)
    assert near["digest"] == far["digest"]


@pytest.mark.parametrize("fault", ["missing", "corrupt", "another size"])
def test_without_the_right_content_nothing_is_sent(
    treeship: Treeship, repository: ThrowAwayRepository, registry: InProcessRegistry, tiny_base: Path,
    lfs_server: LfsServer, fault: str,
) -> None:  # fmt: skip
    """The message names path, object and remedy."""
    repository.commit({**FILES, "treeship.toml": INCLUDE})
    oid = hashlib.sha256(MODEL).hexdigest()
    if fault == "corrupt":
        lfs_server.add(MODEL)
        lfs_server.faults.corrupt.add(oid)
    if fault == "another size":
        lfs_server.objects[oid] = MODEL[:-1]
    ran = treeship(
        "build", "--repo", repository.directory, "--base", f"oci:{tiny_base}", "--lfs-url", lfs_server.url,
        "--to", f"docker://{registry.host}/app:it", code=2,
    )  # fmt: skip
    assert "models/a.bin" in ran.err
    assert oid in ran.err
    assert "hint: " in ran.err
    assert not [entry for entry in registry.log if entry.method not in ("GET", "HEAD")]


def test_a_damaged_local_object_is_not_used(
    treeship: Treeship, repository: ThrowAwayRepository, layout: Path, words: list[str], lfs_server: LfsServer
) -> None:
    """It is fetched where it can be; else it is an error."""
    repository.commit({**FILES, "treeship.toml": INCLUDE})
    store(repository, MODEL)
    (file,) = (repository.directory / ".git/lfs/objects").glob("*/*/*")
    file.write_bytes(MODEL[:-1] + b"?")
    ran = treeship("build", "--repo", repository.directory, *words, code=2)
    assert "models/a.bin" in ran.err
    assert not layout.exists()


def test_the_commit_cannot_say_where_content_comes_from(
    treeship: Treeship, repository: ThrowAwayRepository, words: list[str], lfs_server: LfsServer
) -> None:
    """Neither .lfsconfig nor the settings of the commit: whoever wrote it would get the credentials of the build."""
    lfsconfig = f'[lfs]\n\turl = {lfs_server.url}\n[remote "origin"]\n\tlfsurl = {lfs_server.url}\n'.encode()
    settings = INCLUDE + f'url = "{lfs_server.url}"\n'.encode()
    repository.commit({**FILES, ".lfsconfig": lfsconfig, "treeship.toml": settings}, branch="feature")
    lfs_server.add(MODEL)
    ran = treeship("build", "feature", "--repo", repository.directory, *words, code=2)
    assert "models/a.bin" in ran.err
    assert "lfs.url in treeship.toml" in ran.err
    assert lfs_server.requests == []


def test_explain_fetches_what_it_has_to_measure_and_keeps_nothing_of_it(
    treeship: Treeship,
    repository: ThrowAwayRepository,
    tmp_path: Path,
    words: list[str],
    lfs_server: LfsServer,
) -> None:
    repository.commit({**FILES, "treeship.toml": INCLUDE})
    lfs_server.add(MODEL)
    before = snapshot(tmp_path)
    command = ["--repo", str(repository.directory), *words, "--lfs-url", lfs_server.url, "--json"]
    told = treeship("explain", *command).json
    assert snapshot(tmp_path) == before
    done = treeship("build", *command).json
    assert told["layers"] == done["layers"]
    assert told["digest"] == done["digest"]
