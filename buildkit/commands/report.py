"""What `build` and `explain` say: one JSON object, or a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildkit import human
from buildkit.build import Delivery, Design, Product
from buildkit.endpoints import Action, Traffic
from buildkit.git import tree
from buildkit.image.digest import Digest
from buildkit.terminal import Console

_STRONGEST = (Action.PUSH, Action.MOUNT, Action.REUSE)


def of(product: Product, delivered: Sequence[Delivery], traffic: Traffic, seconds: float) -> dict[str, Any]:
    """The object that `--json` prints. With several destinations, a layer's action is the dearest of them."""
    design = product.design
    base = design.bases[0]
    return {
        "commit": design.commit.oid,
        "tree": design.commit.tree,
        "digest": product.digest,
        "base": {"reference": str(base.reference), "digest": base.digest},
        "platforms": {str(image.base.platform): image.manifest.digest for image in product.images},
        "layers": _layers(product, delivered),
        "lfs_pointers": _pointers(design),
        "destinations": [
            {"reference": str(delivery.destination.reference), "tags": list(delivery.destination.tags)}
            for delivery in delivered
        ],
        "bytes_pushed": _bytes(delivered, Action.PUSH),
        "bytes_mounted": _bytes(delivered, Action.MOUNT),
        "bytes_reused": _bytes(delivered, Action.REUSE),
        "requests": traffic.requests,
        "seconds": round(seconds, 3),
    }


def show(console: Console, result: Mapping[str, Any], *, json: bool, explain: bool = False) -> None:
    """On stdout, for a machine or for a person."""
    if json:
        console.json(result)
        return
    _show_layers(console, result["layers"], everything=explain)
    for pointer in result["lfs_pointers"]:
        shipped = {"content": "content included", "nothing": "left out"}.get(
            pointer["ships"], "kept as a pointer"
        )
        console.print(f"LFS pointer  {pointer['path']}  {human.size(pointer['size'])}  {shipped}")
    verb = "would push" if explain else "pushed"
    console.print(
        f"{verb} {human.size(result['bytes_pushed'])}, mounted {human.size(result['bytes_mounted'])}, "
        f"reused {human.size(result['bytes_reused'])} in {result['requests']} requests and {result['seconds']:.2f} s"
    )
    for destination in result["destinations"]:
        for tag in destination["tags"] or [""]:
            console.print(f"{destination['reference']}{tag and ':' + tag}@{result['digest']}")


def _show_layers(console: Console, layers: Sequence[Mapping[str, Any]], *, everything: bool) -> None:
    """A build shows what it did; what was there already is one line."""
    shown = [layer for layer in layers if everything or layer["action"] != Action.REUSE]
    rows = [("layer", "reason", "action", "size", "paths", "changed" if everything else "key")]
    for layer in shown:
        last = _some(layer["changed"]) if everything else layer["key"][7:19]
        rows.append(
            (
                layer["name"],
                layer["reason"],
                layer["action"],
                human.size(layer["size"]),
                str(layer["paths"]),
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
            "digest": layer.written.digest,
            "diff_id": layer.written.diff_id,
            "size": layer.written.size,
            "paths": planned.slot.paths,
            "reason": planned.reason,
            "action": _action(layer.written.digest, delivered),
            "changed": [tree.show(path) for path in planned.changed],
        }
        for layer, planned in zip(product.layers, product.design.layers, strict=True)
    ]


def _action(digest: Digest, delivered: Sequence[Delivery]) -> Action:
    actions = {delivery.receipt.actions.get(digest, Action.REUSE) for delivery in delivered}
    return next((action for action in _STRONGEST if action in actions), Action.REUSE)


def _bytes(delivered: Sequence[Delivery], action: Action) -> int:
    return sum(delivery.receipt.bytes_by(action, delivery.work.blobs) for delivery in delivered)


def _some(paths: Sequence[str], most: int = 3) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more
