"""What is found in images of the usual kinds, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from buildkit.bases.base import resolve
from buildkit.bases.facts import Cuda, Distribution, Facts, Group, Installed, Libc, User, missing_for_metaflow
from buildkit.bases.facts_cache import facts_of
from buildkit.cache import Cache, NoCache
from buildkit.errors import CorruptContent
from buildkit.image.descriptor import Descriptor
from buildkit.image.reference import LayoutReference
from buildkit.layout import LayoutSource
from tests.buildkit import images
from tests.buildkit.bases_facts.support import (
    LIBC,
    PYTHON,
    distribution,
    facts_in,
    file,
    link,
    python_files,
    tar,
)
from tests.rigs.podman import Podman

MERGED = [link("bin", "usr/bin"), link("lib", "usr/lib"), link("lib64", "usr/lib64")]
SHELL = [file("usr/bin/bash"), file("usr/bin/tar"), link("usr/bin/sh", "bash")]
SITE = "usr/local/lib/python3.12/site-packages"
NEEDED = [
    *distribution(SITE, "boto3", "1.35"),
    *distribution(SITE, "requests", "2.32"),
    *distribution(SITE, "pip", "24"),
]


def test_the_official_python_image() -> None:
    os_release = b'# x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
    facts = facts_in(
        tar(*MERGED, *SHELL, link("etc/os-release", "../usr/lib/os-release"), file("usr/lib/os-release", os_release),
            file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nbroken\nme:x:1000:100::/home/me:\n"),
            file("etc/group", b"root:x:0:\nusers:x:100:me\n"), file("usr/lib/x86_64-linux-gnu/libc.so.6", LIBC)),
        tar(*python_files(), *distribution(SITE, "Ruamel.yaml_x", "1.0", "uv"), *NEEDED),
    )  # fmt: skip
    assert facts.distribution == Distribution("debian", "12", "Debian GNU/Linux 12 (bookworm)")
    assert facts.libc == Libc("glibc", "2.36", "version string in /usr/lib/x86_64-linux-gnu/libc.so.6")
    assert facts.users == (User("root", 0, 0, "/root"), User("me", 1000, 100, "/home/me"))
    assert facts.groups == (Group("root", 0), Group("users", 100))
    assert facts.merged == (("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"))
    python = facts.chosen
    assert python is not None
    assert (python.path, python.version) == ("/usr/local/bin/python3.12", "3.12.4")
    assert (python.soabi, python.prefix) == ("cpython-312-x86_64-linux-gnu", "/usr/local")
    assert python.site == (f"/{SITE}",)
    assert Installed("ruamel-yaml-x", "1.0", f"/{SITE}/Ruamel.yaml_x-1.0.dist-info", "uv") in python.installed
    assert missing_for_metaflow(facts, {}) == []
    assert facts_in(tar(*python_files())).python == "/usr/local/bin/python3.12"


def test_debians_python_has_dist_packages_and_is_externally_managed() -> None:
    files = python_files("usr", "3.11", "3.11.2")
    patched = file("usr/lib/python3.11/site.py", b'x = "dist-packages"\n')
    managed = file("usr/lib/python3.11/EXTERNALLY-MANAGED")
    system = distribution("usr/lib/python3/dist-packages", "six", "1.16", "debian")
    (python,) = facts_in(tar(*files, patched, managed, *system)).pythons
    assert python.site == (
        "/usr/local/lib/python3.11/dist-packages",
        "/usr/lib/python3/dist-packages",
        "/usr/lib/python3.11/dist-packages",
    )
    assert python.externally_managed
    assert [each.name for each in python.installed] == ["six"]


def test_ngc_has_its_own_packages_first_and_cuda() -> None:
    """Ubuntu's Python with pip's packages in /usr/local, and PyTorch's CUDA."""
    files = python_files("usr", "3.10", "3.10.12")
    patched = file("usr/lib/python3.10/site.py", b'x = "dist-packages"\n')
    torch = distribution("usr/local/lib/python3.10/dist-packages", "torch", "2.3.0a0+40ec155e58.nv24.3")
    told = b'{"cuda": {"name": "CUDA SDK", "version": "12.4.20240301"}}'
    cuda = [link("usr/local/cuda", "/usr/local/cuda-12.4"), file("usr/local/cuda-12.4/version.json", told)]
    facts = facts_in(tar(*files, patched), tar(*torch, *cuda), env={"CUDA_VERSION": "12.4.0"})
    assert facts.cuda == Cuda("12.4.20240301", "/usr/local/cuda/version.json")
    assert facts.chosen is not None
    assert facts.chosen.installed[0].version == "2.3.0a0+40ec155e58.nv24.3"


