"""The verbs of delivery, one file each; `VERBS` is the table that `ci.__main__` adds to those of `buildkit`."""

from __future__ import annotations

from buildkit.commands import Verb

VERBS: tuple[Verb, ...] = ()
