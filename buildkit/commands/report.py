"""What `build` and `explain` say: one JSON object, or a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildkit import human
from buildkit.assemble import BuiltLayer
from buildkit.build import Delivery
from buildkit.commands.batch import Done
from buildkit.commands.workbench import Workbench
from buildkit.config.values import ALL_VARIANTS
from buildkit.design import Design
from buildkit.endpoints import Action
from buildkit.git import tree
from buildkit.image.annotations import LAYER_PATHS, LAYER_SLIM
from buildkit.image.digest import Digest
from buildkit.production import Product
from buildkit.terminal import Console

_STRONGEST = (Action.PUSH, Action.MOUNT, Action.REUSE)


def of_all(done: Sequence[Done], found: Workbench, seconds: float) -> dict[str, Any]:
    """The object that `--json` prints: of one image, or of every variant by name."""
    run = {"requests": found.traffic.requests, "seconds": round(seconds, 3)}
    commit = {"commit": found.commit.oid, "tree": found.commit.tree}
    if found.places.variant != ALL_VARIANTS:
        return {**commit, **_image(done[0]), **run}
    variants = {each.product.design.holds.selected: _image(each) for each in done}
    sums = {
        key: sum(image[key] for image in variants.values())
        for key in ("bytes_pushed", "bytes_mounted", "bytes_reused")
    }
    return {**commit, "variants": variants, **sums, **run}


def _image(done: Done) -> dict[str, Any]:
    """One image. With several destinations, a layer's action is the dearest of them."""
    product, delivered = done
    design = product.design
    base = design.bases[0]
    return {
        "digest": None if product.guessed else product.digest,
        "base": {"reference": str(base.reference), "digest": base.digest},
        "platforms": {
            str(image.base.platform): None if product.guessed else image.manifest.digest
            for image in product.images
        },
        "layers": _layers(product, delivered),
        "dependencies": _dependencies(design),
        "lfs_pointers": _pointers(design),
        "destinations": [
            {"reference": str(delivery.destination.reference), "tags": list(delivery.destination.tags)}
            for delivery in delivered
        ],
        "bytes_pushed": _bytes(delivered, Action.PUSH),
        "bytes_mounted": _bytes(delivered, Action.MOUNT),
        "bytes_reused": _bytes(delivered, Action.REUSE),
    }


def show_all(console: Console, result: Mapping[str, Any], *, json: bool, explain: bool = False) -> None:
    """On stdout, for a machine or for a person."""
    if json:
        console.json(result)
        return
    effort = f"in {result['requests']} requests and {result['seconds']:.2f} s"
    if "variants" not in result:
        _show(console, result, effort, explain=explain)
        return
    console.print(f"{len(result['variants'])} variants {effort}")
    for name, image in result["variants"].items():
        console.print(f"variant {name}")
        _show(console, image, "", explain=explain)


def _show(console: Console, image: Mapping[str, Any], effort: str, *, explain: bool) -> None:
    """What is last is what to use: the references."""
    _show_layers(console, image["layers"], everything=explain)
    if explain:
        _show_wheels(console, image)
    for pointer in image["lfs_pointers"]:
        shipped = {"content": "content included", "nothing": "left out"}.get(
            pointer["ships"], "kept as a pointer"
        )
        console.print(f"LFS pointer  {pointer['path']}  {human.size(pointer['size'])}  {shipped}")
    verb = "would push" if explain else "pushed"
    console.print(
        f"{verb} {human.size(image['bytes_pushed'])}, mounted {human.size(image['bytes_mounted'])}, "
        f"reused {human.size(image['bytes_reused'])} {effort}".rstrip()
    )
    digest = image["digest"] or "(its digest is known when its wheels are)"
    for destination in image["destinations"]:
        for tag in destination["tags"] or [""]:
            console.print(f"{destination['reference']}{tag and ':' + tag}@{digest}")


