"""Build bases, as far as they have changed, and send them where they go.

1. `folder.py` reads bases.toml, bases.lock and contexts; `definitions.py` and `lock.py` check them.
2. `plan.py` puts them in order, gives each its key, and asks the engine and the destinations what is there.
3. `carry_out` builds what is missing, lowest first, with the engine (`engine.py`).
4. `deliver.py` sends images to destinations that lack them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from buildkit.bases.base import Base
from buildkit.bases.dockerfiles import deliver
from buildkit.bases.dockerfiles.arguments import PARENT
from buildkit.bases.dockerfiles.context import DOCKERFILE
from buildkit.bases.dockerfiles.definitions import Definition
from buildkit.bases.dockerfiles.engine import Image, Recipe
from buildkit.bases.dockerfiles.folder import FOLDER, Dockerfiles
from buildkit.bases.dockerfiles.key import labels
from buildkit.bases.dockerfiles.lock import pin_of
from buildkit.bases.dockerfiles.order import Node, below
from buildkit.bases.dockerfiles.parents import Parent, Sources, find_parent, read_base
from buildkit.bases.dockerfiles.plan import Questions, Step, Wish, check_wish, is_there, make_plan
from buildkit.bases.dockerfiles.steps import Said, read_steps
from buildkit.bases.dockerfiles.targets import Target
from buildkit.bases.dockerfiles.unpinned import unpinned
from buildkit.copy import copy
from buildkit.errors import Refused, TreeshipError, Unavailable
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform
from buildkit.image.reference import DaemonReference, Reference, RegistryReference, parse_reference

_PARENT_NAME = "treeship-base/parent"


class Watch(Protocol):
    """Told what an engine says while it builds."""

    def said(self, base: str, said: Said) -> None:
        """A step, or a line of one."""

    def done(self) -> None:
        """No build runs any more."""


class Overrides(NamedTuple):
    """Parents in place of those of bases.toml: for one base by its name, for all others by ""."""

    parents: Mapping[str, Reference]

    def of(self, name: str) -> Reference | None:
        """The one for this base."""
        return self.parents.get(name, self.parents.get(""))


class Outcome(NamedTuple):
    """What became of a step: the engine's image, if it is there, and the digest at each destination."""

    step: Step
    image: Image | None
    built: bool
    sent: tuple[Target, ...]


def plan(folder: Dockerfiles, wish: Wish, overrides: Overrides, sources: Sources) -> list[Step]:
    """What would be done; see `plan.make_plan`."""
    definitions, pins = folder.definitions(), folder.pins()

    def parent(definition: Definition, platform: Platform) -> Parent:
        reference = overrides.of(definition.name)
        if reference is not None:
            return find_parent(reference, None, platform, sources)
        assert definition.parent is not None
        return find_parent(definition.parent, pin_of(definition, pins), platform, sources)

    steps = make_plan(
        definitions,
        wish,
        Questions(
            context=folder.context,
            parent=parent,
            image=sources.engine.image,
            present=lambda target, key: deliver.present(target, key, sources.connect),
        ),
    )
    for step in steps:
        _mind_unpinned(step, sources)
    return steps


def check(folder: Dockerfiles, wish: Wish) -> None:
    """What can be wrong with bases.toml, bases.lock and the wish, so that it is said before an engine is needed."""
    definitions = folder.definitions()
    folder.pins()
    check_wish(definitions, wish)


def carry_out(steps: Sequence[Step], sources: Sources, watch: Watch, network: str = "") -> list[Outcome]:
    """Build what is needed, and then send. Raises what the engine, or a destination, complains of."""
    images: dict[Node, Image] = {step.node: step.image for step in steps if step.image is not None}
    try:
        for step in steps:
            if step.needed:
                images[step.node] = _build(step, images, sources, watch, network)
    finally:
        watch.done()
    return [_outcome(step, images.get(step.node), sources) for step in steps]


def parse_overrides(texts: Sequence[str], names: Sequence[str]) -> Overrides:
    """`--parent REF`, or `NAME=REF` for one of `names`."""
    found: dict[str, Reference] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        mine = bool(equals) and name in names
        found[name if mine else ""] = parse_reference(rest if mine else text)
    return Overrides(found)


def _mind_unpinned(step: Step, sources: Sources) -> None:
    """Images and URLs that a Dockerfile names besides its parent: the key knows their names, not what they hold."""
    found = unpinned(step.context.dockerfile, step.arguments)
    where = f"{FOLDER}/{step.definition.name}/{DOCKERFILE}"
    if found and sources.frozen:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Refused(
            f"{where}, {found[0]}: not pinned{more}",
            "name images with @sha256:…, URLs with --checksum=sha256:…, or leave --frozen out",
        )
    for one in found:
        sources.note(f"{where}, {one}: not pinned, so the key does not cover what it holds")


def _build(step: Step, images: Mapping[Node, Image], sources: Sources, watch: Watch, network: str) -> Image:
    under = below(step.definition)
    parent = images[under].id if under else _from(step, sources)
    recipe = Recipe(
        step.context.tar,
        {**step.arguments, PARENT: parent},
        _labels(step),
        step.node.stage,
        None if step.platform == Platform.of_host() else step.platform,
        network,
        step.engine_name,
    )
    for said in read_steps(sources.engine.build(recipe), str(step.node)):
        watch.said(str(step.node), said)
    image = sources.engine.image(step.engine_name)
    if image is None or not is_there(image, step.key):
        raise Unavailable(f"the Docker Engine does not have {step.engine_name} after building it",
                          "another build may have taken the name: run it again")  # fmt: skip
    return image


def _labels(step: Step) -> dict[str, str]:
    """A base on a neighbour says which parent both stand on: that is what others can look up."""
    return labels(
        step.node,
        step.key,
        description=step.definition.description,
        parent_name=step.root.name,
        parent_digest=(step.root.digest or "") if step.root.name else "",
    )


def _from(step: Step, sources: Sources) -> str:
    """What FROM gets: an id of the engine, a name that it loads by digest, or the name of what is loaded here."""
    parent = step.root
    if parent.engine_id:
        return parent.engine_id
    if isinstance(parent.reference, RegistryReference):
        assert parent.reference.digest is not None
        # Docker takes a name with a tag and a digest too, but looks up the digest alone.
        return f"{parent.reference.name}@{parent.reference.digest}"
    name = DaemonReference(_PARENT_NAME, Digest(parent.identity).hex[:12])
    copy(parent.reference, name, sources.connect, platforms=(step.platform,))
    return f"{name.name}:{name.tag}"


def _outcome(step: Step, image: Image | None, sources: Sources) -> Outcome:
    missing = [target for target in step.targets if target.digest is None]
    parent = _layers_of(step, sources) if missing else None
    sent = {target: target._replace(digest=_send(step, target, parent, sources)) for target in missing}
    return Outcome(step, image, step.needed, tuple(sent.get(target, target) for target in step.targets))


def _send(step: Step, target: Target, parent: Base | None, sources: Sources) -> Digest:
    name, _, tag = step.engine_name.rpartition(":")
    return deliver.send(DaemonReference(name, tag), target, parent, sources.connect)


def _layers_of(step: Step, sources: Sources) -> Base | None:
    """The parent with its layers; where it cannot be had any more, they come from the engine like the others."""
    if step.root.base is not None or step.root.engine_id:
        return step.root.base
    try:
        return read_base(step.root.reference, step.platform, sources)
    except TreeshipError:
        return None
