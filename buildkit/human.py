"""Values as people read them."""

from __future__ import annotations


def size(count: int) -> str:
    """A number of bytes with three digits or so, in powers of ten as registries count."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"
