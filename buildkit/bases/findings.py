"""A virtual tree and an image's environment to facts, without running anything. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from buildkit.bases.facts import Cuda, Distribution, Facts, Group, Libc, Program, User
from buildkit.bases.pythons import interpreter, pythons
from buildkit.bases.tree import File, Link, Tree

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = ("bash", "pip", "pip3", "python", "python3", "sh", "tar")
_MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_LOADERS = {"amd64": "x86_64", "arm64": "aarch64"}
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_LINES = 20_000


def find(tree: Tree, env: Mapping[str, str], architecture: str = "") -> Facts:
    """The facts; `env` is that of the image's config, `architecture` in Go's names."""
    packages = _packages(tree)
    search = tuple(folder for folder in env.get("PYTHONPATH", "").split(":") if folder.startswith("/"))
    programs = _programs(tree, env.get("PATH", "") or PATH)
    facts = Facts(
        distribution=_distribution(tree),
        libc=_libc(tree, packages, architecture),
        cuda=_cuda(tree, env),
        pythons=pythons(tree, packages, search),
        users=_users(tree),
        groups=_groups(tree),
        merged=_merged(tree),
        programs=programs,
    )
    start = facts.program("python") or facts.program("python3")
    return facts._replace(python=interpreter(tree, start) if start else "")


def _distribution(tree: Tree) -> Distribution:
    text = tree.read("/etc/os-release") or tree.read("/usr/lib/os-release")
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    fields = {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    return Distribution(*(fields.get(key, "") for key in ("ID", "VERSION_ID", "PRETTY_NAME")))


def _packages(tree: Tree) -> dict[str, str]:
    """The system's packages with their versions: dpkg's (Distroless has a file each) and apk's."""
    texts = [tree.read("/var/lib/dpkg/status")]
    texts += [tree.read(f"/var/lib/dpkg/status.d/{name}") for name in tree.names("/var/lib/dpkg/status.d")]
    found: dict[str, str] = {}
    for paragraph in "\n\n".join(texts).split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): *(.+)$", paragraph, re.MULTILINE))
        if "Package" in fields and fields.get("Status", "installed").split()[-1:] == ["installed"]:
            found[fields["Package"].strip()] = fields.get("Version", "").strip().rpartition(":")[2]
    for path in ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"):
        for paragraph in tree.read(path).split("\n\n"):
            fields = dict(re.findall(r"^(P|V):(.+)$", paragraph, re.MULTILINE))
            found |= {fields["P"]: fields.get("V", "")} if "P" in fields else {}
    return found


def _libc(tree: Tree, packages: dict[str, str], architecture: str) -> Libc | None:
    """Of the image's own architecture where there are several; glibc before musl."""
    named = _LOADERS.get(architecture, architecture)
    libraries = [
        path for path, _ in tree.walk() if re.fullmatch(r"(/usr)?/lib\w*(/[\w-]+)?/libc\.so\.6", path)
    ]
    for path in sorted(libraries, key=lambda path: (f"/{named}-" not in path, "/lib64/" not in path, path)):
        located = tree.locate(path)
        node = located[1] if located else None
        told = (node.content or b"").split(b"\n")[0].decode() if isinstance(node, File) else ""
        if told:
            return Libc("glibc", told, f"version string in {path}")
        if located and (match := re.search(r"libc-(2\.\d+)\.so$", located[0])):
            return Libc("glibc", match[1], f"name of {located[0]}")
    for name in ("libc6", "glibc"):
        if name in packages and (match := _VERSION.match(packages[name])):
            return Libc("glibc", match[0], f"package {name}")
    if libraries:
        return Libc("glibc", "", libraries[0])
    loaders = [path for path, _ in tree.walk() if re.fullmatch(r"(/usr)?/lib/ld-musl-[\w-]+\.so\.1", path)]
    musl = _VERSION.match(packages.get("musl", ""))
    if loaders:
        return Libc("musl", musl[0] if musl else "", "package musl" if musl else loaders[0])
    return None


def _cuda(tree: Tree, env: Mapping[str, str]) -> Cuda | None:
    """The toolkit's own word, then the runtime library's name, then the environment."""
    names = [name for name in tree.names("/usr/local") if re.fullmatch(r"cuda(-[\d.]+)?", name)]
    for folder in (f"/usr/local/{name}" for name in names):
        path = f"{folder}/version.json"
        version = _cuda_json(tree.read(path))
        if not version:
            path = f"{folder}/version.txt"
            match = re.search(r"CUDA Version (\d+\.[\d.]+)", tree.read(path))
            version = match[1] if match else ""
        if version:
            return Cuda(version, path)
    if _VERSION.fullmatch(env.get("CUDA_VERSION", "")):
        return Cuda(env["CUDA_VERSION"], "CUDA_VERSION")
    runtimes = [path for path, _ in tree.walk() if re.search(r"^/usr/.*/libcudart\.so\.\d", path)]
    best = max(runtimes, key=len, default="")
    return Cuda(best.partition(".so.")[2], best) if best else None


def _cuda_json(text: str) -> str:
    try:
        version = json.loads(text)["cuda"]["version"] if text else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else ""


def _users(tree: Tree) -> tuple[User, ...]:
    rows = (line.split(":") for line in tree.read("/etc/passwd").splitlines()[:_LINES])
    return tuple(
        User(row[0], int(row[2]), int(row[3]), row[5])
        for row in rows
        if len(row) == 7 and _is_id(row[2]) and _is_id(row[3])
    )


def _groups(tree: Tree) -> tuple[Group, ...]:
    rows = (line.split(":") for line in tree.read("/etc/group").splitlines()[:_LINES])
    return tuple(Group(row[0], int(row[2])) for row in rows if len(row) == 4 and _is_id(row[2]))


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 11


def _merged(tree: Tree) -> tuple[tuple[str, str], ...]:
    nodes = ((name, tree.root.children.get(name)) for name in _MERGED)
    return tuple((name, node.target) for name, node in nodes if isinstance(node, Link))


def _programs(tree: Tree, path: str) -> tuple[Program, ...]:
    """What a shell would start: the first executable regular file of each name."""
    found = []
    for name in PROGRAMS:
        for folder in path.split(":"):
            node = tree.at(f"{folder}/{name}") if folder.startswith("/") else None
            if isinstance(node, File) and node.regular and node.mode & 0o111:
                found.append(Program(name, f"{folder.rstrip('/')}/{name}"))
                break
    return tuple(found)
