"""What the verbs set up before they call the library: repository, settings, cache, registries."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

from buildkit.cache import Cache, NoCache, ReadOnlyCache
from buildkit.commands.options import settings_of
from buildkit.config.holds import parse_holds
from buildkit.config.places import left_to_protected, resolve_places
from buildkit.config.toml import FILE_LIMIT, PYPROJECT, TREESHIP_TOML
from buildkit.config.user import UserFile, read_user_file
from buildkit.config.values import ALL_VARIANTS, Holds, Places, Resolved, SettingsFiles
from buildkit.dependencies.lazy import CommitFiles, LazyWheels
from buildkit.design import Bench
from buildkit.endpoints import Traffic
from buildkit.errors import InvalidInput, NotFound, TreeshipError
from buildkit.git.address import is_url
from buildkit.git.commit import Commit
from buildkit.git.protected import protected_tip
from buildkit.git.repository import Repository
from buildkit.image.reference import LayoutReference, parse_reference
from buildkit.lfs.lazy import LazyLfs
from buildkit.terminal import Console
from buildkit.transports import Connect

if TYPE_CHECKING:
    from buildkit.registry.registries import Registries


_OF_WHEELS = frozenset({"wheels.index", "wheels.hosts"})


class Workbench(NamedTuple):
    """A verb's inputs, resolved."""

    bench: Bench
    commit: Commit
    variants: tuple[Holds, ...]
    resolved: Resolved
    traffic: Traffic

    @property
    def holds(self) -> Holds:
        """For verbs that take one image. InvalidInput where every variant was asked for."""
        if self.places.variant == ALL_VARIANTS:
            raise InvalidInput("this is done for one variant at a time", "give --variant NAME")
        return self.variants[0]

    @property
    def places(self) -> Places:
        """Where things go and what is trusted."""
        return self.resolved.places


def places_of(arguments: argparse.Namespace, console: Console) -> Places:
    """For verbs without a repository: flags, environment and the user's file."""
    return resolve_places(settings_of(arguments), console.environ, read_user_file(console.environ)).places


@contextmanager
def network(places: Places, console: Console, traffic: Traffic) -> Iterator[Connect]:
    """The registry clients of this run; nothing of them is loaded before one is asked for."""
    opened: list[Registries] = []

    def connect() -> Registries:
        if not opened:
            from buildkit.registry.options import RegistryOptions
            from buildkit.registry.registries import Registries

            options = RegistryOptions(
                insecure=frozenset(places.insecure),
                ca_file=places.ca_file,
                timeout_seconds=places.timeouts_read,
                connect_seconds=places.timeouts_connect,
                parallel=places.jobs,
            )
            opened.append(Registries(options, traffic, console.progress(), environ=console.environ))
        return opened[0]

    try:
        yield connect
    finally:
        for registries in opened:
            registries.close()


@contextmanager
def workbench(
    arguments: argparse.Namespace,
    console: Console,
    *,
    writes: bool = True,
    remembers: bool = True,
    protected: bool = False,
) -> Iterator[Workbench]:
    """Open what `arguments` name. `writes`: whether the cache may be added to, and anything be left behind;
    `remembers`: whether the cache is used; `protected`: whether to ask for the protected branch where this run could
    do without."""
    sources = _Sources(settings_of(arguments), console.environ, read_user_file(console.environ))
    resolved = sources.resolve()
    traffic = Traffic()
    with ExitStack() as stack:
        # "" is no HEAD: it is what a script's unset variable becomes.
        wanted = "HEAD" if arguments.commit is None else arguments.commit
        clones = resolved.places.cache if writes else _for_this_run(stack, resolved.places)
        repository, name = _open(resolved.places.repo, wanted, clones)
        stack.callback(repository.close)
        commit = repository.commit(name)
        variants = _holds(repository, commit, resolved.places, sources.flags)
        asks = protected or _needs_protected(sources.left(), variants[0])
        if asks:
            resolved = sources.resolve(_protected(repository, variants[0], console))
        for ignored in (*variants[0].ignored, *resolved.ignored):
            console.note(str(ignored))
        connect = stack.enter_context(network(resolved.places, console, traffic))
        cache = _cache(resolved.places, writes=writes, remembers=remembers)
        places = resolved.places
        later = (
            (lambda: places) if asks else partial(_wheel_places, sources, repository, variants[0], console)
        )
        wheels = LazyWheels(CommitFiles(repository, commit), later, cache, traffic, console, writes=writes)
        stack.callback(wheels.close)
        lfs = LazyLfs(repository, places, writes=writes)
        bench = Bench(repository, cache, connect, lfs, wheels, console.progress(), console.note)
        yield Workbench(bench, commit, variants, resolved, traffic)