@pytest.mark.parametrize(
    ("files", "env", "version"),
    [
        ([file("usr/local/cuda-11.8/targets/lib/libcudart.so.11.8.89")], {}, "11.8.89"),
        ([file("usr/local/cuda-10.1/version.txt", b"CUDA Version 10.1.243\n")], {}, "10.1.243"),
        ([file("usr/local/cuda/version.json", b"[1]")], {"CUDA_VERSION": "12.2.2"}, "12.2.2"),
    ],
)
def test_cuda_without_a_toolkit(files: list[tuple[object, bytes]], env: dict[str, str], version: str) -> None:
    found = facts_in(tar(*files), env=env).cuda  # type: ignore[arg-type]
    assert found is not None
    assert found.version == version


def test_conda_by_path_and_an_environment_beside_it() -> None:
    base, other = (
        python_files("opt/conda", "3.12", "3.12.4"),
        python_files("opt/conda/envs/ml", "3.9", "3.9.18"),
    )
    copies = python_files("opt/conda/pkgs/python-3.12", "3.12", "3.12.4")
    system = python_files("usr", "3.11", "3.11.2")
    facts = facts_in(tar(*base, *other, *copies, *system), env={"PATH": "/opt/conda/bin:/usr/bin"})
    assert [python.path for python in facts.pythons] == [
        "/opt/conda/bin/python3.12", "/opt/conda/envs/ml/bin/python3.9", "/usr/bin/python3.11"]  # fmt: skip
    assert facts.python == "/opt/conda/bin/python3.12"


def test_a_virtual_environment_has_its_own_packages() -> None:
    site = "opt/venv/lib/python3.12/site-packages"
    venv = [
        link("opt/venv/bin/python", "/usr/local/bin/python3"), link("opt/venv/bin/python3", "python"),
        file("opt/venv/pyvenv.cfg", b"home = /usr/local/bin\ninclude-system-site-packages = false\n"),
        *distribution(site, "numpy", "2.0"),
    ]  # fmt: skip
    facts = facts_in(tar(*python_files(), *NEEDED, *venv), env={"PATH": "/opt/venv/bin:/usr/local/bin"})
    python = facts.chosen
    assert python is not None
    assert (python.path, python.venv, python.prefix) == ("/opt/venv/bin/python", True, "/opt/venv")
    assert python.site == (f"/{site}",)
    assert [each.name for each in python.installed] == ["numpy"]
    shared = file("opt/venv/pyvenv.cfg", b"home = /usr/local/bin\ninclude-system-site-packages = true\n")
    python = facts_in(tar(*python_files(), *NEEDED, *venv), tar(shared)).pythons[0]
    assert python.site == (f"/{site}", f"/{SITE}")
    assert python.modules == ("boto3", "pip", "requests")


def test_alpine_has_musl_and_busybox() -> None:
    apk = b"P:musl\nV:1.2.5-r0\n\nP:python3\nV:3.12.4-r0\n"
    facts = facts_in(tar(
        file("lib/ld-musl-x86_64.so.1"), file("lib/apk/db/installed", apk), file("bin/busybox"),
        link("bin/sh", "/bin/busybox"), link("bin/tar", "/bin/busybox"), *python_files("usr"),
    ))  # fmt: skip
    assert facts.libc == Libc("musl", "1.2.5", "package musl")
    assert [program.name for program in facts.programs] == ["python", "python3", "sh", "tar"]
    assert missing_for_metaflow(facts, {})[0] == "no bash on PATH"


