"""Take a file of a mounted mirror without copying its bytes, where the user and the file system let that be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from comfywatchman_core import share_blocks


def lend(source: Path, target: Path, link: str) -> bool:
    """Make *target* hold the bytes of *source* without copying them, as *link* allows; False where that cannot be."""
    target.unlink(missing_ok=True)
    if link == "hard":
        # The core gives what it places the usual permissions: files that are not ours to change are copied.
        with suppress(OSError):
            if os.access(source, os.W_OK):
                os.link(os.path.realpath(source), target)
                return True
    return link == "auto" and share_blocks(source, target)
