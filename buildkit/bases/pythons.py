"""The Python interpreters of a virtual tree: what each would say of itself, by the rules of getpath and site."""

from __future__ import annotations

import re
from typing import NamedTuple

from buildkit.bases.facts import Installed, Python
from buildkit.bases.tree import File, Folder, Tree
from buildkit.bases.wanted import MODULES, STDLIB

_MOST = 200
_EXECUTABLE = re.compile(r"python(?:3(?:\.(\d{1,2}))?t?)?")
_FULL = re.compile(r"3\.(\d+)\.\d+\w*")
_DEFINED = re.compile(r'#define\s+PY_VERSION\s+"(3\.[\w.]+)\+?"')
_SOABI = re.compile(r"'SOABI': '([\w-]+)'")
_LIBDIR = re.compile(r"'PLATLIBDIR': '(\w+)'")
_EXTENSION = re.compile(r"\.(cpython-3\w+(?:-[\w-]+)?)\.so")
_FIELD = re.compile(r"^(Name|Version):[ \t]*(\S+)", re.MULTILINE)


class _Place(NamedTuple):
    """An installation: its prefix, `3.N`, and the folder of its standard library."""

    prefix: str
    minor: str
    stdlib: str


def pythons(tree: Tree, packages: dict[str, str], search: tuple[str, ...] = ()) -> tuple[Python, ...]:
    """Every interpreter in a `bin` folder, sorted by path.

    `packages` are the system's with their versions, `search` the folders of PYTHONPATH.
    """
    folders = (
        (path, node)
        for path, node in tree.walk()
        if path.endswith("/bin") and isinstance(node, Folder) and "/pkgs/" not in path
    )
    paths = dict.fromkeys(path for pair in folders for path in _executables(tree, *pair))
    found = (_python(tree, path, packages, search) for path in sorted(paths)[:_MOST])
    return tuple(python for python in found if python is not None)


def interpreter(tree: Tree, path: str) -> str:
    """The `Python.path` of the interpreter that is started by this path."""
    folder = path.rpartition("/")[0]
    located = tree.locate(folder)
    if located is not None and _venv(tree, located[0]):
        own = [name for name in tree.names(folder) if _EXECUTABLE.fullmatch(name)]
        return f"{located[0]}/{min(own)}" if own else ""
    real = tree.locate(path)
    return real[0] if real is not None and isinstance(real[1], File) else ""


def _executables(tree: Tree, folder: str, node: Folder) -> list[str]:
    names = sorted(name for name in node.children if _EXECUTABLE.fullmatch(name))
    if _venv(tree, folder):
        return [f"{folder}/{names[0]}"] if names else []
    located = [tree.locate(f"{folder}/{name}") for name in names]
    return sorted({found[0] for found in located if found is not None and isinstance(found[1], File)})


def _venv(tree: Tree, folder: str) -> dict[str, str]:
    """The settings of the virtual environment of this `bin` folder; empty for none."""
    text = tree.read(f"{folder}/../pyvenv.cfg") or tree.read(f"{folder}/pyvenv.cfg")
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _python(tree: Tree, path: str, packages: dict[str, str], search: tuple[str, ...]) -> Python | None:
    folder = path.rpartition("/")[0]
    venv = _venv(tree, folder)
    real = tree.locate(path)
    home = venv.get("home", "") if venv else ""
    if real is None and home:
        real = tree.locate(f"{home}/{path.rpartition('/')[2]}") or tree.locate(f"{home}/python3")
    if real is None or not isinstance(real[1], File):
        return None
    place = _place(tree, real[0], real[1])
    if place is None:
        return None
    version, source = _version(tree, place, real[1], packages)
    site = _site(tree, place)
    prefix = place.prefix
    if venv:
        prefix = folder.rpartition("/")[0]
        own = (f"{prefix}/lib/python{place.minor}/site-packages",)
        site = own + (site if venv.get("include-system-site-packages", "").lower() == "true" else ())
    paths = tuple(dict.fromkeys((*search, *site)))
    return Python(
        path=path, version=version, source=source, soabi=_soabi(tree, place), prefix=prefix or "/", site=site,
        venv=bool(venv), externally_managed=not venv and tree.at(f"{place.stdlib}/EXTERNALLY-MANAGED") is not None,
        installed=_installed(tree, paths), modules=_modules(tree, (place.stdlib, *paths)),
        lacks=_lacks(tree, place),
    )  # fmt: skip


def _place(tree: Tree, path: str, node: File) -> _Place | None:
    """Up from the executable until there is a standard library, as getpath does."""
    folder, _, name = path.rpartition("/")
    match = _EXECUTABLE.fullmatch(name) or re.fullmatch(r".*?python3\.(\d+)", name)
    full = _FULL.search((node.content or b"").decode())
    minor = match[1] if match and match[1] else full[1] if full else None
    while folder:
        folder = folder.rpartition("/")[0]
        for lib in ("lib", "lib64"):
            names = [f"python3.{minor}"] if minor else tree.names(f"{folder}/{lib}")
            for each in names:
                stdlib = f"{folder}/{lib}/{each}"
                if re.fullmatch(r"python3\.\d+t?", each) and _module(tree, stdlib, "os"):
                    return _Place(folder, each.removeprefix("python"), stdlib)
            if minor and tree.at(f"{folder}/lib/python3{minor}.zip"):
                return _Place(folder, f"3.{minor}", f"{folder}/lib/python3.{minor}")
    # An interpreter that starts without its library fails; one of which nothing is known may be a script.
    return None


