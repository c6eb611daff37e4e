"""The same bytes once: use a file that is already on this machine instead of transferring it again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_FICLONE = 0x40049409
"""The ioctl that makes one file share another's blocks (ioctl_ficlonerange(2)); Btrfs, XFS and ZFS know it."""


def same_bytes(paths: Iterable[Path], sha256: str, size: int, digest_of: Callable[[Path], str]) -> Iterator[Path]:
    """Find files among *paths* that hold exactly the bytes of *sha256*.

    :param size: Bytes; files that have another size by now are not read.
    :param digest_of: Gives the SHA256 of a file; raises ``OSError`` where it cannot be read.
    """
    for path in paths:
        with suppress(OSError):
            if path.stat().st_size == size and digest_of(path) == sha256:
                yield path


def share_blocks(source: Path, target: Path) -> bool:
    """Make *target* a file of its own that holds the bytes of *source* without copying them.

    :param target: A place where nothing is.
    :returns: False where the file system cannot do that; then there is nothing at *target*, or what was there.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    with suppress(OSError), open(source, "rb") as old, open(target, "xb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
            return True
        except OSError:
            target.unlink()
    return False


def lend(source: Path, target: Path, how: str) -> bool:
    """Make *target* hold the bytes of *source*, at as little cost as *how* and the file system allow.

    ``auto`` shares blocks where that is possible, then links, then copies; ``hard`` links or gives up;
    ``copy`` makes independent files.

    :param target: A place that is taken is emptied first.
    :returns: True when *target* is another name of the very file, whose mode and times must not be touched.
    :raises OSError: It could not be done.
    """
    target.unlink(missing_ok=True)
    if how != "hard" and share_blocks(source, target):
        return False
    if how in ("auto", "hard"):
        try:
            os.link(os.path.realpath(source), target)
            return True
        except OSError:
            if how == "hard":
                raise
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    return False
