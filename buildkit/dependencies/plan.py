"""What of a lock goes into an image, as values: the wheels, their layers, and why each is there. Pure.

All of it follows from the lock and the base's Python; no wheel has been read yet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from buildkit.dependencies.interpreter import Interpreter
from buildkit.dependencies.manner import PLAIN, Manner
from buildkit.dependencies.partition import Scheme as Partition
from buildkit.dependencies.partition import Sized
from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.wheels import scheme as schemes
from buildkit.wheels.locks.model import LockedWheel
from buildkit.wheels.record import same_version


class WheelLayer(NamedTuple):
    """The wheels that share a layer, by name. The key covers all that decides its bytes."""

    name: str
    key: Digest
    wheels: tuple[LockedWheel, ...]


class Carried(NamedTuple):
    """A distribution that the lock names and the base has, in that version."""

    name: str
    version: str


class WheelPlan(NamedTuple):
    """The dependency layers of one image, lowest first. `lock` is its path in the commit; `why` says for each wheel
    which requirement pulled it in."""

    lock: str
    scheme: schemes.Scheme
    layers: tuple[WheelLayer, ...]
    carried: tuple[Carried, ...]
    why: Mapping[str, str]
    manner: Manner = PLAIN

    @property
    def wheels(self) -> tuple[LockedWheel, ...]:
        """All of them, in the order of their layers."""
        return tuple(wheel for layer in self.layers for wheel in layer.wheels)

    @property
    def key(self) -> Digest:
        """Equal for the same wheels under the same rules, however they are spread over layers."""
        return layer_key(self.wheels, self.scheme, self.manner)

    def dump(self) -> bytes:
        """For the cache."""
        return json.dumps(self._replace(why=dict(self.why))).encode()

    @classmethod
    def load(cls, data: bytes) -> WheelPlan | None:
        """The inverse of `dump`; None where it is of another make."""
        try:
            lock, scheme, layers, carried, why, manner = json.loads(data)
            return cls(
                _text(lock),
                schemes.Scheme(*_texts(scheme)),
                tuple(_layer(*layer) for layer in layers),
                tuple(Carried(*_texts(each)) for each in carried),
                dict(zip(why, _texts(list(why.values())), strict=True)),
                _manner(*manner),
            )
        except (ValueError, TypeError, AttributeError, RecursionError, InvalidInput):
            return None


def carried_and_left(
    wheels: Iterable[LockedWheel], interpreter: Interpreter, why: Callable[[str], str]
) -> tuple[list[Carried], list[LockedWheel]]:
    """Which wheels the base has already, and those that are to be brought.

    InvalidInput where it has one in another version: two versions in one image are none that anybody has tried.
    """
    carried, left = [], []
    for wheel in wheels:
        version, place = interpreter.carried.get(wheel.name, ("", ""))
        same = same_version(version, wheel.version)
        if version and not same:
            raise InvalidInput(
                f"the lock has {wheel.name} {wheel.version} ({why(wheel.name)}), and the base has {wheel.name} "
                f"{version} in {place}",
                f"lock {wheel.name}=={version}, or use a base that does not bring it",
            )
        if same:
            carried.append(Carried(wheel.name, version))
        else:
            left.append(wheel)
    return carried, left


def lay_out(
    wheels: Sequence[LockedWheel],
    sizes: Mapping[str, int],
    extra: Callable[[str], bool],
    scheme: schemes.Scheme,
    partition: Partition,
    manner: Manner = PLAIN,
) -> tuple[WheelLayer, ...]:
    """The layers of these wheels, whose hashes have a sha256 each; `sizes` are in bytes, by name."""
    by_name = {wheel.name: wheel for wheel in wheels}
    sized = [Sized(wheel.name, sizes[wheel.name], extra(wheel.name)) for wheel in wheels]
    layers = []
    for name, group in partition.groups(sized):
        held = tuple(by_name[each.name] for each in sorted(group))
        layers.append(WheelLayer(name, layer_key(held, scheme, manner), held))
    return tuple(layers)


def layer_key(wheels: Sequence[LockedWheel], scheme: schemes.Scheme, manner: Manner = PLAIN) -> Digest:
    """Of everything that decides the bytes of a layer: the wheels' own bytes, where they go, and how it is written.

    Also of what the lock says of them, their names and sizes: the layer's annotation repeats the names. The wheels are
    held against that when the layer is made, and a lock that says otherwise must not find it.
    """
    named = sorted(f"{wheel.name}=={wheel.version} {wheel.size} {sha256_of(wheel)}" for wheel in wheels)
    parts = [manner.recipe(), *scheme, *named]
    return Digest.of("".join(f"{part}\0" for part in parts).encode())


def sha256_of(wheel: LockedWheel) -> str:
    """The wheel's sha256 in hex. The lock may have others; then whoever fetched it has put this one in their place."""
    return next(each.removeprefix("sha256:") for each in wheel.hashes if each.startswith("sha256:"))


def has_sha256(wheel: LockedWheel) -> bool:
    """Whether its sha256 is known: requirements files name those of all files of a version."""
    return sum(each.startswith("sha256:") for each in wheel.hashes) == 1


def _manner(rules: Any, keep: Any, estargz: Any) -> Manner:
    if type(estargz) is not bool:
        raise TypeError("not a switch")
    return Manner(tuple(_texts(rules)), tuple(_texts(keep)), estargz)


def _layer(name: Any, key: Any, wheels: Iterable[Any]) -> WheelLayer:
    return WheelLayer(_text(name), Digest(key), tuple(_wheel(*wheel) for wheel in wheels))


def _wheel(*fields: Any) -> LockedWheel:
    *texts, size, hashes = fields
    if size is not None and type(size) is not int:
        raise TypeError("not a size")
    return LockedWheel._make([*_texts(texts), size, tuple(_texts(hashes))])


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list):
        raise TypeError("not a list")
    return [_text(value) for value in values]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
