"""Whether `--repo` names a remote or a folder. Apart from `remote.py`, which most builds have no need to load."""

from __future__ import annotations

import re

SCHEMES = ("https://", "http://", "ssh://", "git://", "file://")
# user@host:path, but neither a Windows drive nor a path that has a colon somewhere.
_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//).+")


def is_url(repository: str) -> bool:
    """Whether this is a URL, or host and path as ssh takes them, rather than a folder."""
    return repository.startswith(SCHEMES) or bool(_SCP.fullmatch(repository))