def test_distroless_has_no_shell_and_a_status_file_for_each_package() -> None:
    status = file("var/lib/dpkg/status.d/libc6", b"Package: libc6\nVersion: 2.36-9+deb12u10\n")
    facts = facts_in(tar(status, *python_files("usr", "3.11", "3.11.2")))
    assert facts.libc == Libc("glibc", "2.36", "package libc6")
    assert missing_for_metaflow(facts, {})[:2] == ["no bash on PATH", "no tar on PATH"]


def test_versions_are_told_in_several_ways() -> None:
    files = python_files()
    stripped = file("usr/local/bin/python3.12", b"nothing")
    library = file("usr/local/lib/libpython3.12.so.1.0", PYTHON % b"3.12.7")
    header = file("usr/local/include/python3.12/patchlevel.h", b'#define PY_VERSION      "3.12.6+"\n')
    conda = file("usr/local/conda-meta/python-3.12.5-h2ad_0.json")
    ways = [(library, "3.12.7"), (header, "3.12.6"), (conda, "3.12.5"), (stripped, "3.12")]
    for way, version in ways:
        assert facts_in(tar(*files), tar(stripped, way)).pythons[0].version == version
    data = file(
        "usr/local/lib/python3.12/_sysconfigdata__x.py", b"{'SOABI': 'cpython-312-x', 'PLATLIBDIR': 'lib64'}"
    )
    python = facts_in(tar(*files, data)).pythons[0]
    assert python.soabi == "cpython-312-x"
    assert python.site == ("/usr/local/lib64/python3.12/site-packages", f"/{SITE}")


def test_old_glibc_is_a_link_with_a_version_in_its_name() -> None:
    files = [
        file("lib/x86_64-linux-gnu/libc-2.31.so"),
        link("lib/x86_64-linux-gnu/libc.so.6", "libc-2.31.so"),
    ]
    assert facts_in(tar(*files)).libc == Libc("glibc", "2.31", "name of /lib/x86_64-linux-gnu/libc-2.31.so")


def test_a_part_of_the_standard_library_is_missed() -> None:
    facts = facts_in(
        tar(*SHELL, *python_files(), *NEEDED), tar(file("usr/local/lib/python3.12/.wh.concurrent"))
    )
    assert missing_for_metaflow(facts, {}) == [
        "the standard library of /usr/local/bin/python3.12 is not whole: concurrent.futures"
    ]


def test_pip_is_not_needed_where_nothing_is_to_be_installed() -> None:
    facts = facts_in(tar(*SHELL, *python_files(), *NEEDED), tar(file(f"{SITE}/.wh.pip")))
    assert [text.split(";")[0] for text in missing_for_metaflow(facts, {})] == [
        "/usr/local/bin/python3.12 has no pip"
    ]
    assert missing_for_metaflow(facts, {"METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1"}) == []


def test_python_alone_is_not_enough() -> None:
    facts = facts_in(tar(*SHELL, *python_files(), *NEEDED), tar(file("usr/local/bin/.wh.python")))
    assert missing_for_metaflow(facts, {}) == ["no python on PATH"]


def test_nothing_is_found_in_nothing() -> None:
    assert facts_in() == Facts()
    assert missing_for_metaflow(Facts(), {}) == ["no bash on PATH", "no tar on PATH", "no python on PATH"]


def test_the_json_form_is_read_back() -> None:
    facts = facts_in(tar(*MERGED, *python_files(), *NEEDED, file("usr/lib/libc.so.6", LIBC)))
    assert Facts.load(facts.dump()) == facts
    assert Facts.load(Facts().dump()) == Facts()


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b'{"version":0}', b'{"version":1}', b'{"version":1,"facts":{"python":1}}',
     Facts().dump().replace(b'"users":[]', b'"users":[{"name":1}]'),
     Facts().dump().replace(b'"merged":[]', b'"merged":[["a"]]')],
)  # fmt: skip
def test_other_forms_are_refused(raw: bytes) -> None:
    with pytest.raises(CorruptContent):
        Facts.load(raw)


