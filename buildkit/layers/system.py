"""Folders that belong to the base, whatever the base: those of the Filesystem Hierarchy Standard.

Engines on overlayfs unpack each layer by itself. A folder that a layer needs and does not state is made there, with
mode 0755, and hides what the base says of it; over a link of the base (`/lib`, where /usr is merged) it hides the
link and all that is reached through it. So folders whose mode is another one everywhere are stated with it, and
what would go through a link that most bases have is refused.
"""

from __future__ import annotations

from buildkit.errors import InvalidInput
from buildkit.git import tree

# Left to the base: they are root's and 0755 there, which is also what engines make of them.
FOLDERS = frozenset(
    b"""boot dev etc home lost+found media mnt opt proc run srv sys usr var
    etc/opt usr/bin usr/games usr/include usr/lib usr/lib32 usr/lib64 usr/libexec usr/libx32 usr/local usr/sbin
    usr/share usr/src usr/local/bin usr/local/etc usr/local/games usr/local/include usr/local/lib usr/local/man
    usr/local/sbin usr/local/share usr/local/src var/cache var/lib var/log var/opt var/spool""".split()
)
# Stated, wherever a layer has something in them.
MODES = {b"root": 0o700, b"tmp": 0o1777, b"var/tmp": 0o1777, b"run/lock": 0o1777}
_LINKS = frozenset(b"bin lib lib32 lib64 libx32 sbin var/lock var/run".split())
# Of a group of their own, which no layer here can state.
_OTHERS = frozenset(b"var/local var/mail".split())


def reaches(prefix: bytes) -> bool:
    """Whether a path below this folder of the image (no slashes around it) can be one that is refused."""
    return not prefix or any(folder.startswith(prefix + b"/") for folder in (*_LINKS, *_OTHERS))


def refuse_within_system(path: bytes) -> None:
    """InvalidInput for a path of the image (no leading '/') that would hide a link or a folder of the base."""
    first, _, rest = path.partition(b"/")
    second = first + b"/" + rest.partition(b"/")[0]
    for folder in (first, second):
        if folder in _LINKS or folder in _OTHERS:
            raise InvalidInput(
                f"/{tree.show(path)} would hide the base's own /{folder.decode()}",
                "put it under /usr, /run or the default prefix /app instead",
            )
