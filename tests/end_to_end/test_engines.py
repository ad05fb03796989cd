"""An image is pushed to two registries of different make, run from there by two engines, and unpacked by umoci.

The program of the commit says what it sees inside (`programs.py`), so that the engines are the judges.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildkit.testing.repositories import File, ThrowAwayRepository, executable, link
from tests.end_to_end import programs
from tests.end_to_end.helpers import Json, Treeship, tree_of
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.docker_registry import DockerRegistry
from tests.rigs.ggcr_registry import GgcrRegistry
from tests.rigs.podman import Podman

pytestmark = pytest.mark.rig
NAME = "engines/witness"
REGISTRIES = ("docker-registry", "ggcr")


class Pushed(NamedTuple):
    """One build that went to both registries."""

    hosts: Mapping[str, str]
    digest: str
    commit: str

    def image(self, registry: str) -> str:
        """The image in one of them."""
        return f"{self.hosts[registry]}/{NAME}:witness"


@pytest.fixture(scope="module")
def pushed(
    docker_registry: DockerRegistry,
    ggcr_registry: GgcrRegistry,
    base_layout: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Pushed:
    folder = tmp_path_factory.mktemp("pushed")
    repository = ThrowAwayRepository(folder / "repository")
    commit = repository.commit(programs.FILES)
    hosts = dict(zip(REGISTRIES, (docker_registry.host, ggcr_registry.host), strict=True))
    to = [f"--to=docker://{host}/{NAME}:witness" for host in hosts.values()]
    built = Treeship(folder / "home").build(repository.directory, "--base", f"oci:{base_layout}", *to)
    return Pushed(hosts, built["digest"], commit)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_podman_runs_it_from_there(pushed: Pushed, podman: Podman, registry: str) -> None:
    honours_the_settings(json.loads(podman.podman("run", "--rm", pushed.image(registry)).stdout))


@pytest.mark.parametrize("registry", REGISTRIES)
def test_the_docker_engine_runs_it_from_there(
    pushed: Pushed, docker_engine: DockerEngine, registry: str
) -> None:
    ran = docker_engine.docker("run", "--rm", "--network=none", pushed.image(registry))
    honours_the_settings(json.loads(ran.stdout))


def honours_the_settings(seen: Json) -> None:
    """Working directory, imports, path, user and entry point are the commit's; the base's files are as they were."""
    assert seen["said"] == "from the commit"
    assert seen["arguments"] == ["by", "default"]
    assert seen["workdir"] == "/app/work"
    assert seen["pythonpath"] == "/app/src:/app"
    assert seen["library"] == "/app/src/library.py"
    assert seen["path"] == "/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert seen["tool"] == "a tool\n"
    assert seen["environment"] == "green"
    assert seen["user"] == [65534, 65534]
    assert seen["unreadable"] == []
    assert seen["writable"] is False
    assert seen["files"] == sorted(programs.FILES)
    assert seen["data"] == "1 2 3\n"
    assert seen["link"] == ["data/a/b/numbers.txt", "1 2 3\n"]
    assert seen["merged"] == {"bin": "usr/bin", "lib": "usr/lib", "sbin": "usr/sbin"}
    assert seen["tmp"] == "0o1777"
    assert seen["etc"] is True


@pytest.mark.parametrize("registry", REGISTRIES)
def test_arguments_and_entry_point_can_be_given_as_for_any_image(
    pushed: Pushed, podman: Podman, registry: str
) -> None:
    ran = podman.podman("run", "--rm", pushed.image(registry), "to", "it")
    assert json.loads(ran.stdout)["arguments"] == ["to", "it"]
    ran = podman.podman(
        "run", "--rm", "--entrypoint=/bin/cat", pushed.image(registry), "data/a/b/numbers.txt"
    )
    assert ran.stdout == "1 2 3\n"


def test_a_commit_put_over_the_root_leaves_the_base_whole(
    docker_registry: DockerRegistry, podman: Podman, docker_engine: DockerEngine, base_layout: Path,
    treeship: Treeship, repository: ThrowAwayRepository,
) -> None:  # fmt: skip
    """With the prefix `/`, files land in folders of the base, and none of them is replaced."""
    folders = b"/usr /usr/bin /etc /opt /tmp /var/tmp /run/lock /root /bin /lib"
    program = b"#!/bin/sh\nstat -c '%%a %%F' %s\nls /etc/mine /usr/bin/env\n" % folders
    files: dict[str, bytes | File] = {
        "treeship.toml": b'prefix = "/"\nuser = "nobody"\nexclude = ["/treeship.toml"]\n',
        "usr/bin/hello": executable(program),
        "etc/mine": b"",
        "opt/mine/own": b"",
        "tmp/mine": b"",
        "var/tmp/mine": b"",
        "run/lock/mine": b"",
        "root/mine": b"",
    }
    repository.commit(files)
    image = f"{docker_registry.host}/engines/root:latest"
    treeship.build(repository.directory, "--base", f"oci:{base_layout}", "--to", image)
    expected = [
        *["755 directory"] * 4,
        *["1777 directory"] * 3,
        "700 directory",
        *["777 symbolic link"] * 2,
        "/etc/mine",
        "/usr/bin/env",
    ]
    for ran in (
        podman.podman("run", "--rm", image, "hello"),
        docker_engine.docker("run", "--rm", "--network=none", image, "hello"),
    ):
        assert ran.stdout.splitlines() == expected


@pytest.mark.parametrize("registry", REGISTRIES)
def test_skopeo_names_the_same_digest(pushed: Pushed, podman: Podman, registry: str) -> None:
    seen = json.loads(podman.skopeo("inspect", f"docker://{pushed.image(registry)}").stdout)
    assert seen["Digest"] == pushed.digest
    assert seen["Labels"]["org.opencontainers.image.revision"] == pushed.commit
    assert set(seen["RepoTags"]) == {"witness", pushed.commit}


@pytest.mark.parametrize("registry", REGISTRIES)
def test_skopeo_copies_it_to_a_layout_and_back_with_the_same_digest(
    pushed: Pushed, podman: Podman, treeship: Treeship, registry: str, tmp_path: Path
) -> None:
    back = f"{pushed.image(registry)}-and-back"
    podman.skopeo("copy", f"docker://{pushed.image(registry)}", f"oci:{tmp_path}/layout:there")
    podman.skopeo("copy", f"oci:{tmp_path}/layout:there", f"docker://{back}")
    for image in (f"oci:{tmp_path}/layout:there", back):
        assert treeship("inspect", image, "--json").json["digest"] == pushed.digest
    assert (
        podman.skopeo("inspect", "--format={{.Digest}}", f"docker://{back}").stdout.strip() == pushed.digest
    )


# Names and contents that tools tend to stumble over: any byte but NUL and slash.
AWKWARD = st.sampled_from([
    b"new\nline", b"caf\xe9 \xff\xfe", "naïve ☃ 𝔘".encode(), b"back\\slash", b" ", b"\t", b"-rf", b"a'b\"c",
    b"\x01\x7f", b"30 path=elsewhere\n", b"#comment", b"*?[x]", b"UPPER", b"upper", b".hidden", b"..more",
    b"x" * 250, b"name:tag",
])  # fmt: skip
NAMES = AWKWARD | st.binary(min_size=1, max_size=24).map(lambda raw: raw.translate(None, b"\0/")).filter(
    lambda name: name not in (b"", b".", b"..") and b".wh." not in name and not is_git(name)
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
TARGETS = st.sampled_from(
    [b"/etc/passwd", b"../../outside", b"missing", b".", b"new\nline", b"\xff", b"a" * 300]
)
CONTENTS: st.SearchStrategy[bytes | File] = st.one_of(
    st.just(b""),
    st.binary(max_size=600),
    st.sampled_from([b"x" * (1 << 20), os.urandom(1 << 10) * 1500]),
    st.binary(max_size=50).map(executable),
    (TARGETS | st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\0", b"/"))).map(link),
)
TREES = st.dictionaries(PATHS, CONTENTS, min_size=1, max_size=12).filter(lambda files: fits(files))


def is_git(name: bytes) -> bool:
    """Names that git refuses in a tree, or that are treeship's own settings."""
    folded = name.strip(b" .").lower()
    return folded.startswith((b".git", b"git~", b"git")) or name in (b"treeship.toml", b"pyproject.toml")


