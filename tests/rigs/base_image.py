"""Debian with Python as a base image, made by mmdebstrap once and kept in the cache."""

import platform
from functools import partial
from pathlib import Path

from tests.rigs.cache import cached, key_of
from tests.rigs.install import debian_packages, need_root
from tests.rigs.oci_layout import RootFilesystem, write_layout
from tests.rigs.process import run

SUITE = "bookworm"
EPOCH = 1_700_000_000
CREATED = "2023-11-14T22:13:20Z"
PACKAGES = ("python3", "python-is-python3", "ca-certificates")
# mmdebstrap copies the first two from this machine; documents and translations are a third of the size.
OPTIONS = (
    '--extract-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--skip=output/dev",
)
COMPLETE = ("--variant=minbase", f"--include={','.join(PACKAGES)}")
# Unpacked, never configured: no foreign program runs, so it takes seconds, not minutes. Python works so.
UNPACKED = (
    "--variant=extract",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    f"--include=base-files,coreutils,dash,{','.join(PACKAGES)}",
)
# Debian's names of machines, from the kernel's, and to those of images.
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
FOREIGN = "arm64" if NATIVE != "arm64" else "amd64"
VARIANTS = {"arm64": "v8", "armhf": "v7"}
GO_NAMES = {"armhf": "arm", "i386": "386"}


def rootfs_tar(architecture: str = NATIVE) -> Path:
    """The root file system for ARCHITECTURE (Debian's name of it) as a tar file; a native one is complete."""
    options = COMPLETE if architecture == NATIVE else UNPACKED
    name = f"base/{SUITE}-{architecture}-{key_of(EPOCH, *OPTIONS, *options)}.tar"
    return cached(name, partial(_bootstrap, architecture, options))


def layout() -> Path:
    """An OCI layout with the base as `latest`."""
    return _layout(NATIVE)


def foreign_layout(architecture: str = FOREIGN) -> Path:
    """An OCI layout with a small base for another machine as `latest`; to run it takes the binfmt rig."""
    return _layout(architecture)


def multi_layout(foreign: str = FOREIGN) -> Path:
    """An OCI layout in which `latest` is an index of the native base and a FOREIGN one."""
    return _layout(NATIVE, foreign)


def _layout(*architectures: str) -> Path:
    tars = [rootfs_tar(architecture) for architecture in architectures]
    systems = [_system(*pair) for pair in zip(tars, architectures, strict=True)]
    name = f"base/layout-{'-'.join(architectures)}-{key_of('v1', *(tar.name for tar in tars))}"
    return cached(name, lambda folder: write_layout(folder, systems, created=CREATED))


def _system(tar: Path, architecture: str) -> RootFilesystem:
    return RootFilesystem(tar, GO_NAMES.get(architecture, architecture), VARIANTS.get(architecture))


def _bootstrap(architecture: str, options: tuple[str, ...], file: Path) -> None:
    need_root("mmdebstrap")
    debian_packages("mmdebstrap")
    words = [f"--architectures={architecture}", *options, *OPTIONS, SUITE, str(file)]
    run(
        ["mmdebstrap", "--quiet", *words],
        env={"SOURCE_DATE_EPOCH": str(EPOCH), "TMPDIR": str(file.parent)},
        timeout=1800,
    )
