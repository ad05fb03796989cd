"""What is built, what is used as it is, and what nobody needs: with stand-ins for the engine and the destinations."""

from __future__ import annotations

from typing import Any

import pytest

from buildkit.bases.dockerfiles.context import Context
from buildkit.bases.dockerfiles.definitions import Definition, parse_definitions
from buildkit.bases.dockerfiles.engine import Image
from buildkit.bases.dockerfiles.key import KEY
from buildkit.bases.dockerfiles.parents import Parent
from buildkit.bases.dockerfiles.plan import Questions, Step, Wish, make_plan
from buildkit.bases.dockerfiles.steps import Said, read_steps
from buildkit.bases.dockerfiles.targets import Target
from buildkit.config.toml import Place
from buildkit.errors import InvalidInput, Unavailable
from buildkit.image.digest import Digest
from buildkit.image.platform import Platform

HOST = str(Platform.of_host())
TEXT = f"""
[slim]
parent = "registry.example/python:3"
platforms = ["{HOST}"]
arguments = {{ VERSION = "1" }}
[box]
on = "slim"
stage = "packages"
platforms = ["{HOST}"]
"""
TO = "registry.example/bases/{name}:main"


class World:
    """Contexts, parents, an engine and a destination that tests change."""

    def __init__(self) -> None:
        self.contexts = {"slim": b"a", "box": b"b"}
        self.parent = Digest.of(b"parent")
        self.engine: dict[str, Image] = {}
        self.places: dict[str, Digest] = {}
        self.definitions = parse_definitions(TEXT.encode(), Place("bases.toml"))

    def plan(self, *names: str, to: str = "", **arguments: str) -> list[Step]:
        wish = Wish(names, arguments, (to,) if to else ())
        return make_plan(
            self.definitions, wish, Questions(self._context, self._parent, self.engine.get, self._present)
        )

    def build(self, *names: str, **arguments: str) -> None:
        """As if the engine had built all that is needed."""
        for step in self.plan(*names, **arguments):
            if step.needed:
                self.engine[step.engine_name] = Image(Digest.of(step.key.encode()), {KEY: step.key})

    def _context(self, name: str) -> Context:
        return Context(self.contexts[name], Digest.of(self.contexts[name]))

    def _parent(self, definition: Definition, platform: Platform) -> Parent:
        assert definition.parent is not None
        return Parent(definition.parent, self.parent, self.parent, pinned=True)

    def _present(self, target: Target, key: Digest) -> Digest | None:
        return Digest.of(b"there") if self.places.get(str(target)) == key else None


def needed(steps: list[Step]) -> list[str]:
    return [str(step.node) for step in steps if step.needed]


def test_at_first_everything_is_built_and_then_nothing() -> None:
    world = World()
    assert needed(world.plan("box", "slim")) == ["slim:packages", "box", "slim"]
    world.build("box", "slim")
    assert needed(world.plan("box", "slim")) == []
    assert [step.key for step in world.plan("box")] == [step.key for step in world.plan("box")]


@pytest.mark.parametrize("change", ["context", "parent", "argument", "below"])
def test_a_changed_input_is_built_again_with_what_stands_on_it(change: str) -> None:
    world = World()
    world.build("box")
    arguments: dict[str, str] = {}
    if change == "context":
        world.contexts["box"] = b"other"
    elif change == "parent":
        world.parent = Digest.of(b"newer")
    elif change == "argument":
        arguments["VERSION"] = "2"
    else:
        world.contexts["slim"] = b"other"
    assert needed(world.plan("box", **arguments)) == (
        ["box"] if change == "context" else ["slim:packages", "box"]
    )


def test_an_image_of_the_same_name_and_another_key_is_not_taken() -> None:
    world = World()
    world.build("box")
    box = world.plan("box")[-1]
    world.engine[box.engine_name] = Image(Digest.of(b"x"), {KEY: Digest.of(b"another key")})
    assert needed(world.plan("box")) == ["box"]
    del world.engine[world.plan("box")[0].engine_name]
    assert needed(world.plan("box")) == ["slim:packages", "box"], "what it stands on has gone too"


