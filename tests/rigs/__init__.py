"""Rigs: real components, installed and started for tests, the demo and the benchmarks.

In: nothing but a machine (Debian 12 as root carries all of them; others what works there). Out: a registry,
an engine, a base image and so on, on loopback or in a temporary folder, gone when the `with` block ends.
Start reading at `rig.py` (what all rigs share), then `ggcr_registry.py` (a small one). `fixtures.py` offers
each to pytest, and `python -m tests.rigs list` names them all.

    from tests.rigs.docker_registry import DockerRegistry

    with DockerRegistry() as registry:
        push(image, f"docker://{registry.host}/app:1")
        assert Request("PUT", "/v2/app/manifests/1", 201) in registry.requests()
"""
