"""What slim rules remove from a wheel, and what they leave although it looks the same: one table.

A rule sees paths below the folders of the scheme (`numpy/_core/tests/test_umath.py`, `share/man/man1/f2py.1`) and the
wheel that they are of, never contents. What describes the wheel (its .dist-info) is never asked about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

# Raise it whenever any rule removes or leaves another file than before: it is a part of layer keys.
VERSION = 1

Parts = tuple[str, ...]
"""A path, split."""

_HEADERS = (".h", ".hh", ".hpp", ".hxx", ".h++", ".cuh", ".inl", ".ipp", ".tcc")
_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".cu", ".f", ".f90", ".f95", ".pyf", ".pyx", ".pxd", ".pxi", ".rs")
_CODE = re.compile(r"\.(?:pyc?|so(?:\.[0-9]+)*)\Z")
_COMPILERS = {
    "/torch/": "torch.compile and torch.utils.cpp_extension compile against them, on CPUs too",
    "/triton/": "it compiles its launchers and drivers when a kernel is first used",
    "/cupy/": "it compiles kernels with them",
    "/numba/": "it compiles kernels and modules with them",
    "/numba_cuda/": "it compiles kernels with them",
    "/warp/": "it compiles kernels with them",
    "/deepspeed/": "it compiles its operators when they are first used",
    "/flashinfer/": "it compiles its kernels when they are first used",
    "/pythran/": "it compiles what it translates with them",
    "/pycuda/": "it compiles kernels with them",
    "/pyopencl/": "it compiles kernels with them",
}
_CUDA = {
    "/nvidia/cuda_runtime/include/": "CuPy, numba and others compile kernels with them",
    "/nvidia/cuda_cccl/include/": "CuPy and others compile kernels with them",
    "/nvidia/cu[1-9][0-9]/include/": "the same, of CUDA 13 and later, which has one folder",
}


class Tree(NamedTuple):
    """The paths of a wheel: its files, the folders with code anywhere below, and those with tests directly in them."""

    files: frozenset[str]
    coded: frozenset[str]
    tested: frozenset[str]


class Rule(NamedTuple):
    """`removes` and `why` for people, `left` with the exceptions: patterns as in .gitignore, each with its reason."""

    name: str
    removes: str
    why: str
    matches: Callable[[Tree, Parts], bool]
    left: Mapping[str, str] = {}


def is_code(name: str) -> bool:
    """Whether a file of this name may be a module, or a library that one loads."""
    return bool(_CODE.search(name))


def tree(paths: Iterable[str]) -> Tree:
    """What rules look up in a wheel with these paths."""
    files = frozenset(paths)
    coded: set[str] = set()
    tested: set[str] = set()
    for path in files:
        folder, _, name = path.rpartition("/")
        if name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py")):
            tested.add(folder)
        while is_code(name) and folder and folder not in coded:
            coded.add(folder)
            folder = folder.rpartition("/")[0]
    return Tree(files, frozenset(coded), frozenset(tested))


def _tests(wheel: Tree, parts: Parts) -> bool:
    return (len(parts) > 1 and parts[-1] == "conftest.py") or any(
        name == "tests" or (name == "test" and folder in wheel.tested) for folder, name in _below(parts)
    )


def _docs(wheel: Tree, parts: Parts) -> bool:
    if parts[:2] in (("share", "man"), ("share", "info")):
        return True
    return any(name in ("doc", "docs") and folder not in wheel.coded for folder, name in _below(parts))


def _examples(wheel: Tree, parts: Parts) -> bool:
    return any(
        name in ("example", "examples") and f"{folder}/__init__.py" not in wheel.files
        for folder, name in _below(parts)
    )


def _headers(_: Tree, parts: Parts) -> bool:
    name = parts[-1]
    return name.endswith(_HEADERS) or ("include" in parts[:-1] and not is_code(name) and not _is_stub(name))


def _sources(_: Tree, parts: Parts) -> bool:
    return parts[-1].endswith(_SOURCES)


def _static(_: Tree, parts: Parts) -> bool:
    return parts[-1].endswith((".a", ".la", ".lib"))


def _bytecode(wheel: Tree, parts: Parts) -> bool:
    source = "/".join(parts).rpartition(".")[0] + ".py"
    return "__pycache__" in parts[:-1] or (parts[-1].endswith((".pyc", ".pyo")) and source in wheel.files)


def _stubs(_: Tree, parts: Parts) -> bool:
    return _is_stub(parts[-1])


def _debug(_: Tree, parts: Parts) -> bool:
    return parts[-1].endswith((".debug", ".dwo", ".dwp")) or any(
        name.endswith(".dSYM") for name in parts[:-1]
    )


def _is_stub(name: str) -> bool:
    return name.endswith(".pyi")


def _below(parts: Parts) -> list[tuple[str, str]]:
    """The folders that the path is in, each with its name, but for the first: that one may be a package of its own."""
    return [("/".join(parts[: index + 1]), parts[index]) for index in range(1, len(parts) - 1)]


_TABLE = (
    Rule(
        "tests",
        "folders `tests` inside of a package, folders `test` there with test modules in them, and `conftest.py`",
        "a package's own tests are for its developers",
        _tests,
        {
            "/numpy/_core/tests/__init__.py": "of the next",
            "/numpy/_core/tests/_natype.py": "numpy.testing imports it in several releases",
            "/astropy/tests/": "astropy imports its test runner",
            "/tables/tests/": "tables imports it",
            "/numba/tests/": "numba.testing and numba.cuda.testing import it",
            "/twisted/test/": "others import its proto_helpers",
            "/torch/": "it has no such tests, and a large API of names like these",
            "/tensorflow/": "the same",
        },
    ),
    Rule(
        "docs",
        "folders `doc` and `docs` without any code below, inside of a package or of `share`; manual and info pages",
        "nobody reads documentation in a job's container",
        _docs,
    ),
    Rule(
        "examples",
        "folders `example` and `examples` inside of a package that are no packages",
        "examples are read elsewhere",
        _examples,
    ),
    Rule(
        "headers",
        "C, C++ and CUDA headers (by suffix), and all but code in folders `include`",
        "only compilers read them",
        _headers,
        _COMPILERS | _CUDA,
    ),
    Rule(
        "sources",
        "C, C++, CUDA, Fortran, Rust and Cython sources (by suffix)",
        "they have been compiled",
        _sources,
        _COMPILERS,
    ),
    Rule(
        "static-libraries",
        "`*.a`, `*.la` and `*.lib`",
        "only linkers read them",
        _static,
        {"libcudadevrt.a": "kernels that start kernels are linked with it at run time"} | _COMPILERS,
    ),
    Rule(
        "bytecode",
        "`__pycache__`, and `*.pyc` and `*.pyo` with their source next to them",
        "Python makes it again; without a source it is the module itself, and stays",
        _bytecode,
    ),
    Rule(
        "stubs",
        "`*.pyi`",
        "only type checkers read them",
        _stubs,
        {"__init__.pyi": "packages with lazy_loader.attach_stub read it when they are imported"},
    ),
    Rule(
        "debug",
        "`*.debug`, `*.dwo`, `*.dwp` and folders `*.dSYM`",
        "only debuggers read them",
        _debug,
    ),
)
RULES: Mapping[str, Rule] = {rule.name: rule for rule in _TABLE}
"""All rules by name. A file that several match counts for the first."""
