"""Delivery: what a merge means. Uses the public names of `buildkit` only.

In: commits, runs, flows. Out: deployed workflows, promoted runs. Start reading at `__main__.py`, the one command.
"""

import os
import sys

# Many projects have a folder `ci` of their own: both stay importable, in whichever order they are found. This is
# what `pkgutil.extend_path` does; importing it would cost a third of the start-up time of `treeship --help`.
__path__ += [
    folder
    for folder in (os.path.join(entry or ".", "ci") for entry in sys.path)
    if os.path.isdir(folder) and os.path.abspath(folder) not in map(os.path.abspath, __path__)
]
