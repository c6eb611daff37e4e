"""Take a file of a mounted mirror without copying its bytes, where the user and the file system let that be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def lend(source: Path, target: Path, link: str) -> bool:
    """Make *target* hold the bytes of *source* without copying them, as *link* allows; False where that cannot be."""
    target.unlink(missing_ok=True)
    if link == "hard":
        # The core gives what it places the usual permissions: files that are not ours to change are copied.
        with suppress(OSError):
            if os.access(source, os.W_OK):
                os.link(os.path.realpath(source), target)
                return True
    return link == "auto" and _cloned(source, target)


_FICLONE = 0x40049409
"""The ioctl that makes one file share another's blocks: ioctl_ficlone(2)."""


def _cloned(source: Path, target: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        with open(source, "rb") as old, open(target, "xb") as new:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True
