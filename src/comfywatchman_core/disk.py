"""What a file system refuses, said so that the user can act on it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .errors import BackendError, ErrorCode

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOCKED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENXIO, errno.ENODEV})


def as_disk_error(error: OSError, path: Path) -> BackendError:
    """Say which of the things a user can do about *error* applies.

    :param path: The file or directory that could not be written.
    """
    if error.errno in _FULL:
        too_big = error.errno == errno.EFBIG
        return BackendError(
            f"{path.parent} takes no more: {error.strerror}",
            code=ErrorCode.DISK_FULL,
            hint="This file system cannot hold a file of this size; use another one."
            if too_big
            else "Free some space and run again; what has arrived is kept.",
        )
    if error.errno == errno.ENAMETOOLONG:
        return BackendError(
            f"{path.name[:60]}… is too long a name for {path.parent}",
            code=ErrorCode.UNSAFE_NAME,
            hint="Rename the file in the workflow's loader node.",
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP):
        return BackendError(
            f"something else is in the way of {path}: {error.strerror}",
            code=ErrorCode.CONFLICT,
            hint="Move it aside and run again.",
        )
    if error.errno in _LOCKED:
        broken = error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM)
        return BackendError(
            f"{path.parent} cannot be written: {error.strerror}",
            code=ErrorCode.READ_ONLY,
            hint="Check the disk: it reports errors." if broken else "Make the folder writable for this user.",
        )
    return BackendError(f"{path} cannot be written: {error.strerror or error}", code=ErrorCode.READ_ONLY)


def sync_directory(directory: Path) -> None:
    """Make the names in *directory* survive a power cut, where the system can."""
    if os.name != "posix":  # Windows cannot open a directory
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a directory
            raise
    finally:
        os.close(descriptor)
