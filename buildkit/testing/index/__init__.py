"""A package index in this process, for tests: well-behaved, or with the faults that you switch on.

In: wheels by file name, and faults. Out: `url` of the simple API (PEP 503, and PEP 691 to those who accept it), `log`
of what came. Start reading at `server.py`; `faults.py` is what goes wrong.
"""

from buildkit.testing.index import faults
from buildkit.testing.index.server import InProcessIndex
from buildkit.testing.registry import Password

__all__ = ["InProcessIndex", "Password", "faults"]
