"""requirements.txt with hashes, as pip-compile, `uv export` and `uv pip compile` write it.

A file without a single hash is no lock. In one with hashes every requirement has some, is pinned with `==` (or names a
wheel by URL or path), and anything that is no wheel is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.wheels.locks import checks
from buildkit.wheels.locks.lines import Line, Reader, read_lines
from buildkit.wheels.locks.model import Lock, LockedPackage, LockedWheel, NotALock

_HASH = re.compile(r"\s--hash(?:=|\s+)(\S+)")
_HAS_HASH = re.compile(r"\s--hash(?:=|\s)|[#&]sha(?:256|384|512)=")
_FRAGMENT = re.compile(r"[#&](sha256|sha384|sha512)=([0-9A-Fa-f]+)")
_OPTION = re.compile(r"(--?[a-z][a-z-]*)(?:=|\s+|$)(.*)")
_VCS = re.compile(r"(?:^|\s|@\s*)(?:git|hg|svn|bzr)\+")
_ARCHIVE = re.compile(r"\.(?:tar\.(?:gz|bz2|xz)|tgz|zip)$")
# These change nothing where only wheels are taken and every file has a hash.
_HARMLESS = frozenset(("--only-binary", "--prefer-binary", "--require-hashes", "--pre", "--trusted-host"))
_INDEX = frozenset(("-i", "--index-url", "--pypi-url"))
_EXTRA = "--extra-index-url"
_LINKS = frozenset(("-f", "--find-links"))


class _Options(NamedTuple):
    index_url: str | None
    extra_indexes: tuple[str, ...]
    find_links: tuple[str, ...]


def read_requirements(
    data: bytes, source: str = "requirements.txt", read: Reader | None = None
) -> Lock | NotALock:
    """The lock in a requirements file at `source`, a path in the commit; `read` gives other files of the commit.

    Raises InvalidInput with the line for everything that cannot be selected from: a requirement without hash or pin,
    `-e`, a repository, an include where there is no `read`, a URL with credentials, a path out of the commit.
    """
    lines = read_lines(data, source, read)
    requirements = [line for line in lines if not line.text.startswith("-") or line.text.startswith("-e")]
    if not any(_HAS_HASH.search(line.text) for line in lines) and (requirements or _faults(lines)):
        return NotALock(source, "no requirement in it has a hash")
    _check(lines)
    options = _options(lines)
    packages = [_package(line, source) for line in requirements if not line.constraint]
    _check_constraints([line for line in requirements if line.constraint], packages)
    return Lock(source, tuple(packages), **options._asdict())


def _faults(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.fault]


def _check(lines: Sequence[Line]) -> None:
    for line in lines:
        if checks.has_credentials(line.text):
            raise checks.credentials_error(line.place)
        if line.fault:
            raise InvalidInput(f"{line.place} {line.fault}", "write the whole lock to one file of the commit")
        if line.text.startswith(("-e", "--editable")):
            raise InvalidInput(
                f"{line.place}: an editable requirement is no wheel",
                "leave it out: the commit's own files are in the image (`uv export --no-emit-project`)",
            )
        if _VCS.search(line.text):
            raise InvalidInput(
                f"{line.place}: a repository is no wheel",
                "build a wheel of it, and lock that one with its hash",
            )


def _options(lines: Sequence[Line]) -> _Options:
    index: str | None = ""
    extra: list[str] = []
    links: list[str] = []
    for line in lines:
        found = _OPTION.fullmatch(line.text) if line.text.startswith("-") else None
        if not line.text.startswith("-") or (found and found[1] in _HARMLESS):
            continue
        value = found[2].strip().strip("\"'") if found else ""
        if found and found[1] in _INDEX:
            index = checks.check_url(value, line.place)
        elif found and found[1] == _EXTRA:
            extra.append(checks.check_url(value, line.place))
        elif line.text == "--no-index":
            index = None
        elif found and found[1] in _LINKS:
            links.append(_link(value, line.place))
        else:
            raise InvalidInput(
                f"{line.place}: the option {line.text.split()[0][:40]!r} is not understood",
                "leave it out of the lock",
            )
    return _Options(index, tuple(extra), tuple(links))


def _link(value: str, place: str) -> str:
    return (
        checks.check_url(value, place) if "://" in value else checks.check_path(value, place, _folder(place))
    )


def _folder(place: str) -> str:
    return place.rpartition(":")[0].rpartition("/")[0]


def _package(line: Line, source: str) -> LockedPackage:
    """One requirement. The errors name its line."""
    hashes = [found.lower() for found in _HASH.findall(line.text)]
    text = _HASH.sub("", line.text).strip()
    hashes += [f"{algorithm}:{digest}" for algorithm, digest in _FRAGMENT.findall(text)]
    if not hashes:
        raise InvalidInput(
            f"{line.place}: {_name(text)} has no hash, others in {source} have",
            "lock again with hashes for all (`uv export`, `pip-compile --generate-hashes`)",
        )
    if re.search(r"\s--?[a-z]", text):
        raise InvalidInput(f"{line.place}: an option other than --hash", "lock again without it")
    checked = checks.check_hashes(hashes, f"{line.place}: {_name(text)}")
    if re.match(r"https?://|\.{0,2}/|[^\s;@=<>]+\.whl(?:\s|$)", text):
        location, _, marker = (part.strip() for part in text.partition(" ;"))
        return _direct(location, marker, checked, line)
    return _named(text, checked, line)


def _named(text: str, hashes: tuple[str, ...], line: Line) -> LockedPackage:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if len(text) > checks.TEXT_LIMIT:
        raise InvalidInput(f"{line.place}: a requirement of {len(text)} characters", "correct it")
    try:
        found = Requirement(text)
    except (InvalidRequirement, ValueError, RecursionError):
        raise InvalidInput(
            f"{line.place}: not a requirement: {_name(text)}", "write it like name==1.2.3"
        ) from None
    name, marker = canonicalize_name(found.name), str(found.marker or "")
    if found.url:
        return _direct(found.url, marker, hashes, line, name)
    pins = [each for each in found.specifier if each.operator == "==" and not each.version.endswith(".*")]
    if len(pins) != 1 or len(found.specifier) != 1:
        raise InvalidInput(f"{line.place}: {name} is not pinned", "write it like name==1.2.3")
    return LockedPackage(
        name, _version(pins[0].version), marker=marker, hashes=hashes, place=f"{line.place}: {name}"
    )


def _version(text: str) -> str:
    from packaging.version import Version

    return str(Version(text))


def _direct(location: str, marker: str, hashes: tuple[str, ...], line: Line, name: str = "") -> LockedPackage:
    """A file by URL or path; `name` is what the requirement calls it, "" where it does not."""
    at_url = "://" in location
    url = checks.check_url(location, line.place).partition("#")[0] if at_url else ""
    path = "" if at_url else checks.check_path(location.partition("#")[0], line.place, _folder(line.place))
    filename = checks.url_filename(url) if at_url else path.rpartition("/")[2]
    if _ARCHIVE.search(filename):
        own = name or filename[:80]
        return LockedPackage(own, sdist=True, marker=marker, place=f"{line.place}: {own}")
    try:
        normal, version, _ = checks.parse_wheel(filename)
    except ValueError:
        raise InvalidInput(f"{line.place}: it names no wheel", "name a file that ends with .whl") from None
    if name and name != normal:
        raise InvalidInput(f"{line.place}: {name} is at a wheel of {normal}", "correct one of them")
    wheel = LockedWheel(normal, version, filename, url, path, hashes=hashes)
    return LockedPackage(normal, version, (wheel,), marker=marker, place=f"{line.place}: {normal}")


def _check_constraints(constraints: Sequence[Line], packages: Sequence[LockedPackage]) -> None:
    """What is pinned is pinned; a constraint can only contradict it."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    pinned: dict[str, list[LockedPackage]] = {}
    for package in packages:
        pinned.setdefault(package.name, []).append(package)
    for line in constraints:
        try:
            found = Requirement(_HASH.sub("", line.text).strip())
        except (InvalidRequirement, ValueError, RecursionError):
            raise InvalidInput(f"{line.place}: not a constraint", "write it like name<2") from None
        for package in pinned.get(canonicalize_name(found.name), ()):
            # Which of several constraints applies depends on the target; a lock's maker has seen to it.
            if not found.marker and not found.specifier.contains(package.version or "0", prereleases=True):
                raise InvalidInput(f"{package.place} contradicts {line.place}", "lock again")


def _name(text: str) -> str:
    """What a message may say of a requirement: its name, nothing of a URL."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}(?=[\s=<>!~@;\[,]|$)", text)
    return found[0] if found else "a requirement"
