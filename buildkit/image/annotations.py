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