def test_layers_are_read_once_and_then_never_again(tmp_path: Path) -> None:
    made = images.image(images.layer({"etc/os-release": b"ID=one\n"}), Env=["A=b"])
    reference = LayoutReference(str(images.publish(tmp_path / "base", made, "v1")), "v1")
    cache = Cache(tmp_path / "cache")
    (base,) = resolve(reference, LayoutSource(reference), (), cache)
    facts = facts_of(base, cache)
    assert facts.distribution.id == "one"
    blob = tmp_path / "base" / "blobs" / "sha256" / base.layers[0].digest.removeprefix("sha256:")
    blob.write_bytes(bytes(base.layers[0].size))
    assert facts_of(base, cache) == facts
    with pytest.raises(CorruptContent):
        facts_of(base, Cache(tmp_path / "other"))


class Account:
    """Progress that adds up: for each label what was announced and what was read, and what is still open."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.read: dict[str, int] = {}
        self.going: list[str] = []

    def start(self, label: str, total: int) -> None:
        self.sizes[label] = total
        self.going.append(label)

    def advance(self, label: str, count: int) -> None:
        assert self.going == [label], "one layer at a time"
        self.read[label] = self.read.get(label, 0) + count

    def finish(self, label: str) -> None:
        self.going.remove(label)


class Streams:
    """A source that knows what of it is still open."""

    def __init__(self, source: LayoutSource) -> None:
        self._source = source
        self.opened: list[BinaryIO] = []
        self.document = source.document

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        self.opened.append(self._source.blob(descriptor))
        return self.opened[-1]


def test_progress_is_told_of_every_byte_that_is_read(tmp_path: Path) -> None:
    made = images.image(images.layer({"a": bytes(1000)}), images.layer({"b": bytes(3_000_000)}))
    reference = LayoutReference(str(images.publish(tmp_path / "base", made, "v1")), "v1")
    source, account = Streams(LayoutSource(reference)), Account()
    (base,) = resolve(reference, source, (), NoCache())
    facts_of(base, NoCache(), account)
    assert account.sizes == {f"read {layer.digest.hex[:12]}": layer.size for layer in base.layers}
    assert account.read == account.sizes
    assert not account.going
    assert all(stream.closed for stream in source.opened)


def test_a_broken_layer_leaves_neither_a_stream_nor_a_bar(tmp_path: Path) -> None:
    made = images.image(images.layer({"a": b"1"}), images.layer({"../b": b"2"}), images.layer({"c": b"3"}))
    reference = LayoutReference(str(images.publish(tmp_path / "base", made, "v1")), "v1")
    source, account = Streams(LayoutSource(reference)), Account()
    (base,) = resolve(reference, source, (), NoCache())
    with pytest.raises(CorruptContent, match="leads out") as caught:
        facts_of(base, NoCache(), account)
    assert caught.value.__traceback__ is not None, "the frames still hold what they held"
    assert len(account.sizes) == 2
    assert not account.going
    assert all(stream.closed for stream in source.opened)


@pytest.mark.rig
def test_what_is_found_is_what_the_image_says_when_it_runs(
    base_layout: Path, podman: Podman, tmp_path: Path
) -> None:
    reference = LayoutReference(str(base_layout), "latest")
    (base,) = resolve(reference, LayoutSource(reference), (), Cache(tmp_path))
    facts = facts_of(base, Cache(tmp_path))
    python, name = facts.chosen, "localhost/facts:1"
    assert python is not None
    podman.skopeo("copy", f"oci:{base_layout}:latest", f"docker-archive:{tmp_path}/a.tar:{name}")
    podman.podman("load", "--input", tmp_path / "a.tar")
    program = (
        "import os,site,sys,sysconfig,platform as p;"
        "print(os.path.realpath(sys.executable), p.python_version(), sysconfig.get_config_var('SOABI'),"
        " p.libc_ver()[1], os.readlink('/bin'), *site.getsitepackages())"
    )
    said = podman.podman("run", "--rm", name, "python", "-c", program).stdout.split()
    assert facts.libc is not None
    assert said == [
        python.path, python.version, python.soabi, facts.libc.version, dict(facts.merged)["bin"], *python.site
    ]  # fmt: skip