class _Sources(NamedTuple):
    """Where settings that are not the commit's come from, but for the protected branch."""

    flags: dict[str, Any]
    environ: Mapping[str, str]
    user_file: UserFile | None

    def resolve(self, protected: SettingsFiles | None = None) -> Resolved:
        return resolve_places(self.flags, self.environ, self.user_file, protected)

    def left(self) -> frozenset[str]:
        """The settings that only the protected branch can still give a value."""
        return left_to_protected(self.flags, self.environ, self.user_file)


def _wheel_places(sources: _Sources, repository: Repository, holds: Holds, console: Console) -> Places:
    """The protected branch may say where wheels come from; only who fetches some asks for it. From any thread."""
    if sources.left().isdisjoint(_OF_WHEELS):
        return sources.resolve().places
    with closing(Repository(repository.directory)) as own:
        return sources.resolve(_protected(own, holds, console)).places


def _for_this_run(stack: ExitStack, places: Places) -> str:
    """A folder for the clone of a verb that leaves nothing behind; "" where nothing is to be cloned."""
    if not is_url(places.repo):
        return ""
    from tempfile import TemporaryDirectory

    return stack.enter_context(TemporaryDirectory(prefix="treeship-"))


def _open(repository: str, commit: str, clones: str) -> tuple[Repository, str]:
    if is_url(repository):
        if not clones:
            raise InvalidInput(
                "a repository by URL is cloned into the cache, and there is none", "name one: --cache DIR"
            )
        from pathlib import Path

        from buildkit.git.remote import open_remote

        return open_remote(repository, commit, Path(clones))
    return Repository(repository or "."), commit


def _holds(
    repository: Repository, commit: Commit, places: Places, flags: dict[str, object]
) -> tuple[Holds, ...]:
    """What the image holds, or each variant's; at least one."""
    holds = parse_holds(settings_files(repository, commit).files, f"commit {commit.oid[:12]}")
    names = tuple(sorted(holds.variants)) if places.variant == ALL_VARIANTS else (places.variant,)
    if not names:
        raise NotFound(
            "the settings of the commit have no variants", "add [variants.NAME], or leave --variant out"
        )
    return tuple(_variant(repository, holds, name, flags) for name in names)


def _variant(repository: Repository, holds: Holds, name: str, flags: dict[str, object]) -> Holds:
    base, platforms = flags.get("base") or "", flags.get("platforms") or ()
    dependencies = flags.get("dependencies")
    assert isinstance(base, str)
    assert isinstance(platforms, (list, tuple))
    assert isinstance(dependencies, (bool, NoneType))
    chosen = holds.variant(name)
    if chosen.base.startswith("oci:") and not base:
        chosen = chosen._replace(base=_inside(repository, chosen.base))
    return chosen.override(base=base, platforms=tuple(platforms), dependencies=dependencies)


def _inside(repository: Repository, base: str) -> str:
    """A layout that a commit names, in the work tree and in nothing that its links lead to: else a pull request
    could take what lies beside the repository on this machine."""
    reference = parse_reference(base)
    assert isinstance(reference, LayoutReference)
    try:
        root = os.path.realpath(os.fsdecode(repository.run(["rev-parse", "--show-toplevel"]).rstrip(b"\n")))
    except InvalidInput:
        raise InvalidInput(
            f"the commit's base, {base}, needs a work tree", "name the base with --base"
        ) from None
    place = os.path.realpath(os.path.join(root, reference.directory))
    if not place.startswith(root + os.sep):
        raise InvalidInput(
            f"the commit's base, {base}, leads out of the repository", "name the base with --base"
        )
    return str(reference._replace(directory=place))


def settings_files(repository: Repository, commit: Commit, origin: str = "") -> SettingsFiles:
    """The settings files of a commit, as far as it has them; too large ones are refused before they are read."""
    found = (
        (name, repository.small_file(commit.tree, name, FILE_LIMIT)) for name in (TREESHIP_TOML, PYPROJECT)
    )
    return SettingsFiles(
        origin or f"commit {commit.oid[:12]}", {name: data for name, data in found if data is not None}
    )


def _needs_protected(left: frozenset[str], holds: Holds) -> bool:
    return "to" in left or ("lfs.url" in left and bool(holds.lfs_include))


def _protected(repository: Repository, holds: Holds, console: Console) -> SettingsFiles | None:
    """What the protected branch says. A remote that cannot be reached matters only to who counts on it."""
    try:
        tip = protected_tip(repository)
    except TreeshipError as error:
        if any(ignored.key in ("to", "lfs.url", *_OF_WHEELS) for ignored in holds.ignored):
            raise
        console.note(f"the protected branch was not read: {error.what}")
        return None
    return settings_files(repository, tip.commit, tip.origin) if tip else None


def _cache(places: Places, *, writes: bool, remembers: bool) -> Cache:
    if not remembers or not places.reuse_enabled or not places.cache:
        return NoCache()
    return Cache(places.cache) if writes else ReadOnlyCache(places.cache)