def fits(files: Mapping[bytes, object]) -> bool:
    """No path is a folder of another, and each can be made on disk."""
    folders = {path[:at] for path in files for at, byte in enumerate(path) if byte == ord("/")}
    return folders.isdisjoint(files)


class Unpacker:
    """Builds one tree after another into layouts, and has umoci unpack each."""

    def __init__(self, treeship: Treeship, podman: Podman, base: Path) -> None:
        self.treeship = treeship
        self.podman = podman
        self.base = base

    @contextmanager
    def unpacked(self, files: Mapping[bytes, bytes | File]) -> Iterator[tuple[Path, Path]]:
        """The repository, and the root file system of its image."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            repository = ThrowAwayRepository(folder / "repository")
            repository.commit(files)
            self.treeship.build(
                repository.directory, "--base", f"oci:{self.base}", "--to", f"oci:{folder}/layout:it"
            )
            self.podman.umoci("unpack", "--image", f"{folder}/layout:it", folder / "bundle")
            yield repository.directory, folder / "bundle" / "rootfs"


@pytest.fixture(scope="module")
def unpacker(podman: Podman, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Unpacker:
    return Unpacker(Treeship(tmp_path_factory.mktemp("unpacker")), podman, tiny_base)


@given(files=TREES)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_umoci_unpacks_exactly_the_tree_of_the_commit(
    unpacker: Unpacker, files: Mapping[bytes, bytes | File]
) -> None:
    """File by file, mode by mode, link by link, against what `git ls-tree` and `git cat-file` say."""
    with unpacker.unpacked(files) as (repository, root):
        assert on_disk(root / "app") == tree_of(repository)


def test_umoci_unpacks_the_names_that_tools_stumble_over(unpacker: Unpacker) -> None:
    long = b"/".join([b"d" * 99, b"e" * 99, b"f" * 99, b"a file with a path of more than 300 bytes"])
    files: dict[bytes, bytes | File] = {
        b"line\nbreak/\xff\xfe/caf\xc3\xa9": b"1",
        b"back\\slash": b"2",
        long: b"3",
        b"long link": link(b"x/" * 1000 + b"y"),
        b"UPPER/upper": b"4",
        b"UPPER/Upper": b"5",
        b"run me": executable(b"#!/bin/sh\n"),
        b"absolute": link(b"/etc/passwd"),
        b"upwards": link(b"../../../etc"),
        b"dangling": link(b"nowhere\n\xff"),
        b"empty": b"",
        b"big.bin": os.urandom(64) * (3 << 14),
        b"11 path=x\n": b"6",
    }
    with unpacker.unpacked(files) as (repository, root):
        found = on_disk(root / "app")
        assert found == tree_of(repository)
        assert set(found) == set(files)


def on_disk(root: Path) -> dict[bytes, tuple[str, bytes]]:
    """What was unpacked, in the words of `tree_of`; every folder must be one that a file needs, and 0755."""
    found: dict[bytes, tuple[str, bytes]] = {}
    top = os.fsencode(root)
    for parent, folders, names in os.walk(top):
        assert names or folders, f"{parent!r} is empty, and git has no empty folders"
        assert stat.S_IMODE(os.lstat(parent).st_mode) == 0o755, parent
        for name in names + [name for name in folders if os.path.islink(os.path.join(parent, name))]:
            path = os.path.join(parent, name)
            found[os.path.relpath(path, top)] = _state(path)
    return found


def _state(path: bytes) -> tuple[str, bytes]:
    status = os.lstat(path)
    assert (status.st_uid, status.st_gid) == (0, 0), path
    if stat.S_ISLNK(status.st_mode):
        return "120000", os.readlink(path)
    assert stat.S_ISREG(status.st_mode), path
    assert status.st_nlink == 1, path
    mode = stat.S_IMODE(status.st_mode)
    assert mode in (0o644, 0o755), f"{path!r} {mode:o}"
    return f"100{mode:o}", Path(os.fsdecode(path)).read_bytes()
