"""A registry in this process, for tests: well-behaved, or with the faults that you switch on.

In: an access mode and faults. Out: `host` to push to, `log` of what came, `store` of what is held.
Start reading at `server.py`; `routes.py` is the API, `faults.py` what goes wrong elsewhere.
"""

from buildkit.testing.registry import faults
from buildkit.testing.registry.access import Open, Password, Tokens
from buildkit.testing.registry.exchange import Exchange, Recorded, Reply
from buildkit.testing.registry.server import InProcessRegistry
from buildkit.testing.registry.store import Store, digest_of

__all__ = [
    "Exchange",
    "InProcessRegistry",
    "Open",
    "Password",
    "Recorded",
    "Reply",
    "Store",
    "Tokens",
    "digest_of",
    "faults",
]