def _version(tree: Tree, place: _Place, node: File, packages: dict[str, str]) -> tuple[str, str]:
    """The full version, and how it was told."""
    minor = place.minor.rstrip("t")
    for path, content in _binaries(tree, place, node):
        for line in content.decode("ascii", "replace").split("\n"):
            if line.startswith(f"{minor}."):
                return line, f"version string in {path}"
    header = f"{place.prefix}/include/python{place.minor}/patchlevel.h"
    if (defined := _DEFINED.search(tree.read(header))) and defined[1].startswith(f"{minor}."):
        return defined[1], header
    for name in tree.names(f"{place.prefix}/conda-meta"):
        if name.startswith(f"python-{minor}."):
            return name.split("-")[1], f"{place.prefix}/conda-meta"
    for package in (f"python{minor}", f"python{minor}-minimal", f"libpython{minor}-minimal", "python3"):
        found = _FULL.match(packages.get(package, ""))
        if found and place.prefix == "/usr" and found[0].startswith(f"{minor}."):
            return found[0], f"package {package}"
    return minor, place.stdlib


def _binaries(tree: Tree, place: _Place, node: File) -> list[tuple[str, bytes]]:
    """The interpreter and its shared libraries, with what was found in them."""
    found = [(f"the interpreter of {place.prefix or '/'}", node.content or b"")]
    folders = [f"{place.prefix}/lib", f"{place.prefix}/lib64"]
    folders += [
        f"{folders[0]}/{name}" for name in tree.names(folders[0]) if name.endswith(("-gnu", "-gnueabihf"))
    ]
    for folder in folders:
        for name in tree.names(folder):
            node_ = tree.at(f"{folder}/{name}")
            if name.startswith(f"libpython{place.minor}.so") and isinstance(node_, File) and node_.content:
                found.append((f"{folder}/{name}", node_.content))
    return found


def _soabi(tree: Tree, place: _Place) -> str:
    for name in tree.names(place.stdlib):
        if name.startswith("_sysconfigdata") and (told := _SOABI.search(tree.read(f"{place.stdlib}/{name}"))):
            return told[1]
    matches = (_EXTENSION.search(name) for name in tree.names(f"{place.stdlib}/lib-dynload"))
    return next((match[1] for match in matches if match), "")


def _site(tree: Tree, place: _Place) -> tuple[str, ...]:
    """As `site.getsitepackages` has it: Debian's, Fedora's and everybody else's."""
    prefix, python = place.prefix, f"python{place.minor}"
    patches = tree.read(f"{place.stdlib}/site.py").split("\n")
    if "dist-packages" in patches:
        return (f"{prefix}/local/lib/{python}/dist-packages", f"{prefix}/lib/python3/dist-packages",
                f"{prefix}/lib/{python}/dist-packages")  # fmt: skip
    data = [tree.read(f"{place.stdlib}/{name}") for name in tree.names(place.stdlib) if "sysconfig" in name]
    match = next((found for text in data if (found := _LIBDIR.search(text))), None)
    libs = dict.fromkeys((match[1] if match else place.stdlib.split("/")[-2], "lib"))
    local = (
        ("/usr/local",) if prefix == "/usr" and any(text[1:-1] == "/usr/local" for text in patches) else ()
    )
    return tuple(f"{each}/{lib}/{python}/site-packages" for each in (*local, prefix) for lib in libs)


def _installed(tree: Tree, paths: tuple[str, ...]) -> tuple[Installed, ...]:
    """By path: the first of two with one name is the one that is imported."""
    found: dict[str, Installed] = {}
    for path in paths:
        for name in tree.names(path):
            folder, metadata = f"{path}/{name}", ""
            if name.endswith(".dist-info"):
                metadata = tree.read(f"{folder}/METADATA")
            elif name.endswith(".egg-info"):
                metadata = tree.read(f"{folder}/PKG-INFO") or tree.read(folder)
            fields = dict(reversed(_FIELD.findall(metadata.split("\n\n")[0])))
            if "Name" in fields and "Version" in fields:
                project = re.sub(r"[-_.]+", "-", fields["Name"]).lower()
                by = tree.read(f"{folder}/INSTALLER").strip()[:100]
                found.setdefault(project, Installed(project, fields["Version"], folder, by))
    return tuple(found[name] for name in sorted(found))


def _modules(tree: Tree, paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in MODULES if any(_module(tree, path, f"{name}/__init__") for path in paths))


def _lacks(tree: Tree, place: _Place) -> tuple[str, ...]:
    """Nothing of a zipped library is known: it is taken to be whole."""
    if tree.at(f"{place.prefix}/lib/python{place.minor.replace('.', '')}.zip"):
        return ()
    return tuple(
        name.removesuffix("/__init__").replace("/", ".")
        for name in STDLIB
        if not _module(tree, place.stdlib, name)
    )


def _module(tree: Tree, folder: str, name: str) -> bool:
    return any(isinstance(tree.at(f"{folder}/{name}{ending}"), File) for ending in (".py", ".pyc"))
