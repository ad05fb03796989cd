"""The images of one commit: one, or every variant; each is designed by itself, and they share layers and look-ups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from buildkit import build
from buildkit.build import Delivery, Opened
from buildkit.commands.workbench import Workbench
from buildkit.config.values import ALL_VARIANTS
from buildkit.design import Design, design
from buildkit.destinations import destinations
from buildkit.production import Product


class Job(NamedTuple):
    """One image: what it will be made of, and its destinations, which were asked already."""

    plan: Design
    opened: Sequence[Opened]


class Done(NamedTuple):
    """One image, and what was or would be done with it."""

    product: Product
    delivered: Sequence[Delivery]


def jobs(found: Workbench) -> list[Job]:
    """The images that were asked for; all are designed before the first of them is made."""
    places = found.places
    several = places.variant == ALL_VARIANTS
    reuse = places.reuse_from if places.reuse_enabled else ()
    begun = []
    for holds in found.variants:
        wanted = destinations(
            places.to, found.commit.oid, holds.selected, commit_tag=places.commit_tag, among_others=several
        )
        opened = build.open_destinations(found.bench, found.commit, holds, wanted)
        begun.append(Job(design(found.bench, found.commit, holds, reuse, wanted), opened))
    return begun
