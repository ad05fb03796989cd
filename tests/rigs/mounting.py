"""File systems that a rig mounts in its workspace."""

import platform
from contextlib import ExitStack
from pathlib import Path

from tests.rigs.process import run


def mount(ending: ExitStack, kind: str, folder: Path, options: str) -> None:
    """Mount a file system of KIND on FOLDER until ENDING closes."""
    run(["mount", "-t", kind, "-o", options, kind, folder])
    ending.callback(run, ["umount", "--lazy", folder], check=False)


def overlay_works(scratch: Path) -> bool:
    """Whether engines may use overlay in SCRATCH: not on top of another overlay, as inside a container."""
    if platform.system() != "Linux":
        return False
    folders = {name: scratch / name for name in ("lower", "upper", "work", "merged")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    options = "lowerdir={lower},upperdir={upper},workdir={work}".format_map(folders)
    try:
        with ExitStack() as ending:
            mount(ending, "overlay", folders["merged"], options)
            (folders["merged"] / "probe").write_text("x")
    except Exception:
        return False
    return True
