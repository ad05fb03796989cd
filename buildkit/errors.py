"""One error tree: each class carries its exit code, each message says what happened and what to do.

The codes are the same for every verb and are documented in docs/errors.md.
"""

from __future__ import annotations

from typing import ClassVar

# A page of treeship's own repository, which is also part of its source distribution.
DOCS = "docs/errors.md#"


class TreeshipError(Exception):
    """Something a person can act on.

    `what` says what happened and where, `remedy` what to do about it. Neither may hold a secret.
    """

    exit_code: ClassVar[int] = 70
    anchor: ClassVar[str] = "bug"

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    @property
    def docs(self) -> str:
        """The section of treeship's documentation that explains this kind of error."""
        return DOCS + self.anchor

    def __str__(self) -> str:
        return f"{self.what}\nhint: {self.remedy}" if self.remedy else self.what


class InvalidInput(TreeshipError):
    """Wrong usage, settings, repository or content; trying again changes nothing (exit 2)."""

    exit_code = 2
    anchor = "invalid-input"


class NotFound(InvalidInput):
    """What was named does not exist: commit, image, object, blob (exit 2)."""

    anchor = "not-found"


class AccessDenied(InvalidInput):
    """The outside system refused who we are: 401 and 403 (exit 2)."""

    anchor = "access-denied"


class CorruptContent(InvalidInput):
    """Bytes do not have the digest, size or form that they were named by (exit 2)."""

    anchor = "corrupt-content"


class Refused(TreeshipError):
    """Understood and possible, but not allowed as it stands: policy, moved tag, not equal (exit 3)."""

    exit_code = 3
    anchor = "refused"


class Unavailable(TreeshipError):
    """An outside system failed; trying again may help: time-out, 429, 5xx, disk full (exit 4)."""

    exit_code = 4
    anchor = "unavailable"


class Locked(TreeshipError):
    """Somebody else holds the lock (exit 5)."""

    exit_code = 5
    anchor = "locked"