def test_nothing_is_built_for_what_its_destination_has() -> None:
    world = World()
    world.places["registry.example/bases/box:main"] = world.plan("box", to=TO)[-1].key
    steps = world.plan("box", to=TO)
    assert needed(steps) == []
    assert steps[-1].targets[0].digest == Digest.of(b"there")
    assert needed(world.plan("box", "slim", to=TO)) == ["slim"]


def test_what_the_engine_has_needs_nothing_below_it() -> None:
    world = World()
    world.build("box")
    del world.engine[world.plan("box")[0].engine_name]
    assert needed(world.plan("box")) == []


def test_destinations_need_a_place_for_each_name() -> None:
    world = World()
    assert str(world.plan("slim", to="registry.example/bases/slim")[0].targets[0]).startswith(
        "registry.example/bases/slim:"
    )
    assert str(world.plan("slim", to="oci:images")[0].targets[0]) == "oci:images:slim"
    with pytest.raises(InvalidInput, match="one place"):
        world.plan("slim", "box", to="registry.example/bases/slim:1")
    for wrong in ("scratch", f"registry.example/x@{Digest.of(b'')}"):
        with pytest.raises(InvalidInput, match="cannot be sent to"):
            world.plan("slim", to=wrong)


def test_a_platform_that_a_base_is_not_for_is_refused() -> None:
    world = World()
    wish = Wish(("slim",), {}, (), Platform("linux", "s390x"))
    with pytest.raises(InvalidInput, match="not for linux/s390x"):
        make_plan(
            world.definitions,
            wish,
            Questions(world._context, world._parent, world.engine.get, world._present),
        )


def said(*texts: str, error: str = "") -> list[dict[str, Any]]:
    return [*({"stream": text} for text in texts), *([{"error": error}] if error else [])]


def test_what_an_engine_says_is_read_without_what_a_terminal_obeys() -> None:
    items = said(
        "Step 1/2 : FROM x\n", " ---> abc\n", "10%\r20%\r\x1b[31mdone\x1b[0m\n", "Step 2/2 : RUN a   b\n"
    )
    assert list(read_steps(items, "slim")) == [
        Said("FROM x", 1, 2), Said("---> abc"), Said("10%"), Said("20%"), Said("done"), Said("RUN a   b", 2, 2),
    ]  # fmt: skip


def test_a_failing_step_is_named_with_the_end_of_its_output() -> None:
    lines = [f"line {n}\n" for n in range(50)]
    items = said(
        "Step 1/2 : FROM x\n",
        "early\n",
        "Step 2/2 : RUN false\n",
        *lines,
        error="returned a non-zero code: 1",
    )
    with pytest.raises(InvalidInput) as caught:
        list(read_steps(items, "slim"))
    assert "building slim, step 2 of 2, RUN false: returned a non-zero code: 1" in caught.value.what
    assert caught.value.what.endswith("\n  line 48\n  line 49")
    assert "line 29" not in caught.value.what
    assert "early" not in caught.value.what


def test_secrets_in_the_output_of_a_step_are_left_out() -> None:
    items = said(
        "Step 1/1 : RUN pip\n",
        "Looking in https://me:hidden@index.example/simple?sig=hidden\n",
        error="failed",
    )
    with pytest.raises(InvalidInput) as caught:
        list(read_steps(items, "slim"))
    assert "https://index.example/simple?..." in caught.value.what
    assert "hidden" not in caught.value.what


@pytest.mark.parametrize(
    ("line", "error"),
    [("E: Failed to fetch http://deb.example/x\n", "code: 100"), ("", "Get https://r.example/v2/: no such host"),
     ("write /x: no space left on device\n", "code: 1")],
)  # fmt: skip
def test_what_may_pass_is_worth_another_try(line: str, error: str) -> None:
    with pytest.raises(Unavailable):
        list(read_steps(said("Step 1/1 : RUN x\n", line, error=error), "slim"))
