"""Programs built from Go modules; and Go itself, where the machine has none that is new enough."""

import base64
import hashlib
import os
import platform
import re
import shutil
import urllib.request
import zipfile
from functools import cache
from pathlib import Path

from tests.rigs.cache import cached, key_of
from tests.rigs.errors import RigError, RigUnavailable
from tests.rigs.process import run

OLDEST = (1, 26)
RELEASE = "1.26.8"
# The digests that the Go checksum database gives for golang.org/toolchain at this release.
TOOLCHAINS = {
    "x86_64": ("amd64", "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM="),
    "aarch64": ("arm64", "h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc="),
}
FLAGS = ("-trimpath", "-ldflags=-s -w")
STATIC = {"CGO_ENABLED": "0"}  # Needs no C compiler, and runs in any image.
BUILD = (*FLAGS, *STATIC.items(), platform.machine())  # What a program is built by, beside its source.


def go_install(module: str, version: str, *packages: str) -> Path:
    """The folder with the programs PACKAGES (paths inside MODULE) at VERSION; built once."""

    def build(folder: Path) -> None:
        targets = [f"{module}/{package}@{version}" for package in packages]
        command = [go_command(), "install", *FLAGS, *targets]
        run(command, env=STATIC | {"GOBIN": str(folder)}, cwd=Path("/"), timeout=3600)

    name = f"{module.rpartition('/')[2]}-{version}-{key_of(*BUILD, module, version, *packages)}"
    return cached(f"go/{name}", build)


def go_tools(source: Path) -> Path:
    """The folder with the programs that `tool` lines of SOURCE/go.mod name; built once for each go.sum."""

    def build(folder: Path) -> None:
        folder.mkdir()
        command = [go_command(), "build", *FLAGS, "-o", f"{folder}{os.sep}", "tool"]
        run(command, env=STATIC, cwd=source, timeout=3600)

    sums = [(source / name).read_text() for name in ("go.mod", "go.sum")]
    return cached(f"go/{source.name}-{key_of(*BUILD, *sums)}", build)


def go_program(source: Path) -> Path:
    """The program whose main package is in SOURCE, with its go.mod and go.sum; built once for each content of them."""

    def build(program: Path) -> None:
        run([go_command(), "build", *FLAGS, "-o", program, "."], env=STATIC, cwd=source, timeout=3600)

    texts = [file.read_text() for file in sorted(source.iterdir()) if file.is_file()]
    return cached(f"go/{source.name}-{key_of(*BUILD, *texts)}", build)


@cache
def go_command() -> str:
    """A Go that can build the modules here: the one on the PATH, else one from the module proxy."""
    found = shutil.which("go")
    if found and _version(found) >= OLDEST:
        return found
    if platform.system() != "Linux" or platform.machine() not in TOOLCHAINS:
        raise RigUnavailable(f"needs Go {'.'.join(map(str, OLDEST))} or later on the PATH")
    return str(cached(f"go/toolchain-{RELEASE}-{platform.machine()}", _fetch_toolchain) / "bin" / "go")


def _version(command: str) -> tuple[int, ...]:
    match = re.search(r"\bgo(\d+)\.(\d+)", run([command, "version"], cwd=Path("/"), check=False).stdout)
    return (int(match[1]), int(match[2])) if match else (0,)


def _fetch_toolchain(folder: Path) -> None:
    machine, digest = TOOLCHAINS[platform.machine()]
    name = f"golang.org/toolchain@v0.0.1-go{RELEASE}.linux-{machine}"
    proxies = re.split(r"[,|]", os.environ.get("GOPROXY", ""))
    proxy = next((entry for entry in proxies if entry.startswith("http")), "https://proxy.golang.org")
    archive = folder.parent / "toolchain.zip"
    url = f"{proxy.rstrip('/')}/{name.replace('@', '/@v/')}.zip"
    with urllib.request.urlopen(url, timeout=300) as answer, archive.open("wb") as file:
        shutil.copyfileobj(answer, file)
    unpack_module(archive, folder, prefix=f"{name}/", digest=digest)
    for program in [*(folder / "bin").iterdir(), *folder.glob("pkg/tool/*/*")]:
        program.chmod(0o755)  # Module zips carry no modes.


def unpack_module(archive: Path, folder: Path, *, prefix: str, digest: str) -> None:
    """Check ARCHIVE against DIGEST as Go does (the hash of all files' names and hashes), then unpack it."""
    with zipfile.ZipFile(archive) as source:
        sums = {name: hashlib.sha256(source.read(name)).hexdigest() for name in source.namelist()}
        lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
        found = "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()
        if found != digest:
            raise RigError(f"{archive.name} has the digest {found}, not {digest}")
        source.extractall(folder.parent / "unpacked")
    (folder.parent / "unpacked" / prefix).rename(folder)
