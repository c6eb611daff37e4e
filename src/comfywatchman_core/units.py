"""Bytes and seconds as people read them."""

from __future__ import annotations


def size_text(size: int | float) -> str:
    """Spell a number of bytes: ``4.2 GB``, in powers of a thousand as file managers do."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def time_text(seconds: float) -> str:
    """Spell a duration: ``<1 s``, ``45 s``, ``3:07``, ``1:02:33``."""
    if 0 < seconds < 0.5:
        return "<1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
