"""The registry client. In: a `RegistryReference`. Out: a `Source` to read from and a `Sink` to write to.

One `Registries` serves a whole run: it shares connections, tokens and credentials.
Start reading at `push.py`; below it `client.py` has the verbs, `transport.py` and `wire.py` the requests.
"""

from buildkit.registry.options import Clock, RegistryOptions
from buildkit.registry.pull import RegistrySource
from buildkit.registry.push import RegistrySink
from buildkit.registry.registries import Registries

__all__ = ["Clock", "Registries", "RegistryOptions", "RegistrySink", "RegistrySource"]
