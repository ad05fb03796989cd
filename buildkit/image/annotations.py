"""Names of annotations and labels: OCI's (image-spec, annotations.md) and treeship's own."""

from __future__ import annotations

OCI = "org.opencontainers.image."
CREATED = OCI + "created"
REVISION = OCI + "revision"
SOURCE = OCI + "source"
VERSION = OCI + "version"
BASE_NAME = OCI + "base.name"
BASE_DIGEST = OCI + "base.digest"

TREESHIP = "dev.treeship."
VARIANT = TREESHIP + "variant"
# Of a layer's descriptor: what it holds, and how to use it again without opening it.
LAYER_NAME = TREESHIP + "layer.name"
LAYER_KEY = TREESHIP + "layer.key"
LAYER_DIFF_ID = TREESHIP + "layer.diff-id"
# Of a layer of wheels: the number of its files, the wheels ("numpy==2.3.4 scipy==1.16.2"), and what slim rules left
# out (JSON).
LAYER_PATHS = TREESHIP + "layer.paths"
LAYER_WHEELS = TREESHIP + "layer.wheels"
LAYER_SLIM = TREESHIP + "layer.slim"
