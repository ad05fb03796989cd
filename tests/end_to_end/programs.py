"""A commit whose program says what it sees of the container that it runs in."""

from __future__ import annotations

import hashlib

from buildkit.testing.repositories import File, executable, link

# One line of JSON on stdout. Standard library only; works in Python 3.11 of Debian.
WITNESS = b'''\
"""What this container is like, as one line of JSON."""

import hashlib
import json
import os
import stat
import subprocess
import sys

import library


def unreadable(folder):
    """What this user cannot read, folders that it cannot list among them."""
    found = []
    for parent, _, names in os.walk(folder, onerror=lambda error: found.append(error.filename)):
        for name in names:
            try:
                with open(os.path.join(parent, name), "rb") as file:
                    file.read()
            except OSError as error:
                if not os.path.islink(error.filename):
                    found.append(error.filename)
    return found


def text(path):
    with open(path, "rb") as file:
        return file.read().decode()


def digest(path):
    if not os.path.exists(path):
        return ""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


print(json.dumps({
    "said": library.SAID,
    "arguments": sys.argv[1:],
    "machine": os.uname().machine,
    "workdir": os.getcwd(),
    "pythonpath": os.environ["PYTHONPATH"],
    "library": library.__file__,
    "path": os.environ["PATH"],
    "tool": subprocess.run(["tool"], capture_output=True, check=True).stdout.decode(),
    "environment": os.environ["COLOUR"],
    "user": [os.getuid(), os.getgid()],
    "unreadable": unreadable("/app"),
    "writable": os.access("/app", os.W_OK),
    "files": sorted(os.path.relpath(os.path.join(parent, name), "/app")
                    for parent, _, names in os.walk("/app") for name in names),
    "data": text("data/a/b/numbers.txt"),
    "link": [os.readlink("latest"), text("latest")],
    "merged": {name: os.readlink("/" + name) for name in ("bin", "lib", "sbin")},
    "tmp": oct(stat.S_IMODE(os.stat("/tmp").st_mode)),
    "model": digest("/app/models/model.bin"),
    "etc": os.path.exists("/etc/debian_version"),
}))
'''
SETTINGS = b"""\
entrypoint = ["python3", "-m", "witness"]
cmd = ["by", "default"]
user = "nobody:nogroup"
workdir = "work"
pythonpath = ["src", "."]
path = ["bin"]
environment = { COLOUR = "green" }
"""
FILES: dict[str, bytes | File] = {
    "treeship.toml": SETTINGS,
    "src/library.py": b"SAID = 'from the commit'\n",
    "work/witness.py": WITNESS,
    "work/data/a/b/numbers.txt": b"1 2 3\n",
    "work/latest": link(b"data/a/b/numbers.txt"),
    "bin/tool": executable(b"#!/bin/sh\necho a tool\n"),
    "empty": b"",
}
# For bases that nobody has configured: they have no /etc/passwd to look a name up in.
NUMERIC: dict[str, bytes | File] = {
    **FILES,
    "treeship.toml": SETTINGS.replace(b"nobody:nogroup", b"65534:65534"),
}


def with_model(content: bytes) -> dict[str, bytes | File]:
    """The same commit with a file in Git LFS, which the settings want in the image."""
    return {
        **NUMERIC,
        "treeship.toml": SETTINGS.replace(b"nobody:nogroup", b"65534:65534")
        + b'[lfs]\ninclude = ["models/*.bin"]\n',
        ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "models/model.bin": pointer(content),
        "models/other.bin.txt": b"no pointer\n",
    }


def pointer(content: bytes) -> bytes:
    """What git keeps in place of a file in LFS."""
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n".encode()
