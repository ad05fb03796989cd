"""The types of settings files, for msgspec. Imported only when there is a file to check (25 ms).

`table.py` says which settings there are; a test holds the two together.
"""

from __future__ import annotations

import msgspec

Text = str | None
Texts = list[str] | None
Table = dict[str, str] | None


class VariantTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[variants.NAME]`; None is a key that is not there."""

    base: Text = None
    platforms: Texts = None
    pythonpath: Texts = None
    path: Texts = None
    workdir: Text = None
    user: Text = None
    entrypoint: Texts = None
    cmd: Texts = None
    labels: Table = None
    environment: Table = None
    dependencies: bool | None = None
    extras: Texts = None
    groups: Texts = None


class HoldsTable(VariantTable, rename={"lfs_include": "lfs.include", "lfs_pointers": "lfs.pointers"}):
    """What an image holds, without its variants."""

    prefix: Text = None
    include: Texts = None
    exclude: Texts = None
    source: Text = None
    version: Text = None
    submodules: Text = None
    case_collisions: Text = None
    lfs_include: Texts = None
    lfs_pointers: Text = None
    lock: Text = None
    slim: Texts = None
    slim_keep: Texts = None
    estargz: bool | None = None


class PlacesTable(
    msgspec.Struct,
    forbid_unknown_fields=True,
    rename={
        "reuse_from": "reuse.from",
        "reuse_enabled": "reuse.enabled",
        "expire_keep": "expire.keep",
        "lfs_url": "lfs.url",
        "wheels_index": "wheels.index",
        "wheels_hosts": "wheels.hosts",
        "wheels_wheelhouse": "wheels.wheelhouse",
        "timeouts_connect": "timeouts.connect",
        "timeouts_read": "timeouts.read",
    },
):
    """Where things go and what is trusted, as far as a file may say it."""

    to: Texts = None
    commit_tag: bool | None = None
    reuse_from: Texts = None
    reuse_enabled: bool | None = None
    expire_keep: Texts = None
    insecure: Texts = None
    ca_file: Text = None
    lfs_url: Text = None
    wheels_index: Text = None
    wheels_hosts: Texts = None
    wheels_wheelhouse: Texts = None
    cache: Text = None
    jobs: int | None = None
    timeouts_connect: float | None = None
    timeouts_read: float | None = None
