"""Who may import whom, what may touch the world outside, what a start may load, and how large things may get.

When one of these fails, the usual remedy is to move code to where it belongs; a list below is changed only when the
architecture (docs/architecture.md) is.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from buildkit.testing.repositories import ThrowAwayRepository
from tests import sources
from tests.sources import ROOT, imported_modules, imports, modules

# Values in, values out. These are equal on every machine, and tests need nothing to try them.
PURE = {
    "buildkit.assemble", "buildkit.bases.dockerfiles.arguments", "buildkit.bases.dockerfiles.definitions",
    "buildkit.bases.dockerfiles.instructions", "buildkit.bases.dockerfiles.inventory",
    "buildkit.bases.dockerfiles.key", "buildkit.bases.dockerfiles.lock",
    "buildkit.bases.dockerfiles.order", "buildkit.bases.dockerfiles.pin", "buildkit.bases.dockerfiles.plan",
    "buildkit.bases.dockerfiles.steps", "buildkit.bases.dockerfiles.targets",
    "buildkit.bases.dockerfiles.unpinned", "buildkit.bases.facts",
    "buildkit.bases.findings", "buildkit.bases.pythons", "buildkit.bases.tree", "buildkit.bases.wanted",
    "buildkit.compare", "buildkit.config.checks", "buildkit.config.holds", "buildkit.config.keys",
    "buildkit.config.patterns", "buildkit.config.places", "buildkit.config.show", "buildkit.config.table",
    "buildkit.config.toml", "buildkit.config.values", "buildkit.config.wildmatch", "buildkit.dependencies.clashes",
    "buildkit.dependencies.interpreter", "buildkit.dependencies.known", "buildkit.dependencies.manner",
    "buildkit.dependencies.partition", "buildkit.dependencies.plan", "buildkit.image.canonical",
    "buildkit.image.config", "buildkit.image.descriptor", "buildkit.image.digest", "buildkit.image.manifest",
    "buildkit.image.media", "buildkit.image.platform", "buildkit.image.reference", "buildkit.inspect",
    "buildkit.layers.groups", "buildkit.layers.gzip", "buildkit.layers.key", "buildkit.layers.layer",
    "buildkit.layers.members", "buildkit.layers.partition", "buildkit.layers.tar", "buildkit.layoutindex",
    "buildkit.lfs.attributes", "buildkit.lfs.pointer", "buildkit.plan", "buildkit.rebase.environment",
    "buildkit.rebase.fit", "buildkit.rebase.history", "buildkit.rebase.merge", "buildkit.rebase.report",
    "buildkit.rebase.swap", "buildkit.registry.challenge", "buildkit.registry.secret", "buildkit.retention.applying",
    "buildkit.retention.documents", "buildkit.retention.names", "buildkit.retention.plan",
    "buildkit.retention.planfile", "buildkit.retention.stock", "buildkit.selection", "buildkit.wheels.slim",
    "buildkit.wheels.slim_rules", "buildkit.wheels.toc",
}  # fmt: skip
IMPURE = {
    "asyncio", "ctypes", "docker", "fcntl", "ftplib", "glob", "http", "io", "locale", "mmap", "multiprocessing",
    "pathlib", "random", "requests", "select", "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib", "urllib3", "uuid",
}  # fmt: skip
# What of the impure a pure module may take: nothing here reads or writes anything.
HARMLESS = {("sys", "intern"), ("pathlib", "PurePosixPath"), ("io", "BytesIO")}
# Two threads of one computation, and the two questions to the machine that settings have as their defaults.
EXCUSED = {
    "buildkit.layers.members": {"threading."},
    "buildkit.config.places": {"cpu_count"},
    "buildkit.image.platform": {"uname"},
}

SOCKETS = {
    "buildkit.registry.pool": "all connections to registries",
    "buildkit.registry.wire": "what is said on them",
    "buildkit.registry.url": "no connections: only what the system takes for an IPv4 address",
    "buildkit.daemon": "the docker SDK",
    "buildkit.lfs.http": "LFS servers, by requests",
    "buildkit.lfs.batch": "what is said to them",
    "buildkit.testing.registry.server": "the registry for tests",
}
OPENS_SOCKETS = {
    "socket",
    "ssl",
    "http",
    "requests",
    "urllib3",
    "urllib.request",
    "docker",
    "socketserver",
    "asyncio",
}

PROCESSES = {
    "buildkit.git.process": "git",
    "buildkit.registry.helper": "docker-credential-*",
    "buildkit.wheels.fetch.keyring": "keyring, for logins of package indexes",
    "buildkit.wheels.locks.uvlock": "uv, which alone reads its lock",
    "buildkit.testing.repositories": "git, for throw-away repositories",
}
OTHER_WAYS = {"multiprocessing", "concurrent.futures.process", "pty"}

# Loaded when they are used: each costs a start more than all that treeship does.
HEAVY = {
    "argparse",
    "boto3",
    "docker",
    "git",
    "kubernetes",
    "msgspec",
    "pathspec",
    "requests",
    "rich",
    "tomllib",
    "urllib3",
}

# Run by name, or loaded by a table of names (VERBS), not imported.
ENTRIES = {"ci.__main__", "ci.page", "buildkit.config.page"}


def test_buildkit_never_imports_ci() -> None:
    guilty = {
        name: found for name in modules() if name.startswith("buildkit") for found in _imported(name, "ci")
    }
    assert not guilty


def test_ci_takes_only_public_names_of_buildkit() -> None:
    taken = [
        (name, f"{module}.{each}")
        for name, tree in modules().items()
        if name.split(".")[0] == "ci"
        for module, names in imports(tree)
        if module.split(".")[0] == "buildkit"
        for each in (names or ("",))
    ]
    assert taken, "ci uses buildkit"
    private = [
        pair
        for pair in taken
        if any(part.startswith("_") and part != "__version__" for part in pair[1].split("."))
    ]
    assert not private


def test_what_is_shipped_imports_neither_tests_nor_tools() -> None:
    outside = {"tests", "benchmarks", "demo", "pytest", "hypothesis"}
    assert not {(name, found) for name in modules() for found in _top_level(name) & outside}


def test_the_library_does_not_import_its_own_test_helpers() -> None:
    guilty = {name for name in modules() if "testing" not in name and _imported(name, "buildkit.testing")}
    assert not guilty


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_touch_nothing_outside(name: str) -> None:
    tree = modules()[name]
    touched = {
        f"{module}.{each}"
        for module, names in imports(tree)
        if module.split(".")[0] in IMPURE
        for each in (names or ("",))
        if (module, each) not in HARMLESS
    }
    excused = EXCUSED.get(name, set())
    assert not touched - excused
    assert not set(_uses_of_os(tree)) - excused, "os.path is the only part of os that touches nothing"
    assert not [
        call
        for call in ast.walk(tree)
        if isinstance(call, ast.Name) and call.id in ("open", "input", "print")
    ]


def test_only_these_modules_may_open_sockets() -> None:
    assert {name for name in modules() if _touches(name, OPENS_SOCKETS)} == set(SOCKETS)


def test_only_these_modules_may_start_processes() -> None:
    assert {name for name, tree in modules().items() if list(_calls_of(tree, "subprocess"))} == set(PROCESSES)
    assert not {name for name in modules() if _touches(name, OTHER_WAYS)}
    starts = ("system", "popen", "fork", "exec", "spawn", "posix_spawn")
    guilty = {
        name for name, tree in modules().items() for used in _uses_of_os(tree) if used.startswith(starts)
    }
    assert not guilty, "os has ways to start processes too"


def test_nothing_runs_through_a_shell_and_nothing_is_unpickled() -> None:
    shells = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "shell"
    }
    assert not shells
    assert not {name for name in modules() if _touches(name, {"pickle", "marshal", "shelve", "dill"})}


def test_every_module_is_used() -> None:
    """A module that nobody imports is dead, or a promise."""
    used = {found for tree in modules().values() for found in imported_modules(tree)}
    verbs = {verb.module for verb in import_module("ci.__main__").VERBS}
    idle = {
        name
        for name in modules().keys() - used - verbs - ENTRIES
        if not name.startswith("buildkit.testing") and not _is_package(name)
    }
    assert not idle


def test_every_package_says_what_comes_in_what_goes_out_and_where_to_start() -> None:
    for name, tree in modules().items():
        if _is_package(name) and not name.startswith(("ci.commands", "buildkit.testing")):
            said = ast.get_docstring(tree) or ""
            assert "In:" in said, name
            assert "Out:" in said, name
            assert "tart reading at" in said, name


def test_every_module_and_every_public_function_has_a_docstring() -> None:
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in modules().items()
        for node in _public_definitions(tree)
        # Faults say it in their class's docstring.
        if not name.startswith(("buildkit.testing.registry", "buildkit.testing.index"))
        if not ast.get_docstring(node) and not isinstance(node, ast.ClassDef)
    ]
    assert not [name for name, tree in modules().items() if not ast.get_docstring(tree)]
    assert not silent


def test_files_and_functions_stay_small() -> None:
    """A guard against the unsplit `main` that every project grows; the median is a fraction of this."""
    checked = sources.files("buildkit", "ci", "demo", "tests", "benchmarks")
    long_files = [str(file) for file in checked if len(file.read_text().splitlines()) > _most_lines(file)]
    assert not long_files
    long_functions = [
        f"{file}:{node.lineno} {node.name}"
        for file in checked
        for node in ast.walk(sources.parse(file))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert not long_functions


def test_tests_use_small_classes_and_no_mocks() -> None:
    guilty = [
        str(file)
        for file in sources.files("tests")
        for module, names in imports(sources.parse(file))
        if module.startswith(("unittest", "mock", "pytest_mock")) or "mock" in names
    ]
    assert not guilty


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_load_nothing_heavy(words: list[str]) -> None:
    loaded = _loaded(words)
    assert "ci.__main__" in loaded
    assert not loaded & (HEAVY | {"buildkit.build", "subprocess", "socket", "json", "pathlib"})


def test_a_build_without_change_loads_only_what_it_needs(tmp_path: Path) -> None:
    """Neither SDKs nor a settings parser, where there are no settings; no registry client for a layout."""
    repository = ThrowAwayRepository(tmp_path / "repository")
    repository.commit({"train.py": b"print(1)\n"})
    words = [
        "build",
        "--repo",
        str(tmp_path / "repository"),
        "--base",
        "scratch",
        "--to",
        f"oci:{tmp_path}/oci:app",
    ]
    _loaded(words)
    loaded = _loaded(words)
    assert "buildkit.layout" in loaded
    assert not loaded & (HEAVY - {"argparse"})
    assert not loaded & {
        "buildkit.registry.client",
        "buildkit.daemon",
        "buildkit.archive",
        "ssl",
        "http",
        "asyncio",
    }


def test_a_projects_own_ci_folder_stays_importable(tmp_path: Path) -> None:
    """Many projects have one, and run treeship from their root: both must be found, whichever comes first."""
    for name, text in (("mine.py", "VALUE = 7\n"), ("__init__.py", "")):
        for project in ("with_init", "namespace"):
            if (project, name) != ("namespace", "__init__.py"):
                (tmp_path / project / "ci").mkdir(parents=True, exist_ok=True)
                (tmp_path / project / "ci" / name).write_text(text)
    program = "import ci.mine, ci.__main__; print(ci.mine.VALUE)"
    for project in ("with_init", "namespace"):
        path = f"{ROOT}{os.pathsep}{tmp_path / project}"
        assert _python("-c", program, env={"PYTHONPATH": path}).strip() == "7"


def _touches(name: str, wanted: set[str]) -> bool:
    return any(
        found == each or found.startswith(f"{each}.")
        for module, names in imports(modules()[name])
        for found in (module, *(f"{module}.{one}" for one in names))
        for each in wanted
    )


def _imported(name: str, package: str) -> set[str]:
    return {m for m, _ in imports(modules()[name]) if m == package or m.startswith(f"{package}.")}


def _top_level(name: str) -> set[str]:
    return {module.split(".")[0] for module, _ in imports(modules()[name])}


def _calls_of(tree: ast.Module, module: str) -> Iterator[str]:
    """Functions of MODULE that are called, not types or exceptions of it that are named."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if isinstance(node.func.value, ast.Name) and node.func.value.id == module:
                yield node.func.attr
        elif isinstance(node, ast.ImportFrom) and node.module == module:
            yield from (alias.name for alias in node.names)


def _uses_of_os(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr != "path":
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (alias.name for alias in node.names)


def _public_definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield inner


def _is_package(name: str) -> bool:
    return (ROOT / name.replace(".", "/") / "__init__.py").exists()


def _most_lines(file: Path) -> int:
    """A file of tests is a list; it may be longer than a module."""
    return 400 if file.relative_to(ROOT).parts[0] != "tests" else 800


def _loaded(words: list[str]) -> set[str]:
    """The modules that are there when a run of the command ends."""
    program = (
        "import sys; from ci.__main__ import main; "
        "code = main(sys.argv[1:]); print(code, *sys.modules, file=sys.stderr)"
    )
    code, *names = _python("-c", program, *words, stream="stderr").splitlines()[-1].split()
    assert code == "0"
    return set(names)


def _python(*words: str, env: dict[str, str] | None = None, stream: str = "stdout") -> str:
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **(env or {})},
        cwd="/",
        check=False,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout if stream == "stdout" else done.stderr
