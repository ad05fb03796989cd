"""What the texts in a lock must be like. Whoever wrote the commit wrote them, and may be hostile.

No message quotes a URL: it may carry a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from buildkit.errors import InvalidInput

if TYPE_CHECKING:
    from packaging.tags import Tag

TEXT_LIMIT = 32 * 1024
"""Characters in one text of a lock; markers of large projects have a few thousand."""
TAGS_LIMIT = 256
"""Tags that one file name may stand for: they multiply."""
# All patterns here take time in proportion to the text, however it was made.
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:/[^\s\\?#]*)?(?:\?[^\s\\#]*)?(?:#[^\s\\#]*)?"
)
_CREDENTIALS = re.compile(r":/+[^\s/?#@]*@")
_SSH_USER = re.compile(r"(?:git\+)?ssh://[\w.-]+@")
STRONG = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Hash algorithms that a wheel can be trusted by, with the length of their digests in hexadecimal digits."""
_HEX = re.compile(r"[0-9a-f]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FILENAME = re.compile(r"[A-Za-z0-9_.+!-]{1,251}\.whl")


def has_credentials(text: str) -> bool:
    """Whether a URL in it has a user or password. A user alone is no secret where ssh needs one."""
    return bool(_CREDENTIALS.search(_SSH_USER.sub("", text)))


def credentials_error(where: str) -> InvalidInput:
    """For `where` a URL has credentials; they are not said again."""
    return InvalidInput(
        f"{where}: a URL has credentials, which everybody who reads the repository has",
        "take them out of the lock, revoke them, and give them to the machine that builds (netrc)",
    )


def check_url(text: str, where: str) -> str:
    """An http(s) URL without credentials. Raises InvalidInput."""
    if has_credentials(text):
        raise credentials_error(where)
    if not _URL.fullmatch(text):
        raise InvalidInput(f"{where}: not an https:// URL", "a lock names files by https:// URLs")
    return text


def url_filename(url: str) -> str:
    """The file name that a URL ends with, unquoted."""
    return unquote(re.split(r"[?#]", url, maxsplit=1)[0].rpartition("/")[2])


def check_path(text: str, where: str, folder: str = "") -> str:
    """A path in the commit, normal, relative to its root, for a path that is relative to `folder`.

    Raises InvalidInput for what is or could be outside: absolute, `..`, Windows' ways to write paths, ~.
    """
    parts = text.split("/")
    strange = _CONTROL.search(text) or "\\" in text or ":" in parts[0] or text.startswith(("/", "~"))
    if not text or strange or ".." in parts or len(text) > 2048:
        # What looks like a URL may hold a credential.
        shown = "" if re.search("[:@]", text) else f" {text[:80]!r}"
        raise InvalidInput(
            f"{where}: the path{shown} is outside of the commit, or not plain",
            "name it relative to the lock, with '/' and without '..'",
        )
    return "/".join(part for part in [*folder.split("/"), *parts] if part not in ("", ".")) or "."


def check_hashes(texts: Iterable[str], where: str) -> tuple[str, ...]:
    """Those of "algorithm:hex" that a wheel can be trusted by, sorted. Raises InvalidInput where there is none."""
    strong = set()
    for text in texts:
        algorithm, _, digest = text.lower().partition(":")
        length = STRONG.get(algorithm)
        if length and (len(digest) != length or not _HEX.fullmatch(digest)):
            raise InvalidInput(f"{where}: not a {algorithm} digest: {digest[:80]!r}", "lock it again")
        if length:
            strong.add(f"{algorithm}:{digest}")
    if not strong:
        raise InvalidInput(
            f"{where} has no sha256", "lock it again with sha256 hashes (md5 and sha1 can be forged)"
        )
    return tuple(sorted(strong))


@lru_cache(4096)
def parse_wheel(filename: str) -> tuple[str, str, frozenset[Tag]]:
    """(normal name, normal version, tags) of a wheel's file name. Raises ValueError."""
    from packaging.utils import parse_wheel_filename

    check_filename(filename)
    name, version, _, tags = parse_wheel_filename(filename)
    return name, str(version), tags


def check_filename(filename: str) -> None:
    """Raises ValueError for what is no name of a wheel, or stands for too many tags to list them."""
    if not _FILENAME.fullmatch(filename):
        raise ValueError(f"not the name of a wheel: {filename[:80]!r}")
    count = 1
    for part in filename.removesuffix(".whl").split("-")[-3:]:
        count *= part.count(".") + 1
    if count > TAGS_LIMIT:
        raise ValueError(f"a name for {count} tags: {filename[:80]!r}")
