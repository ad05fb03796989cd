"""Plans without what slim rules remove: RECORD says the same as the files, and what was importable stays so.

plan → paths below the scheme's folders → rules (`slim_rules.py`) → refusals → plan, and what was removed by which rule.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from buildkit.config.keys import guess
from buildkit.config.patterns import PatternSet
from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.wheels import payload, record
from buildkit.wheels.archive import Member
from buildkit.wheels.installed import File, Plan
from buildkit.wheels.record import Hash
from buildkit.wheels.slim_rules import RULES, VERSION, Rule, is_code, tree

_MOST_ENTRY_POINTS = 64 << 20


class Removed(NamedTuple):
    """What one rule removed: paths in the image without leading '/', sorted, and their size in bytes."""

    rule: str
    size: int
    paths: tuple[bytes, ...]


class Slimmed(NamedTuple):
    """A plan without what rules removed; a rule that removed nothing is not among `removed`."""

    plan: Plan
    removed: tuple[Removed, ...]


class LeftOut(NamedTuple):
    """What one rule removed from the wheels of a layer: their number, bytes, and the sha256 (hex) of their paths."""

    files: int
    bytes: int
    sha256: str


def chosen(names: Iterable[str]) -> tuple[Rule, ...]:
    """The rules of these names, in the order of the table, each once. InvalidInput for a name that is none."""
    wanted = set(names)
    for name in sorted(wanted - RULES.keys()):
        known = "the rules are " + ", ".join(RULES)
        raise InvalidInput(f"there is no slim rule {name[:60]!r}", guess(name, RULES.keys()) or known)
    return tuple(rule for rule in RULES.values() if rule.name in wanted)


def identity(names: Iterable[str], keep: Sequence[str] = ()) -> str:
    """What of the rules decides the bytes of a layer; a part of its key. "" without rules."""
    rules = [rule.name for rule in chosen(names)]
    return json.dumps([VERSION, rules, list(keep)], separators=(",", ":")) if rules else ""


def slim(plan: Plan, names: Iterable[str], keep: Sequence[str] = ()) -> Slimmed:
    """The plan without what these rules remove; its archive must be open.

    What `keep` matches stays: patterns as in .gitignore, about paths below the folders of the scheme. InvalidInput for
    a rule that is none, and where something that is left could not be imported any more.
    """
    found = _Wheel(plan)
    blame = found.removals(chosen(names), PatternSet(keep))
    if not blame:
        return Slimmed(plan, ())
    _refuse_broken(found, blame)
    files = tuple(_recorded(found, file, blame) for file in plan.files if file.path not in blame)
    removed = tuple(each for rule in RULES if (each := _removed(rule, plan.files, blame)).paths)
    left = {_module(inner) for path, inner in found.inner.items() if path not in blame}
    top_level = tuple(name for name in plan.top_level if name in left)
    return Slimmed(plan._replace(files=files, top_level=top_level), removed)


def summary(removed: Iterable[Removed]) -> str:
    """What was removed from the wheels of a layer, for an annotation: JSON of at most 2 KiB.

    By rule: number of files, bytes, and the sha256 of their sorted paths, each with a NUL after it.
    """
    by_rule: dict[str, list[Removed]] = {}
    for each in removed:
        by_rule.setdefault(each.rule, []).append(each)
    found = {rule: _summed(by_rule[rule])._asdict() for rule in RULES if rule in by_rule}
    return json.dumps(found, separators=(",", ":")) if found else ""


def read_summary(text: str) -> dict[str, LeftOut]:
    """The inverse of `summary`, by rule in the order of the table; nothing of what is no summary."""
    try:
        found = json.loads(text)
        return {rule: _left_out(**found[rule]) for rule in RULES if rule in found}
    except (ValueError, TypeError, RecursionError, InvalidInput):
        return {}


def _left_out(files: object, bytes: object, sha256: object) -> LeftOut:
    if type(files) is not int or type(bytes) is not int or min(files, bytes) < 0:
        raise TypeError("not a number of files or bytes")
    return LeftOut(files, bytes, Digest(f"sha256:{sha256}").hex)


def _summed(removed: Sequence[Removed]) -> LeftOut:
    paths = sorted(path for each in removed for path in each.paths)
    digest = hashlib.sha256(b"".join(path + b"\0" for path in paths)).hexdigest()
    return LeftOut(len(paths), sum(each.size for each in removed), digest)


class _Wheel:
    """A plan's files by their paths below the folders of the scheme; `info` is the .dist-info folder in the image."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.info = next(
            file.path.removesuffix(b"/RECORD")
            for file in plan.files
            if file.path.endswith(b".dist-info/RECORD") and isinstance(file.content, bytes)
        )
        roots = sorted((root + b"/" if root else b"" for root in plan.roots), key=len, reverse=True)
        self.inner = {file.path: _inner(file.path, roots) for file in plan.files}

    def is_metadata(self, path: bytes) -> bool:
        """Whether importlib.metadata may need it."""
        return path.startswith(self.info + b"/")

    def removals(self, rules: Sequence[Rule], kept: PatternSet) -> dict[bytes, str]:
        """The files to remove, each with the rule that removes it."""
        wheel = tree(self.inner.values())
        left = {rule.name: PatternSet(tuple(rule.left)) for rule in rules}
        found: dict[bytes, str] = {}
        for path, inner in self.inner.items():
            parts, raw = tuple(inner.split("/")), inner.encode()
            if self.is_metadata(path) or kept.matches(raw):
                continue
            for rule in rules:
                if rule.matches(wheel, parts) and not left[rule.name].matches(raw):
                    found[path] = rule.name
                    break
        return found

    def entry_points(self) -> Iterator[str]:
        """The modules that entry points name. What cannot be read names none: only scripts have been checked."""
        file = next((each for each in self.plan.files if each.path == self.info + b"/entry_points.txt"), None)
        if file is None or not isinstance(file.content, Member):
            return
        data = payload.whole(self.plan.archive, file.content, file.hash, most=_MOST_ENTRY_POINTS)
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        try:
            parser.read_string(data.decode())
        except (configparser.Error, UnicodeDecodeError):
            return
        for section in parser.sections():
            for value in parser[section].values():
                yield value.partition(":")[0].partition("[")[0].strip()


