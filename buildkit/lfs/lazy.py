"""LFS content for a build, set up when the first pointer is to be replaced by its content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from buildkit.config.values import Places
from buildkit.git.repository import Repository
from buildkit.selection import PointerFile


class LazyLfs:
    """The `LfsStore` of a build."""

    def __init__(self, repository: Repository, places: Places) -> None:
        self._repository = repository
        self._places = places

    def prefetch(self, wanted: Sequence[PointerFile]) -> None:
        raise NotImplementedError

    def open(self, wanted: PointerFile) -> BinaryIO:
        raise NotImplementedError
