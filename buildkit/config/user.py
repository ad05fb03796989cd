"""The user's own settings file and folders (XDG Base Directory Specification)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from buildkit.config.toml import FILE_LIMIT, TREESHIP_TOML
from buildkit.errors import InvalidInput, NotFound

CONFIG_VARIABLE = "TREESHIP_CONFIG"


class UserFile(NamedTuple):
    """The file and what is in it."""

    path: str
    data: bytes


def user_file_path(environ: Mapping[str, str]) -> str:
    """`$TREESHIP_CONFIG`, else treeship/treeship.toml in the configuration folder; "" without a home."""
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return named
    folder = _folder(environ, "XDG_CONFIG_HOME", ".config")
    return os.path.join(folder, "treeship", TREESHIP_TOML) if folder else ""


def read_user_file(environ: Mapping[str, str]) -> UserFile | None:
    """The file, or None where there is none. Raises NotFound where $TREESHIP_CONFIG names a missing one."""
    path = user_file_path(environ)
    try:
        # One byte more than allowed, so that the parser can tell.
        with open(path, "rb") as file:
            return UserFile(path, file.read(FILE_LIMIT + 1))
    except (FileNotFoundError, NotADirectoryError):
        if environ.get(CONFIG_VARIABLE):
            raise NotFound(f"no settings file {path}", f"correct or unset ${CONFIG_VARIABLE}") from None
        return None
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", "settings are read from there") from None


def cache_directory(environ: Mapping[str, str]) -> str:
    """Where the cache is unless a setting says otherwise; "", no cache, where there is no home."""
    folder = _folder(environ, "XDG_CACHE_HOME", ".cache")
    return os.path.join(folder, "treeship") if folder else ""


def _folder(environ: Mapping[str, str], variable: str, below_home: str) -> str:
    # Relative paths in these variables are to be ignored, says the specification.
    said = environ.get(variable, "")
    if os.path.isabs(said):
        return said
    home = environ.get("HOME", "")
    return os.path.join(home, below_home) if os.path.isabs(home) else ""
