"""An import smoke test: which modules wheels bring, and the program that imports each. Text out; others run it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from buildkit.wheels.installed import Plan

# Deeper than any namespace is.
_DEEPEST = 8

_PROGRAM = """\
import importlib, json, sys
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}"[:500]
print(json.dumps(failed))
sys.exit(bool(failed))
"""


def modules(plans: Iterable[Plan]) -> tuple[str, ...]:
    """The outermost modules that can be imported, sorted; of a namespace package, those in it."""
    return tuple(sorted({name for plan in plans for name in _modules(plan)}))


def command(python: str, names: Sequence[str]) -> list[str]:
    """Words that import these modules with this Python: the last line of stdout is JSON, failure by module.

    Exit code 1 where one failed. Importing runs code of the wheels: only in a container, or what one trusts.
    """
    return [python, "-c", _PROGRAM, json.dumps(list(names))]


def _modules(plan: Plan) -> Iterator[str]:
    paths = {inner for file in plan.files if (inner := _below_site(plan, file.path)) is not None}
    for path in paths:
        *folders, name = path.split("/")
        module, _, rest = name.partition(".")
        if len(folders) > _DEEPEST or not _is_module(module, rest, at_top=not folders):
            continue
        names = folders if module == "__init__" else [*folders, module]
        if names and all(part.isidentifier() for part in names) and not _in_package(folders, module, paths):
            yield ".".join(names)


def _is_module(name: str, suffixes: str, *, at_top: bool) -> bool:
    """Whether a file is one, and not a library: such lie in namespaces, and now and then at the top."""
    if suffixes in ("py", "pyc"):
        return True
    return at_top and suffixes.endswith("so") and not (name.startswith("lib") and suffixes == "so")


def _in_package(folders: Sequence[str], module: str, paths: set[str]) -> bool:
    """Whether a folder above is a package: what is in it is not outermost."""
    above = folders[:-1] if module == "__init__" else folders
    return any(
        f"{'/'.join(above[: count + 1])}/__init__.{suffix}" in paths
        for count in range(len(above))
        for suffix in ("py", "pyc")
    )


def _below_site(plan: Plan, path: bytes) -> str | None:
    """The path below purelib or platlib, which are the folders that a .dist-info or a top-level module is in."""
    for root in sorted(plan.roots, key=len, reverse=True):
        if path.startswith(root + b"/"):
            inner = path[len(root) + 1 :].decode()
            return inner if inner.partition("/")[0].partition(".")[0] in plan.top_level else None
    return None
