"""The one table of settings: checks, `treeship config show` and docs/settings.md are made from it.

A setting's name is its key in a settings file (`lfs.url` is `url` in table `[lfs]`) and, with `_` for the
dot, its field in `Holds` or `Places`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Source(StrEnum):
    """Where a value may come from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    USER = "user's file"
    PROTECTED = "protected branch"
    COMMIT = "commit"


class Kind(StrEnum):
    """What a value looks like, in the words that error messages use."""

    TEXT = "text"
    TEXTS = "a list of text"
    TABLE = "a table of text"
    SWITCH = "true or false"
    COUNT = "a whole number of at least 1"
    SECONDS = "a number of seconds above 0"


class Setting(NamedTuple):
    """One setting; `default` is in words, `choices` are the only values allowed where there are any."""

    name: str
    kind: Kind
    default: str
    doc: str
    sources: tuple[Source, ...]
    flag: str = ""
    choices: tuple[str, ...] = ()
    in_variants: bool = False

    @property
    def field(self) -> str:
        """Its name in `Holds` or `Places`."""
        return self.name.replace(".", "_")

    @property
    def in_commit(self) -> bool:
        """Whether it says what the image holds; else it says where things go and what is trusted."""
        return Source.COMMIT in self.sources

    @property
    def variable(self) -> str:
        """Its environment variable, where it has one."""
        return "TREESHIP_" + self.field.upper() if Source.ENVIRONMENT in self.sources else ""

    @property
    def expected(self) -> str:
        """What a value must be, for an error message."""
        return "one of " + ", ".join(f'"{choice}"' for choice in self.choices) if self.choices else self.kind


_COMMIT = (Source.COMMIT,)
_COMMIT_OR_FLAG = (Source.FLAG, Source.COMMIT)
_RUN = (Source.FLAG, Source.ENVIRONMENT)
_HOST = (Source.FLAG, Source.ENVIRONMENT, Source.USER)
_TEAM = (Source.FLAG, Source.ENVIRONMENT, Source.USER, Source.PROTECTED)

HOLDS = (
    Setting("base", Kind.TEXT, "`scratch`, with a note",
            "Image to build on: a registry reference, `scratch`, or `oci:` with a path in the repository. "
            "The flag may name any transport.",
            _COMMIT_OR_FLAG, "--base", in_variants=True),
    Setting("platforms", Kind.TEXTS, "the base's; of an index, this machine's",
            "Platforms to build for, like `linux/amd64`; more than one make an index.",
            _COMMIT_OR_FLAG, "--platform", in_variants=True),
    Setting("prefix", Kind.TEXT, "`/app`",
            "Directory of the image that the tree is put under.", _COMMIT),
    Setting("include", Kind.TEXTS, "everything",
            "Patterns with gitignore meaning: only these paths.", _COMMIT),
    Setting("exclude", Kind.TEXTS, "nothing",
            "Patterns with gitignore meaning: without these paths.", _COMMIT),
    Setting("pythonpath", Kind.TEXTS, "the prefix",
            "`PYTHONPATH`; relative entries are below the prefix; an empty list leaves the base's.",
            _COMMIT, in_variants=True),
    Setting("path", Kind.TEXTS, "the base's",
            "Entries put before the base's `PATH`; relative ones are below the prefix.",
            _COMMIT, in_variants=True),
    Setting("workdir", Kind.TEXT, "the prefix",
            "Working directory; a relative one is below the prefix.", _COMMIT, in_variants=True),
    Setting("user", Kind.TEXT, "the base's",
            "`name`, `uid`, `name:group` or `uid:gid`.", _COMMIT, in_variants=True),
    Setting("entrypoint", Kind.TEXTS, "the base's",
            "Entry point, word by word; an empty list removes the base's.", _COMMIT, in_variants=True),
    Setting("cmd", Kind.TEXTS, "the base's",
            "Command, word by word; an empty list removes the base's.", _COMMIT, in_variants=True),
    Setting("labels", Kind.TABLE, "the base's",
            "Labels added to the base's; a variant's add to these.", _COMMIT, in_variants=True),
    Setting("environment", Kind.TABLE, "the base's",
            "Variables added to the base's; a variant's add to these. No secrets: an image hides nothing.",
            _COMMIT, in_variants=True),
    Setting("source", Kind.TEXT, "none",
            "URL of the repository, for `org.opencontainers.image.source`.", _COMMIT),
    Setting("version", Kind.TEXT, "none",
            "Version of what is in the image, for `org.opencontainers.image.version`.", _COMMIT),
    Setting("submodules", Kind.TEXT, "`refuse`",
            "What to do with submodules: the tree has no content for them.",
            _COMMIT, choices=("refuse", "skip")),
    Setting("case_collisions", Kind.TEXT, "`allow`",
            "What to do with paths that differ only in upper and lower case.",
            _COMMIT, choices=("allow", "refuse")),
    Setting("lfs.include", Kind.TEXTS, "nothing",
            "Patterns with gitignore meaning: Git LFS files whose content is put into the image.", _COMMIT),
    Setting("lfs.pointers", Kind.TEXT, "`keep`",
            "What to do with all other Git LFS pointers.", _COMMIT, choices=("keep", "drop")),
    Setting("dependencies", Kind.SWITCH, "`true`",
            "Whether the wheels of the commit's lock are put into the image.",
            _COMMIT_OR_FLAG, "--no-dependencies", in_variants=True),
    Setting("lock", Kind.TEXT, "`pylock.toml`, `uv.lock` or `requirements.txt` at the root, in this order",
            "Path of the lock in the commit.", _COMMIT),
    Setting("extras", Kind.TEXTS, "none",
            "Extras of the project that the lock shall bring.", _COMMIT, in_variants=True),
    Setting("groups", Kind.TEXTS, "the lock's default groups; of `uv.lock`, none",
            "Dependency groups that the lock shall bring.", _COMMIT, in_variants=True),
    Setting("slim", Kind.TEXTS, "nothing",
            "Rules by which files of wheels are left out: `tests`, `docs`, `examples`, `headers`, `sources`, "
            "`static-libraries`, `bytecode`, `stubs`, `debug`.", _COMMIT),
    Setting("slim_keep", Kind.TEXTS, "nothing",
            "Patterns with gitignore meaning, of paths in site-packages: files that no rule leaves out.", _COMMIT),
    Setting("estargz", Kind.SWITCH, "`false`",
            "Whether layers of wheels are eStargz, which nodes can pull lazily: larger, and slower to make.", _COMMIT),
)  # fmt: skip

