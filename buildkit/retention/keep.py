"""What must stay: what git's refs name, and the references and tag patterns that the settings list."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from buildkit.errors import InvalidInput
from buildkit.image import canonical
from buildkit.image.digest import Digest, is_digest
from buildkit.image.reference import LayoutReference, Reference, RegistryReference, parse_reference
from buildkit.retention.names import Kind, Name, as_tag
from buildkit.retention.stock import Node

# What a pattern for tags can be made of; others are slips, like an `@` whose variables were empty.
_TAGS = re.compile(r"[A-Za-z0-9_.*?\[\]!-]+")


class Refs(NamedTuple):
    """What git says. `tips`: commit to the ref (or work tree) that names it; `names`: branches and tags, as image tags.

    `known` are commits that some ref leads to, as far as they were asked about; a `shallow` clone knows only some.
    """

    tips: Mapping[str, str] = {}
    names: Mapping[str, str] = {}
    known: frozenset[str] = frozenset()
    shallow: bool = False


class Entry(NamedTuple):
    """One entry of `expire.keep`: an image reference, or a pattern for tags of every repository."""

    text: str
    pattern: str = ""
    place: str = ""
    tag: str = ""
    digest: Digest | None = None

    def names(self, place: str, tag: str) -> bool:
        """Whether this holds a tag."""
        if self.pattern:
            return fnmatchcase(tag, self.pattern)
        return self.is_in(place) and bool(self.tag) and self.tag == tag

    def is_in(self, place: str) -> bool:
        """Whether it may be about this place: a bare digest may be anywhere."""
        return not self.pattern and (not self.place or _plain(self.place) == _plain(place))


class Keep(NamedTuple):
    """The keep set."""

    refs: Refs
    entries: tuple[Entry, ...] = ()

    def holder(self, place: str, tag: str, name: Name, node: Node | None = None) -> str:
        """What holds this tag, in words; "" where nothing does.

        What the image behind it (`node`) says of itself can hold the tag, and never let it go.
        """
        for entry in self.entries:
            if entry.names(place, tag):
                return f"{entry.text} is to be kept"
        if name.kind is Kind.ATTACHED:
            return ""
        held = self.refs.tips.get(name.commit, "") or (self.refs.tips.get(node.revision, "") if node else "")
        return held if held or name.kind is Kind.COMMIT else self._branch(tag, node.variant if node else "")

    def _branch(self, tag: str, variant: str) -> str:
        """The branch or git tag that this tag is called after; where all variants are built, each has its own tag."""
        whole = self.refs.names.get(as_tag(tag), "")
        suffix = f"-{variant}" if variant else ""
        return whole or self.refs.names.get(as_tag(tag.removesuffix(suffix)), "")

    def digests(self, place: str) -> dict[Digest, str]:
        """The manifests that entries name by digest in this place, with these entries."""
        return {
            entry.digest: entry.text
            for entry in self.entries
            if entry.digest is not None and entry.is_in(place)
        }

    @property
    def digest(self) -> Digest:
        """Equal for equal keep sets: a plan says which one it was made with."""
        held = {
            "tips": sorted(self.refs.tips),
            "names": sorted(self.refs.names),
            "entries": sorted({entry.text for entry in self.entries}),
            "shallow": self.refs.shallow,
        }
        return Digest.of(canonical.dump(held))


def can_match(pattern: str) -> bool:
    """Whether a pattern may match any tag at all."""
    return bool(_TAGS.fullmatch(pattern))


def parse_entries(texts: Iterable[str]) -> tuple[Entry, ...]:
    """The entries of `expire.keep`, each once. Raises InvalidInput for what is neither reference nor pattern."""
    return tuple(_entry(text) for text in dict.fromkeys(texts))


def place_of(reference: Reference) -> str:
    """The repository or layout that a reference is in, in one spelling; "" for engines and archives."""
    if isinstance(reference, RegistryReference):
        return f"docker://{reference.name}"
    if isinstance(reference, LayoutReference):
        return f"oci:{os.path.realpath(reference.directory)}"
    return ""


def parse_places(texts: Sequence[str]) -> dict[str, RegistryReference | LayoutReference]:
    """The repositories that are to be looked at, by place. Raises InvalidInput for anything but whole repositories."""
    found: dict[str, RegistryReference | LayoutReference] = {}
    for text in texts:
        reference = parse_reference(text)
        if not isinstance(reference, RegistryReference | LayoutReference):
            raise InvalidInput(
                f"{text} has no tags that could expire", "name docker://host/repository or oci:DIR"
            )
        if reference.tag or reference.digest:
            raise InvalidInput(f"{text} is one image, not a repository", "leave out the tag and the digest")
        found.setdefault(place_of(reference), reference)
    return found


def _plain(place: str) -> str:
    """One spelling for what is one place: hosts know no upper case, and have default ports."""
    transport, slashes, rest = place.partition("//")
    host, slash, repository = rest.partition("/")
    return f"{transport}{slashes}{host.lower().removesuffix(':443').removesuffix(':80')}{slash}{repository}"


def _entry(text: str) -> Entry:
    if is_digest(text):
        return Entry(text, digest=Digest(text))
    if "/" not in text and ":" not in text:
        if not can_match(text):
            raise InvalidInput(
                f"nothing can be kept by {text!r}", "write a tag, a pattern like v*, or an image"
            )
        return Entry(text, pattern=text)
    reference = parse_reference(text)
    if not isinstance(reference, RegistryReference | LayoutReference):
        return Entry(text)  # an engine's or archive's image: nothing here can touch it
    if not reference.tag and reference.digest is None:
        raise InvalidInput(f"{text!r} names no image that could be kept", "give it a tag or a digest")
    return Entry(text, "", place_of(reference), reference.tag, reference.digest)