def _show_wheels(console: Console, result: Mapping[str, Any]) -> None:
    """Each wheel: where it is, and why."""
    rows = [("wheel", "version", "size", "layer", "action", "why")]
    for layer in result["layers"]:
        for wheel in layer["wheels"]:
            size = human.size(wheel["size"]) if wheel["size"] else ""
            rows.append((wheel["name"], wheel["version"], size, layer["name"], layer["action"], wheel["why"]))
    if len(rows) > 1:
        console.table(rows, right=frozenset({2}))
    for layer in result["layers"]:
        if layer["slim"]:
            console.print(f"left out of {layer['name']}: {_left_out(layer['slim'])}")
    if result["dependencies"]:
        for name, version in result["dependencies"]["carried"].items():
            console.print(f"{name} {version} is in the base already")


def _left_out(slim: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{rule} ({found['files']} file{'s' if found['files'] != 1 else ''}, {human.size(found['bytes'])})"
        for rule, found in slim.items()
    )


def _show_layers(console: Console, layers: Sequence[Mapping[str, Any]], *, everything: bool) -> None:
    """A build shows what it did; what was there already is one line."""
    shown = [layer for layer in layers if everything or layer["action"] != Action.REUSE]
    rows = [("layer", "reason", "action", "size", "paths", "changed" if everything else "key")]
    for layer in shown:
        inside = layer["changed"] or [f"{wheel['name']} {wheel['version']}" for wheel in layer["wheels"]]
        last = _some(inside) if everything else layer["key"][7:19]
        rows.append(
            (
                layer["name"],
                layer["reason"],
                layer["action"],
                human.size(layer["size"]),
                str(layer["paths"] or ""),
                last,
            )
        )
    if shown:
        console.table(rows, right=frozenset({3, 4}))
    if len(shown) < len(layers):
        size = sum(layer["size"] for layer in layers if layer not in shown)
        console.print(f"{len(layers) - len(shown)} layers unchanged, {human.size(size)}")


def _pointers(design: Design) -> list[dict[str, Any]]:
    """The LFS pointers of the tree, and what of each the image has."""
    holds = design.holds
    included: Callable[[bytes], bool] | None = None
    if holds.lfs_include:
        from buildkit.config.patterns import select

        included = select(holds.lfs_include, ())
    otherwise = "nothing" if holds.lfs_pointers == "drop" else "pointer"
    return [
        {
            "path": tree.show(pointer.path),
            "oid": pointer.oid,
            "size": pointer.size,
            "ships": "content" if included and included(pointer.path) else otherwise,
        }
        for pointer in design.layering.snapshot.pointers
    ]


def _layers(product: Product, delivered: Sequence[Delivery]) -> list[dict[str, Any]]:
    return [
        {
            "name": layer.name,
            "key": layer.key,
            "digest": None if layer.key in product.guessed else layer.written.digest,
            "diff_id": None if layer.key in product.guessed else layer.written.diff_id,
            "size": layer.written.size,
            "paths": int(layer.told.get(LAYER_PATHS, planned.slot.paths)),
            "reason": planned.reason,
            "action": _action(layer.written.digest, delivered),
            "changed": [tree.show(path) for path in planned.changed],
            "wheels": [wheel._asdict() for wheel in planned.wheels],
            "slim": None if layer.key in product.guessed else _slim(layer),
        }
        for layer, planned in zip(product.layers, product.design.layers, strict=True)
    ]


def _slim(layer: BuiltLayer) -> dict[str, Any]:
    """By rule, what was left out of the wheels of a layer."""
    if LAYER_SLIM not in layer.told:
        return {}
    from buildkit.wheels.slim import read_summary

    return {rule: found._asdict() for rule, found in read_summary(layer.told[LAYER_SLIM]).items()}


def _dependencies(design: Design) -> dict[str, Any] | None:
    """The lock, and what of it the base has already; None where no lock is used."""
    plans = [plan for plan in design.needs if plan is not None]
    if not plans:
        return None
    carried = {each.name: each.version for plan in plans for each in plan.carried}
    return {"lock": plans[0].lock, "carried": carried}


def _action(digest: Digest, delivered: Sequence[Delivery]) -> Action:
    actions = {delivery.receipt.actions.get(digest, Action.REUSE) for delivery in delivered}
    return next((action for action in _STRONGEST if action in actions), Action.REUSE)


def _bytes(delivered: Sequence[Delivery], action: Action) -> int:
    return sum(delivery.receipt.bytes_by(action, delivery.work.blobs) for delivery in delivered)


def _some(paths: Sequence[str], most: int = 3) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more
