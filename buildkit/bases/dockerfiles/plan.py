"""What a build of bases would do: keys first, then what is there already, then what is missing below it.

1. Parents get their identity (`parents.py`), contexts and arguments are hashed, and each base has its key (`key.py`).
2. The engine's image of a base's name counts when its label is the key; so does an image at a destination.
3. From the top down: a base is built when somebody needs it and the engine lacks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from buildkit.bases.dockerfiles import key as keys
from buildkit.bases.dockerfiles.arguments import chosen, refuse_unknown
from buildkit.bases.dockerfiles.context import Context
from buildkit.bases.dockerfiles.definitions import Definition
from buildkit.bases.dockerfiles.engine import Image
from buildkit.bases.dockerfiles.order import Node, below, ordered
from buildkit.bases.dockerfiles.parents import Parent
from buildkit.bases.dockerfiles.targets import Target, targets_of
from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform

_ENGINE_NAME = "treeship-base/"


class Wish(NamedTuple):
    """What is asked for: bases, their arguments, where they go, and for which platform (default: this machine's)."""

    names: tuple[str, ...]
    arguments: Mapping[str, str]
    to: tuple[str, ...] = ()
    platform: Platform | None = None


class Step(NamedTuple):
    """One base, or a stage of one, with all that its build takes. `root` is the parent at the bottom of it.

    `image` is what the engine has of exactly this; `needed` says whether it is built.
    """

    node: Node
    definition: Definition
    key: Digest
    root: Parent
    context: Context
    arguments: Mapping[str, str]
    platform: Platform
    targets: tuple[Target, ...] = ()
    image: Image | None = None
    needed: bool = False

    @property
    def engine_name(self) -> str:
        """What the image is called in the engine."""
        return engine_name(self.node, self.platform)


class Questions(NamedTuple):
    """What a plan has to know of the world outside."""

    context: Callable[[str], Context]
    parent: Callable[[Definition, Platform], Parent]
    image: Callable[[str], Image | None]
    present: Callable[[Target, Digest], Digest | None]


def make_plan(definitions: Mapping[str, Definition], wish: Wish, questions: Questions) -> list[Step]:
    """The steps, lowest first; nothing has been changed anywhere. Raises what is wrong with any of it."""
    nodes = check_wish(definitions, wish)
    steps: dict[Node, Step] = {}
    for node in nodes:
        steps[node] = _step(definitions[node.name], node, steps, wish, questions)
    return _with_needs(list(steps.values()), set(wish.names))


def check_wish(definitions: Mapping[str, Definition], wish: Wish) -> list[Node]:
    """What has to be looked at, lowest first. Raises what is wrong before anybody is asked anything."""
    nodes = ordered(definitions, wish.names)
    used = [definitions[node.name] for node in nodes]
    refuse_unknown(wish.arguments, (each.arguments for each in used))
    for definition in used:
        _platform(definition, wish.platform)
    return nodes


def engine_name(node: Node, platform: Platform) -> str:
    """What the image of a base is called in the engine; the name moves with each change."""
    foreign = "" if platform == Platform.of_host() else f"-{platform.architecture}{platform.variant}"
    return f"{_ENGINE_NAME}{node.name}:{node.stage or 'latest'}{foreign}"


def is_there(image: Image | None, key: Digest) -> bool:
    """Whether an image is the one of this key."""
    return image is not None and image.labels.get(keys.KEY) == key


def _step(
    definition: Definition, node: Node, below_it: Mapping[Node, Step], wish: Wish, questions: Questions
) -> Step:
    platform = _platform(definition, wish.platform)
    under = below(definition)
    root = below_it[under].root if under else questions.parent(definition, platform)
    context, arguments = questions.context(node.name), chosen(definition.arguments, wish.arguments)
    key = keys.key_of(
        node, context=context.digest, parent=below_it[under].key if under else root.identity,
        arguments=arguments, platform=platform,
    )  # fmt: skip
    step = Step(node, definition, key, root, context, arguments, platform)
    image = questions.image(step.engine_name)
    if not node.stage and node.name in wish.names:
        targets = targets_of(wish.to, node.name, key, alone=len(set(wish.names)) == 1)
        step = step._replace(targets=tuple(t._replace(digest=questions.present(t, key)) for t in targets))
    return step._replace(image=image if is_there(image, key) else None)


def _with_needs(steps: Sequence[Step], wanted: set[str]) -> list[Step]:
    """From the top down: who is built needs what it stands on."""
    needed: set[Node] = set()
    for step in reversed(steps):
        asked = not step.node.stage and step.node.name in wanted
        lacks = not step.targets or any(target.digest is None for target in step.targets)
        if step.image is None and ((asked and lacks) or step.node in needed):
            needed.add(step.node)
            if under := below(step.definition):
                needed.add(under)
    return [step._replace(needed=step.node in needed and step.image is None) for step in steps]


def _platform(definition: Definition, wanted: Platform | None) -> Platform:
    platform = wanted or Platform.of_host()
    if platform not in definition.platforms:
        offers = ", ".join(map(str, definition.platforms))
        raise InvalidInput(f"{definition.name} is not for {platform}, but for {offers}",
                           "name one of these with --platform")  # fmt: skip
    return platform
