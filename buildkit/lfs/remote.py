"""Where a repository's LFS server is: as the settings say, else as its remote's address says.

Source: git-lfs, docs/api/server-discovery.md. `.lfsconfig` is never read: it is part of the commit, and whoever
wrote a pull request would choose the server.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_HTTP = ("https://", "http://")
_SCP = re.compile(r"(?:[^@/:]+@)?([^/:]+):(?!//)(.+)")


class Server(NamedTuple):
    """An endpoint that speaks the batch API; its URL may hold credentials."""

    url: str


class Directory(NamedTuple):
    """A repository on this machine, bare or not."""

    path: str


class Nowhere(NamedTuple):
    """No server is known; `why` says so and `remedy` what to do."""

    why: str
    remedy: str


Remote = Server | Directory | Nowhere


def find_remote(setting: str, remote_url: str, directory: str = ".") -> Remote:
    """The server that the `lfs.url` setting names or, without one, that of a git remote.

    A remote may be a path relative to `directory`.
    """
    if setting.startswith(_HTTP):
        return Server(setting.rstrip("/"))
    if setting.startswith("file://"):
        return Directory(unquote(urlsplit(setting).path))
    if remote_url.startswith(_HTTP):
        return Server(_info_lfs(remote_url))
    if remote_url.startswith("file://"):
        return Directory(unquote(urlsplit(remote_url).path))
    if not remote_url:
        return Nowhere(
            "the repository has no remote to ask", "name the server with --lfs-url or the setting lfs.url"
        )
    guess = _web_address(remote_url)
    if not guess:
        return Directory(os.path.join(directory, remote_url))
    return Nowhere("the remote is reached by ssh or git, and LFS content only by http(s)",
                   f"name the server with --lfs-url or the setting lfs.url; it may be {guess}")  # fmt: skip


def git_directory(path: str) -> str:
    """The git directory of a repository without linked work trees."""
    inside = os.path.join(path, ".git")
    return inside if os.path.isdir(inside) else path


def _info_lfs(url: str) -> str:
    url = url.rstrip("/")
    return f"{url}/info/lfs" if url.endswith(".git") else f"{url}.git/info/lfs"


def _web_address(url: str) -> str:
    """What the endpoint of an ssh or git remote would usually be; empty for a path."""
    if "://" in url:
        try:
            parts = urlsplit(url)
        except ValueError:
            return "https://…"
        return _info_lfs(f"https://{parts.hostname or ''}{parts.path}")
    found = _SCP.fullmatch(url)
    return _info_lfs(f"https://{found[1]}/{found[2].lstrip('/')}") if found else ""
