"""The misbehaving half: what real registries, proxies and networks do, one class each.

`before` may answer (or drop the connection) in place of the registry; `after` may change its answer. `times`
limits how often; a fault that is used up does nothing. Sources: the issues of registries and clients named in
each class.
"""

from buildkit.testing.registry.faults.base import ALWAYS, Fault
from buildkit.testing.registry.faults.content import (
    BlobBytes,
    BlobCut,
    DigestHeader,
    ManifestBytes,
    NoRange,
    NoReferrers,
    RedirectBlobs,
    Vanishes,
)
from buildkit.testing.registry.faults.listing import (
    NoDeletes,
    OnlyDigests,
    TagPages,
    TagsFirst,
    TagsStay,
)
from buildkit.testing.registry.faults.network import (
    DropAfterBody,
    DropBefore,
    DropInBody,
    EmptyError,
    NoContentLength,
    Slow,
    Status,
    TooLarge,
)
from buildkit.testing.registry.faults.uploads import (
    GapsAccepted,
    Locations,
    LosesLaterChunks,
    MountNeedsFrom,
    NoMounts,
    SessionExpired,
    StuckStatus,
)

__all__ = [
    "ALWAYS",
    "BlobBytes",
    "BlobCut",
    "DigestHeader",
    "DropAfterBody",
    "DropBefore",
    "DropInBody",
    "EmptyError",
    "Fault",
    "GapsAccepted",
    "Locations",
    "LosesLaterChunks",
    "ManifestBytes",
    "MountNeedsFrom",
    "NoContentLength",
    "NoDeletes",
    "NoMounts",
    "NoRange",
    "NoReferrers",
    "OnlyDigests",
    "RedirectBlobs",
    "SessionExpired",
    "Slow",
    "Status",
    "StuckStatus",
    "TagPages",
    "TagsFirst",
    "TagsStay",
    "TooLarge",
    "Vanishes",
]
