"""The resolved settings: plain frozen values that the rest of the program takes.

Nothing here imports msgspec or tomllib: a build without settings files must not pay for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildkit.errors import NotFound
from buildkit.image import canonical

PREFIX = "/app"


class SettingsFiles(NamedTuple):
    """The settings files found in one place; `origin` is what a person calls that place."""

    origin: str
    files: Mapping[str, bytes]


class Ignored(NamedTuple):
    """A setting that was found where it does not count, and why it does not."""

    key: str
    origin: str
    why: str

    def __str__(self) -> str:
        return f"{self.key} in {self.origin} is ignored: {self.why}"


class Overrides(NamedTuple):
    """What a variant says; None where it says nothing. Labels and environment add to the image's own."""

    base: str | None = None
    platforms: tuple[str, ...] | None = None
    pythonpath: tuple[str, ...] | None = None
    path: tuple[str, ...] | None = None
    workdir: str | None = None
    user: str | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    labels: Mapping[str, str] | None = None
    environment: Mapping[str, str] | None = None
    dependencies: bool | None = None
    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None


class Holds(NamedTuple):
    """What an image holds, as the commit says it. Paths are absolute in the image, references are checked.

    None (`entrypoint`, `cmd`, `groups`) and "" (`base`, `user`, `source`, `version`, `lock`) mean that nothing was
    said.
    """

    base: str = ""
    platforms: tuple[str, ...] = ()
    prefix: str = PREFIX
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    pythonpath: tuple[str, ...] = (PREFIX,)
    path: tuple[str, ...] = ()
    workdir: str = PREFIX
    user: str = ""
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    labels: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    source: str = ""
    version: str = ""
    submodules: str = "refuse"
    case_collisions: str = "allow"
    lfs_include: tuple[str, ...] = ()
    lfs_pointers: str = "keep"
    dependencies: bool = True
    lock: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    slim: tuple[str, ...] = ()
    slim_keep: tuple[str, ...] = ()
    estargz: bool = False
    # What follows says where the values are from, and is no part of what the image holds.
    selected: str = ""
    variants: Mapping[str, Overrides] = {}
    origins: Mapping[str, str] = {}
    ignored: tuple[Ignored, ...] = ()

    def variant(self, name: str) -> Holds:
        """These settings with those of variant `name` on top; "" is the image without a variant.

        Raises NotFound where the commit has no such variant.
        """
        if not name:
            return self
        if name not in self.variants:
            known = f"it has {', '.join(sorted(self.variants)) or 'none'}"
            raise NotFound(
                f"no variant {name!r} in the settings of the commit", f"{known}; add [variants.{name}]"
            )
        said = {key: value for key, value in self.variants[name]._asdict().items() if value is not None}
        return self._on_top(said, f"[variants.{name}]")._replace(selected=name)

    def override(
        self, *, base: str = "", platforms: Sequence[str] = (), dependencies: bool | None = None
    ) -> Holds:
        """These settings with what the command line says (--base, --platform, --no-dependencies) on top."""
        said: dict[str, Any] = {"base": base} if base else {}
        if dependencies is not None:
            said["dependencies"] = dependencies
        if platforms:
            said["platforms"] = tuple(platforms)
        return self._on_top(said, "flag")

    def canonical(self) -> bytes:
        """Equal for equal contents, wherever they were written; fit to take a digest of."""
        return canonical.dump({key: value for key, value in self._asdict().items() if key not in _ABOUT})

    def _on_top(self, said: Mapping[str, Any], origin: str) -> Holds:
        merged: dict[str, Any] = {
            key: {**getattr(self, key), **value} if key in _MERGED else value for key, value in said.items()
        }
        merged["origins"] = {**self.origins, **dict.fromkeys(said, origin)}
        return self._replace(**merged)


ALL_VARIANTS = "all"
_MERGED = frozenset({"labels", "environment"})
_ABOUT = frozenset({"selected", "variants", "origins", "ignored"})


class Places(NamedTuple):
    """Where images go, what is trusted, and how the work is done; never from the commit being built."""

    to: tuple[str, ...] = ()
    variant: str = ""
    retag: bool = False
    commit_tag: bool = True
    reuse_from: tuple[str, ...] = ()
    reuse_enabled: bool = True
    expire_keep: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    ca_file: str = ""
    lfs_url: str = ""
    wheels_index: str = ""
    wheels_hosts: tuple[str, ...] = ()
    wheels_wheelhouse: tuple[str, ...] = ()
    cache: str = ""
    jobs: int = 4
    timeouts_connect: float = 10.0
    timeouts_read: float = 60.0
    repo: str = ""
    json: bool = False


class Resolved(NamedTuple):
    """The places, where each value is from (by setting name), and what was found but does not count."""

    places: Places
    origins: Mapping[str, str]
    ignored: tuple[Ignored, ...] = ()
