"""Programs for other machines, run by the kernel through qemu-user: what foreign containers need."""

import fcntl
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.rigs.cache import cache_folder, file_lock
from tests.rigs.errors import RigUnavailable
from tests.rigs.install import debian_packages, need_root
from tests.rigs.process import run
from tests.rigs.rig import Rig

KERNEL = Path("/proc/sys/fs/binfmt_misc")
BOOT = Path("/proc/sys/kernel/random/boot_id")
DEBIAN = Path("/usr/lib/binfmt.d")
SETUP = "binfmt-setup.lock"


class Binfmt(Rig):
    """While it is up, the kernel runs programs for MACHINES (as qemu names them), in containers too.

    What was registered before stays; what this adds goes when the last process that uses the rig lets go.
    """

    def __init__(self, *machines: str) -> None:
        self.machines = machines or ("aarch64",)

    @classmethod
    def install(cls) -> None:
        need_root("binfmt_misc")
        debian_packages("qemu-user-static")

    def _start(self, ending: ExitStack) -> None:
        with file_lock(SETUP):
            # Each user holds this lock shared: the last one is he who can have it for himself.
            users = ending.enter_context((cache_folder() / "locks" / "binfmt-users.lock").open("w"))
            fcntl.flock(users, fcntl.LOCK_SH)
            self._register()
        ending.callback(_release, users)

    def _register(self) -> None:
        added = _Added.read()
        if not (KERNEL / "register").exists():
            if not KERNEL.exists():
                raise RigUnavailable("this kernel has no binfmt_misc")
            run(["mount", "-t", "binfmt_misc", "binfmt_misc", KERNEL])
            added.mounted = True
        for machine in self.machines:
            if not (KERNEL / f"qemu-{machine}").exists():
                (KERNEL / "register").write_text(_rule(machine))
                added.handlers.append(f"qemu-{machine}")
        added.write()


def _rule(machine: str) -> str:
    """Debian's line for MACHINE. Its flag F opens qemu now, so that containers need no qemu of their own."""
    line = (DEBIAN / f"qemu-{machine}.conf").read_text().strip()
    flags = line.rpartition(":")[2]
    return line if "F" in flags else f"{line}F"


class _Added:
    """What rigs have added to the kernel, kept in a file: another process may be the one to take it away."""

    def __init__(self, handlers: list[str], mounted: bool) -> None:
        self.handlers = handlers
        self.mounted = mounted

    @staticmethod
    def file() -> Path:
        boot = BOOT.read_text().strip()  # What was added before the last boot has gone by itself.
        return cache_folder() / "locks" / f"binfmt-added-{boot}.json"

    @classmethod
    def read(cls) -> "_Added":
        known: dict[str, Any] = json.loads(cls.file().read_text()) if cls.file().exists() else {}
        return cls(handlers=known.get("handlers", []), mounted=known.get("mounted", False))

    def write(self) -> None:
        self.file().write_text(json.dumps({"handlers": self.handlers, "mounted": self.mounted}))


def _release(users: Any) -> None:
    with file_lock(SETUP):
        fcntl.flock(users, fcntl.LOCK_UN)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _take_away(_Added.read())


def _take_away(added: _Added) -> None:
    for handler in set(added.handlers):
        if (KERNEL / handler).exists():
            (KERNEL / handler).write_text("-1")
    if added.mounted:
        run(["umount", KERNEL], check=False)
    _Added.file().unlink(missing_ok=True)
