"""What single values must be like, beyond their type. Each check returns the value in its normal form.

They raise ValueError with the fault; the caller knows the file and key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from buildkit.errors import InvalidInput
from buildkit.image.platform import Platform
from buildkit.image.reference import LayoutReference, RegistryReference, Scratch, parse_reference

# Compiled by those who use them: most builds have few settings.
_CONTROL = r"[\x00-\x1f\x7f]"
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(?::[A-Za-z0-9_][A-Za-z0-9_.-]*\$?)?"
_VARIANT = r"[a-z0-9][a-z0-9._-]{0,47}"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
_SCHEME = r"[a-z][a-z0-9+.-]*://"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_LONGEST_PATH, _LONGEST_NAME = 2048, 255
# Compiling patterns takes a second for 64 KiB, and a commit may be hostile.
PATTERNS_LIMIT = 64 * 1024


def commit_base(text: str) -> str:
    """A base that a commit may name: nothing on the machine that builds, outside the repository."""
    reference = parse_reference(text)
    if isinstance(reference, LayoutReference):
        if reference.directory.startswith(("/", "~")) or ".." in reference.directory.split("/"):
            raise ValueError("a commit may name no layout outside its repository; name it with --base")
        return text
    if isinstance(reference, RegistryReference | Scratch):
        return text
    raise ValueError(f"a commit may not name {text.partition(':')[0]}: images; name it with --base")


def platforms(texts: Sequence[str]) -> tuple[str, ...]:
    """Platforms by their normal names, each once."""
    normal = tuple(str(Platform.parse(text)) for text in texts)
    if len(set(normal)) != len(normal):
        raise ValueError("a platform is named twice")
    return normal


def prefix(text: str) -> str:
    """An absolute, normal directory; `/` is the root itself."""
    if not text.startswith("/"):
        raise ValueError("expected an absolute path, like /app")
    _path_parts(text.removeprefix("/") or "root")
    return text


def below(text: str, root: str) -> str:
    """A path in the image: absolute as it is, relative below `root`, `.` for `root` itself."""
    if text == ".":
        return root
    if text == "/":
        return text
    _path_parts(text.removeprefix("/"))
    return text if text.startswith("/") else f"{root.rstrip('/')}/{text}"


def search_path(texts: Sequence[str], root: str) -> tuple[str, ...]:
    """Entries for PATH or PYTHONPATH."""
    for text in texts:
        if ":" in text:
            raise ValueError("an entry has a ':', which separates entries; make it two")
    return tuple(below(text, root) for text in texts)


def _path_parts(text: str) -> None:
    plain(text)
    parts = text.split("/")
    if ".." in parts:
        raise ValueError("a path may not have '..'")
    if "." in parts or "" in parts:
        raise ValueError("expected a path without '.', '//' and '/' at the end")
    if any(part.startswith(".wh.") for part in parts):
        raise ValueError("a name with '.wh.' in front would delete files of the base")
    if len(text.encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        raise ValueError("the path, or a name in it, is longer than Linux can open")


def plain(text: str) -> str:
    """Something that is said on one line."""
    if not text or re.search(_CONTROL, text):
        raise ValueError("expected one line of text")
    return text


def patterns(texts: Sequence[str]) -> tuple[str, ...]:
    """Gitignore patterns that can match something."""
    if sum(map(len, texts)) > PATTERNS_LIMIT:
        raise ValueError(f"patterns of more than {PATTERNS_LIMIT} characters in all")
    for text in texts:
        nothing = not text.strip() or text.startswith("#")
        if nothing or re.search(_CONTROL, text):
            raise ValueError(f"{text[:60]!r} is no gitignore pattern")
    return tuple(texts)


def user(text: str) -> str:
    """As in a Dockerfile's USER."""
    if not re.fullmatch(_USER, text):
        raise ValueError("expected name, uid, name:group or uid:gid")
    return text


def words(texts: Sequence[str]) -> tuple[str, ...]:
    """An argv."""
    if any("\0" in text for text in texts):
        raise ValueError("a word has a NUL character")
    return tuple(texts)


