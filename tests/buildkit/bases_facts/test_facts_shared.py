"""Facts of bases beside the images: hints, which no build waits for or fails by."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from buildkit.bases.base import Base
from buildkit.bases.facts import Facts
from buildkit.bases.facts_cache import read_facts
from buildkit.bases.facts_shared import publication, read_shared
from buildkit.cache import NoCache
from buildkit.endpoints import Silent
from buildkit.errors import AccessDenied, CorruptContent, NotFound, TreeshipError, Unavailable
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document
from buildkit.image.reference import LayoutReference
from buildkit.layout import LayoutSink, LayoutSource
from tests.buildkit.dependencies.support import Notes, slim_base

OUT = Unavailable("cannot reach registry.example", "try again")


class Failing:
    """A repository that says this to every question, from the manifest on or only for blobs."""

    def __init__(self, error: TreeshipError, behind: LayoutSource | None = None) -> None:
        self._error = error
        self._behind = behind

    def document(self, wanted: str | Digest = "") -> Document:
        if self._behind:
            return self._behind.document(wanted)
        raise self._error

    def blob(self, descriptor: Descriptor) -> BinaryIO:
        raise self._error


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return slim_base(tmp_path_factory.mktemp("base") / "base", {"pip": "24.0"})


@pytest.fixture(scope="module")
def facts(base: Base) -> Facts:
    return read_facts(base, NoCache(), Silent())


@pytest.fixture
def site(base: Base, facts: Facts, tmp_path: Path) -> LayoutSource:
    reference = LayoutReference(str(tmp_path / "site"), "")
    LayoutSink(reference).publish(publication(base, facts))
    return LayoutSource(reference)


def test_the_first_repository_that_has_them_gives_them(base: Base, facts: Facts, site: LayoutSource) -> None:
    notes = Notes()
    nothing = Failing(NotFound("no such tag", "push it"))
    damaged = Failing(CorruptContent("another digest", "fetch it again"), site)
    assert read_shared(base, [nothing, damaged, site], notes) == facts
    assert read_shared(base, [nothing], notes) is None
    assert not notes


@pytest.mark.parametrize("error", [OUT, AccessDenied("registry.example answered 401", "log in")])
@pytest.mark.parametrize("late", [False, True])
def test_one_that_does_not_answer_is_passed_over_and_said(
    base: Base, facts: Facts, site: LayoutSource, error: TreeshipError, late: bool
) -> None:
    notes = Notes()
    silent = Failing(error, site if late else None)
    assert read_shared(base, [silent, site], notes) == facts
    assert read_shared(base, [silent], notes) is None
    assert len(notes) == 2
    assert error.what in notes[0]
