"""An image is computed again from git, with no memory and no trust, and compared with what is there.

From the image itself come only names of things to look up (its commit, its variant, its base), and each may be
given instead. What they lead to is fetched by digest or computed.
"""

from __future__ import annotations

from typing import NamedTuple

from buildkit.compare import Difference, Image, compare
from buildkit.config.values import Holds
from buildkit.design import Bench, design
from buildkit.endpoints import Source
from buildkit.errors import CorruptContent, InvalidInput
from buildkit.git.commit import Commit
from buildkit.image.annotations import BASE_DIGEST, BASE_NAME
from buildkit.image.canonical import DOCUMENT_LIMIT
from buildkit.image.config import ImageConfig
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.platform import Platform
from buildkit.production import make
from buildkit.spool import Void


class Subject(NamedTuple):
    """The image to be checked: its document, and its images by platform."""

    document: Document
    images: dict[Platform, Image]

    @property
    def annotations(self) -> dict[str, str]:
        """The image's own word, good for names of things to look up."""
        return dict(self.document.annotations)


class Verdict(NamedTuple):
    """Equal when there are no differences. `base_source` says who named the base: flag, settings or annotation."""

    digest: Digest
    commit: Commit
    base_source: str
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether the image is exactly what git says."""
        return not self.differences


def read(source: Source) -> Subject:
    """Read what is to be checked."""
    document = source.document()
    if isinstance(document, Manifest):
        image = _image(source, document)
        return Subject(document, {image.config.platform: image})
    images = {}
    for platform, entry in document.images():
        child = source.document(entry.digest)
        if isinstance(child, Index):
            raise CorruptContent(
                "an index within an index is no image of treeship", "check the inner one by digest"
            )
        images[platform] = _image(source, child)
    return Subject(document, images)


def complete(holds: Holds, subject: Subject) -> tuple[Holds, str]:
    """The settings with the base and the platforms that they lack, and who named the base."""
    origin = holds.origins.get("base", "")
    source = "flag" if origin == "flag" else "settings" if holds.base else "annotation"
    base = holds.base or _annotated_base(subject)
    platforms = holds.platforms or tuple(str(platform) for platform in subject.images)
    return holds._replace(base=base, platforms=platforms), source


def check(bench: Bench, commit: Commit, holds: Holds, subject: Subject) -> Verdict:
    """Compute the image of `commit` and compare. `bench` must have a cache that remembers nothing."""
    settings, base_source = complete(holds, subject)
    with Void() as nowhere:
        product = make(bench, design(bench, commit, settings), nowhere)
    differences: list[Difference] = []
    if product.digest != subject.document.digest:
        for built in product.images:
            found = subject.images.get(built.base.platform)
            platform = f"{built.base.platform}: " if len(product.images) > 1 else ""
            if found is None:
                differences.append(Difference(f"image for {built.base.platform}", built.manifest.digest, ""))
                continue
            each = compare(Image(built.manifest, built.config), found, len(built.base.layers))
            differences += [difference._replace(what=platform + difference.what) for difference in each]
        differences = differences or [Difference("index", product.digest, subject.document.digest)]
    return Verdict(subject.document.digest, commit, base_source, tuple(differences))


def _annotated_base(subject: Subject) -> str:
    name = subject.annotations.get(BASE_NAME, "")
    digest = subject.annotations.get(BASE_DIGEST, "")
    if not name:
        raise InvalidInput(
            "neither a flag nor the settings nor the image name its base", "give it with --base"
        )
    return f"{name}@{digest}" if digest else name


def _image(source: Source, manifest: Manifest) -> Image:
    if manifest.config.size > DOCUMENT_LIMIT:
        raise CorruptContent(f"image config of {manifest.config.size} bytes", "the image is broken")
    with source.blob(manifest.config) as stream:
        return Image(manifest, ImageConfig(stream.read(), manifest.config.media_type))
