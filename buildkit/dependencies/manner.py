"""How wheels become a layer, as the settings say: what is left out of them, and in which form it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from buildkit.config.values import Holds
from buildkit.image.annotations import LAYER_PATHS, LAYER_SLIM
from buildkit.image.digest import Digest, is_digest
from buildkit.layers.layer import Written
from buildkit.spool import SpooledBlob
from buildkit.wheels import estargz, installed, slim, splice
from buildkit.wheels.archive import Archive
from buildkit.wheels.installed import Plan, merged
from buildkit.wheels.scheme import Scheme
from buildkit.wheels.slim import Slimmed

# What making a layer tells beside its digests, and its descriptor repeats: how each is recognized in another's.
_TOLD: Mapping[str, Callable[[str], object]] = {
    LAYER_PATHS: re.compile(r"[0-9]{1,9}").fullmatch,
    LAYER_SLIM: slim.read_summary,
    estargz.TOC_DIGEST: is_digest,
    estargz.UNCOMPRESSED_SIZE: re.compile(r"[0-9]{1,19}").fullmatch,
}


class Made(NamedTuple):
    """A layer, and the annotations that came of its making."""

    written: Written
    told: dict[str, str]


class Manner(NamedTuple):
    """`slim` are names of rules, `keep` patterns of what they leave alone; see docs/settings.md."""

    slim: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    estargz: bool = False

    @classmethod
    def of(cls, holds: Holds) -> Manner:
        """What a commit's settings say."""
        return cls(holds.slim, holds.slim_keep if holds.slim else (), holds.estargz)

    def recipe(self) -> str:
        """Everything beside the wheels and their places that decides the bytes of a layer; a part of its key."""
        form = estargz.recipe() if self.estargz else splice.recipe()
        return f"{form}, slim {slim.identity(self.slim, self.keep)}" if self.slim else form

    def plan(self, archive: Archive, scheme: Scheme) -> Slimmed:
        """What a wheel installs, and what was left out of it."""
        found = installed.plan(archive, scheme)
        return slim.slim(found, self.slim, self.keep) if self.slim else Slimmed(found, ())

    def told_by(self, annotations: Mapping[str, str]) -> dict[str, str] | None:
        """What a trusted descriptor tells of such a layer; None where something lacks, or is in no known form."""
        names = [LAYER_PATHS, *([estargz.TOC_DIGEST, estargz.UNCOMPRESSED_SIZE] if self.estargz else [])]
        if any(name not in annotations for name in names):
            return None
        names += [LAYER_SLIM] if self.slim and LAYER_SLIM in annotations else []
        told = {name: annotations[name] for name in names}
        return told if all(_TOLD[name](text) for name, text in told.items()) else None

    def write(self, slimmed: Sequence[Slimmed], blob: SpooledBlob) -> Made:
        """Write the layer of these wheels. Their archives must stay open until the blob was read: it refers to what it
        took as it was."""
        plans = [each.plan for each in slimmed]
        if self.estargz:
            lazy = estargz.write_estargz(plans, blob.write)
            return Made(lazy.written, self._told(slimmed) | lazy.annotations)
        written = splice.write_wheels(plans, blob.write, blob.refer)
        return Made(written, self._told(slimmed))

    def write_known(self, plans: Sequence[Plan], blob: SpooledBlob, diff_id: Digest) -> Written:
        """The same bytes where the diff id is known: nothing is inflated that is only copied."""
        if self.estargz:
            return estargz.write_known_estargz(plans, blob.write, diff_id=diff_id).written
        return splice.write_known(plans, blob.write, blob.refer, diff_id=diff_id)

    def _told(self, slimmed: Sequence[Slimmed]) -> dict[str, str]:
        told = {LAYER_PATHS: str(len(merged([each.plan for each in slimmed])))}
        removed = list(chain.from_iterable(each.removed for each in slimmed))
        return told | {LAYER_SLIM: slim.summary(removed)} if removed else told


PLAIN = Manner()
"""All of each wheel, spliced."""
