"""Delivery: what a merge means. Uses the public names of `buildkit` only.

In: commits, runs, flows. Out: deployed workflows, promoted runs. Start reading at `__main__.py`, the one command.
"""

from pkgutil import extend_path

# Many projects have a folder `ci` of their own: both stay importable, in whichever order they are found.
__path__ = extend_path(__path__, __name__)
