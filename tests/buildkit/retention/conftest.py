"""Registries and clients, as the registry's own tests have them."""

from tests.buildkit.registry.conftest import client, clock, host, raw, serve

__all__ = ["client", "clock", "host", "raw", "serve"]
