"""What a base image holds, as a frozen value with a JSON form: found without running it.

`version` is that of the form and of the rules by which the facts were found: a new one makes old entries void.
Paths are absolute inside the image. Facts about a Python are what that interpreter would say of itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from buildkit.errors import CorruptContent
from buildkit.image import canonical

VERSION = 1
_REMEDY = "remove it: it is found out again"


class Distribution(NamedTuple):
    """os-release: ID, VERSION_ID and PRETTY_NAME; empty where it does not say."""

    id: str = ""
    version: str = ""
    name: str = ""


class Libc(NamedTuple):
    """`family` is glibc or musl, `version` like 2.36 (empty where it cannot be told), `source` how it was told."""

    family: str
    version: str
    source: str


class Cuda(NamedTuple):
    """The toolkit's or runtime's version, and how it was told."""

    version: str
    source: str


class User(NamedTuple):
    """A line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str


class Group(NamedTuple):
    """A line of /etc/group."""

    name: str
    gid: int


class Installed(NamedTuple):
    """An installed distribution: name as PEP 503 normalizes it, the path of its metadata, its INSTALLER or nothing."""

    name: str
    version: str
    path: str
    installer: str


class Python(NamedTuple):
    """An interpreter.

    `path` is the executable without links (in a virtual environment: its own), `version` like 3.11.2, or 3.11
    where more cannot be told, `source` how it was told, `soabi` like cpython-311-x86_64-linux-gnu (or empty).
    `site` are its site-packages in the order of its sys.path, whether they are there yet or not, without those of
    PYTHONPATH and .pth files. `modules` are those of boto3, pip and requests that it can import.
    `lacks` are parts of the standard library that are not there.
    """

    path: str
    version: str
    source: str
    soabi: str
    prefix: str
    site: tuple[str, ...]
    venv: bool
    externally_managed: bool
    installed: tuple[Installed, ...]
    modules: tuple[str, ...]
    lacks: tuple[str, ...]


class Program(NamedTuple):
    """A program that PATH leads to: the name asked for, and the path in PATH (a link perhaps)."""

    name: str
    path: str


class Facts(NamedTuple):
    """All of it. `python` is the path of the interpreter that `python` (or else `python3`) means on PATH, or empty.

    `merged` are directories of the root that are links, with their targets as written: bin → usr/bin.
    """

    distribution: Distribution = Distribution()
    libc: Libc | None = None
    cuda: Cuda | None = None
    pythons: tuple[Python, ...] = ()
    python: str = ""
    users: tuple[User, ...] = ()
    groups: tuple[Group, ...] = ()
    merged: tuple[tuple[str, str], ...] = ()
    programs: tuple[Program, ...] = ()

    @property
    def chosen(self) -> Python | None:
        """The interpreter that PATH leads to."""
        return next((python for python in self.pythons if python.path == self.python), None)

    def program(self, name: str) -> str:
        """Where PATH has a program; empty where it has none."""
        return next((program.path for program in self.programs if program.name == name), "")

    def dump(self) -> bytes:
        """Canonical JSON with the version number."""
        return canonical.dump({"version": VERSION, "facts": _plain(self)})

    @classmethod
    def load(cls, raw: bytes) -> Facts:
        """The inverse of `dump`. CorruptContent for another version, or anything else."""
        fields = canonical.load_object(raw, "base facts")
        if fields.get("version") != VERSION:
            raise CorruptContent(f"base facts of version {fields.get('version')!r}", _REMEDY)
        facts = _typed(cls, fields.get("facts"))
        assert isinstance(facts, Facts)
        return facts


def missing_for_metaflow(facts: Facts, env: Mapping[str, str], brought: Collection[str] = ()) -> list[str]:
    """What keeps Metaflow from running on Argo in this image, as sentences; empty when it does.

    `env` is the image's environment, `brought` names what is installed on top of the base. Each point failed a real
    run: with METAFLOW_SKIP_INSTALL_DEPENDENCIES pip is not asked for anything, so it need not be there; boto3 and
    requests must, or be put there by the build.
    """
    missing = [f"no {name} on PATH" for name in ("bash", "tar", "python") if not facts.program(name)]
    python = facts.chosen
    if python is None:
        return [*missing, "no Python interpreter was recognized"] if facts.program("python") else missing
    modules = {*python.modules, *brought}
    if python.lacks:
        missing.append(f"the standard library of {python.path} is not whole: {', '.join(python.lacks)}")
    missing += [f"{python.path} has no {name}" for name in ("boto3", "requests") if name not in modules]
    if "pip" not in modules and not env.get("METAFLOW_SKIP_INSTALL_DEPENDENCIES"):
        missing.append(
            f"{python.path} has no pip; METAFLOW_SKIP_INSTALL_DEPENDENCIES=1 in the image does as well"
        )
    return missing


def _plain(value: Any) -> Any:
    """Objects for named tuples, lists for others; text that is not Unicode is shown with replacements."""
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        if fields is None:
            return [_plain(each) for each in value]
        return {name: _plain(each) for name, each in zip(fields, value, strict=True)}
    return value


def _typed(kind: Any, value: Any) -> Any:
    """The value of this type that plain JSON stands for."""
    if isinstance(kind, UnionType):
        return None if value is None else _typed(get_args(kind)[0], value)
    if get_origin(kind) is tuple and isinstance(value, list):
        kinds = get_args(kind)
        if kinds[-1] is ...:
            return tuple(_typed(kinds[0], each) for each in value)
        if len(kinds) == len(value):
            return tuple(_typed(*pair) for pair in zip(kinds, value, strict=True))
    elif hasattr(kind, "_fields") and isinstance(value, dict) and set(value) == set(kind._fields):
        return kind(**{name: _typed(each, value[name]) for name, each in get_type_hints(kind).items()})
    elif kind in (str, int, bool) and type(value) is kind:
        return value
    raise CorruptContent(f"base facts have {str(value)[:60]!r} where {kind} is due", _REMEDY)