PLACES = (
    Setting("to", Kind.TEXTS, "`oci:.treeship/oci:<commit>`",
            "Where the image goes: `docker://host/repository:tag`, `oci:DIR:tag`, `docker-daemon:name:tag`, "
            "`docker-archive:FILE:name:tag`.", _TEAM, "--to"),
    Setting("variant", Kind.TEXT, "none", "The variant to build; `all` for every one.", _RUN, "--variant"),
    Setting("retag", Kind.SWITCH, "`false`",
            "Whether a commit's tag may be moved to another digest.", _RUN, "--retag"),
    Setting("commit_tag", Kind.SWITCH, "`true`",
            "Whether a registry image is also tagged with its commit.", _HOST, "--no-commit-tag"),
    Setting("reuse.from", Kind.TEXTS, "nothing: the local cache alone",
            "Repositories or images whose word on layers is believed: none that untrusted builds can write.",
            _HOST, "--reuse-from"),
    Setting("reuse.enabled", Kind.SWITCH, "`true`",
            "Whether the cache and `reuse.from` are used at all.", _HOST, "--no-reuse"),
    Setting("expire.keep", Kind.TEXTS, "nothing more than what git's refs name",
            "What `treeship expire` leaves alone: images (`host/repository:tag`, with a digest or only that), or "
            "patterns of tags in all repositories. What several places say adds up.", _TEAM, "--keep-ref"),
    Setting("insecure", Kind.TEXTS, "none; loopback needs no leave",
            "Hosts, like `registry.example:5000`, that are spoken to over plain HTTP.", _HOST, "--insecure"),
    Setting("ca_file", Kind.TEXT, "the system's",
            "Certificates of the authorities to trust, in one PEM file.", _HOST, "--ca-file"),
    Setting("lfs.url", Kind.TEXT, "derived from the remote",
            "Git LFS endpoint. `.lfsconfig` is never read.", _TEAM, "--lfs-url"),
    Setting("wheels.index", Kind.TEXT, "the places that the lock names, as far as `wheels.hosts` has them",
            "Package index (simple API) that all wheels come from, by name and hash, instead of the lock's own URLs.",
            _TEAM, "--index"),
    Setting("wheels.hosts", Kind.TEXTS, "`pypi.org` and `files.pythonhosted.org`; with `wheels.index`, its host",
            "Hosts, like `files.example:8443`, that wheels are fetched from where a lock, an index or a redirect names "
            "them. All others are refused.", _TEAM, "--wheel-host"),
    Setting("wheels.wheelhouse", Kind.TEXTS, "none",
            "Folders of wheels on this machine, used in place before anything is fetched.", _HOST, "--wheelhouse"),
    Setting("cache", Kind.TEXT, "`$XDG_CACHE_HOME/treeship`, else `~/.cache/treeship`",
            "Directory of the local cache.", _HOST, "--cache"),
    Setting("jobs", Kind.COUNT, "the number of processors, at least 2, at most 8",
            "How many transfers and compressions run at a time.", _HOST, "--jobs"),
    Setting("timeouts.connect", Kind.SECONDS, "`10`",
            "Longest wait for a connection.", _HOST, "--connect-timeout"),
    Setting("timeouts.read", Kind.SECONDS, "`60`",
            "Longest silence of a server.", _HOST, "--read-timeout"),
    Setting("repo", Kind.TEXT, "the one around the working directory",
            "Repository: a work tree, a bare repository or a URL.", _RUN, "--repo"),
    Setting("json", Kind.SWITCH, "`false`", "Whether to print one JSON object.", _RUN, "--json"),
)  # fmt: skip

SETTINGS = {setting.name: setting for setting in (*HOLDS, *PLACES)}
# Tables of a settings file that group settings.
GROUPS = frozenset(name.partition(".")[0] for name in SETTINGS if "." in name)
IN_VARIANTS = tuple(setting for setting in HOLDS if setting.in_variants)