def _inner(path: bytes, roots: Sequence[bytes]) -> str:
    """The path below the innermost folder of the scheme."""
    root = next((root for root in roots if path.startswith(root)), b"")
    return path.removeprefix(root).decode()


def _removed(rule: str, files: Iterable[File], blame: Mapping[bytes, str]) -> Removed:
    found = [file for file in files if blame.get(file.path) == rule]
    return Removed(rule, sum(file.size for file in found), tuple(sorted(file.path for file in found)))


def _recorded(wheel: _Wheel, file: File, removed: Collection[bytes]) -> File:
    """The file; RECORD without the rows of what was removed."""
    if file.path != wheel.info + b"/RECORD" or not isinstance(file.content, bytes):
        return file
    start = "/" + posixpath.dirname(wheel.info.decode())
    gone = {posixpath.relpath("/" + path.decode(), start) for path in removed}
    rows = record.parse_record(file.content, wheel.plan.archive.wheel)
    data = record.write_record(row for path, row in rows.items() if path not in gone)
    return File(file.path, file.mode, data, Hash.of(data), len(data))


def _refuse_broken(wheel: _Wheel, blame: Mapping[bytes, str]) -> None:
    """InvalidInput where a rule takes a module away that something else is in, or that is named elsewhere."""
    gone = {wheel.inner[path]: rule for path, rule in blame.items()}
    code = {inner for path, inner in wheel.inner.items() if path not in blame and is_code(inner)}
    packages = {folder for path in code for folder in _above(path)}
    for path, rule in gone.items():
        folder, _, name = path.rpartition("/")
        if name == "__init__.py" and folder in packages:
            raise _broken(wheel, rule, folder, "other modules of it stay")
    for module in wheel.plan.top_level:
        lost = [path for path in gone if is_code(path) and _module(path) == module]
        if lost and not any(_module(path) == module for path in code):
            raise _broken(wheel, gone[min(lost)], module, "it is at the top, so others import it")
    for module in sorted(set(wheel.entry_points())):
        path = module.replace(".", "/")
        for each in (f"{path}.py", f"{path}/__init__.py"):
            if each in gone:
                raise _broken(wheel, gone[each], path, "an entry point names it")


def _module(path: str) -> str:
    """The module at the top that a path belongs to, if any."""
    return path.partition("/")[0].partition(".")[0]


def _broken(wheel: _Wheel, rule: str, path: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{wheel.plan.archive.wheel}: the slim rule {rule} would remove the module {path.replace('/', '.')}; {why}",
        f"leave the rule out, or keep what it needs: the pattern '/{path}/' keeps all of it",
    )


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
