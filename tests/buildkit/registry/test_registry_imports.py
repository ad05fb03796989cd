"""The client is on the path of every build: what it loads is part of its contract."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from buildkit.testing.registry import InProcessRegistry

ROOT = Path(__file__).parents[3]
HEAVY = {"ssl", "http.client", "email.parser", "urllib.parse", "urllib.request", "requests", "urllib3", "asyncio",
         "dataclasses", "inspect", "msgspec", "concurrent.futures", "subprocess", "logging", "ipaddress",
         "encodings.idna", "random"}  # fmt: skip
PUSH = """
import json, sys
from buildkit.registry import Registries
from buildkit.image.reference import RegistryReference
with Registries() as registries:
    registries.sink(RegistryReference(sys.argv[1], "team/app")).lookup("v1")
print(json.dumps(sorted(sys.modules)))
"""


def test_a_look_up_on_loopback_loads_nothing_heavy(registry: InProcessRegistry) -> None:
    # -I: without what a .pth file in site-packages may load.
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{PUSH}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, registry.host], capture_output=True, check=True
    )

    assert HEAVY & set(json.loads(done.stdout)) == set()