def named_texts(table: Mapping[str, str]) -> dict[str, str]:
    """Labels or environment variables: plain names, and values that a process can take."""
    for name, value in table.items():
        if not name or "=" in name or re.search(_CONTROL, name):
            raise ValueError(f"{name[:60]!r} is no name: it may not be empty, have '=' or span lines")
        if "\0" in value:
            raise ValueError(f"the value of {name[:60]!r} has a NUL character")
    return dict(table)


def source_url(text: str) -> str:
    """A URL that everybody who has the image may read."""
    plain(text)
    if not re.match(_SCHEME, text):
        raise ValueError("expected a URL, like https://git.example/team/project")
    who, at, _ = text.partition("://")[2].partition("/")[0].rpartition("@")
    if at and (":" in who or text.startswith("http")):
        raise ValueError("the URL has credentials, which everybody who has the image could read")
    return text


def variant_name(text: str) -> str:
    """It becomes part of a tag, behind the commit."""
    if not re.fullmatch(_VARIANT, text):
        raise ValueError("a variant's name has lower-case letters, digits, '.', '_' and '-', at most 48")
    if text == "all":
        raise ValueError("no variant may be called all: --variant all builds every one")
    return text


def lock(text: str) -> str:
    """The path of a file of the commit."""
    if text.startswith("/"):
        raise ValueError("expected a path from the root of the repository, without a '/' in front")
    _path_parts(text)
    return text


def slim_rules(texts: Sequence[str]) -> tuple[str, ...]:
    """Names of rules, each once, in an order of their own."""
    from buildkit.wheels.slim import chosen

    return tuple(rule.name for rule in chosen(texts))


def names_of_parts(texts: Sequence[str]) -> tuple[str, ...]:
    """Names of extras or dependency groups, each once."""
    for text in texts:
        if not re.fullmatch(_PART, text):
            raise ValueError(f"{text[:60]!r} is no name of an extra or a group")
    return tuple(dict.fromkeys(texts))


def destinations(texts: Sequence[str]) -> tuple[str, ...]:
    """References that can be written to."""
    return _references(texts, "an image cannot go to scratch")


def reuse_sources(texts: Sequence[str]) -> tuple[str, ...]:
    """References that layers may be known from."""
    return _references(texts, "scratch has no layers")


def kept(texts: Sequence[str]) -> tuple[str, ...]:
    """References or patterns of tags."""
    from buildkit.retention.keep import parse_entries

    return tuple(entry.text for entry in parse_entries(texts))


def _references(texts: Sequence[str], no_scratch: str) -> tuple[str, ...]:
    if any(isinstance(parse_reference(text), Scratch) for text in texts):
        raise ValueError(no_scratch)
    return tuple(texts)


def hosts(texts: Sequence[str]) -> tuple[str, ...]:
    """Hosts with or without port."""
    for text in texts:
        if not re.fullmatch(_HOST, text):
            raise ValueError("expected hosts like registry.example:5000, without scheme and path")
    return tuple(texts)


def lfs_url(text: str) -> str:
    """An LFS endpoint."""
    plain(text)
    if not text.startswith(("https://", "http://", "file://")):
        raise ValueError("expected an https://, http:// or file:// URL")
    return text


def index_url(text: str) -> str:
    """A package index's simple API. Raises ValueError, which does not repeat it: it may have credentials."""
    plain(text)
    netloc = text.partition("://")[2].partition("/")[0]
    if not text.startswith(("https://", "http://")) or not re.fullmatch(_HOST, netloc.rpartition("@")[2]):
        raise ValueError("expected an https:// URL, like https://index.example/simple")
    if set(text) & set("?# \\"):
        raise ValueError("expected a URL without query and fragment")
    return text


def folders(texts: Sequence[str]) -> tuple[str, ...]:
    """Folders of the machine that builds."""
    return tuple(plain(text) for text in texts)


def fault_of(error: ValueError | InvalidInput) -> str:
    """What is wrong, in one line: references have errors of their own."""
    return f"{error.what}; {error.remedy}" if isinstance(error, InvalidInput) else str(error)
