"""Reading and replacing a table's file: bounded, whole or not at all, one process at a time."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from comfywatchman_core import BackendError, errors

MOST_BYTES = 16 << 20

Stamp = tuple[int, int, int]
"""Changes whenever the file does: inode, size, time in nanoseconds."""


def stamp_of(path: Path) -> Stamp | None:
    """Look whether *path* is there and since when; ``None`` where it cannot be read."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def read_bounded(path: Path) -> bytes:
    """Read an ordinary file whole.

    :raises OSError: It cannot be read, is no ordinary file, or has more than :data:`MOST_BYTES`.
    """
    # O_NONBLOCK: opening a pipe that nobody writes would wait for ever
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not an ordinary file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MOST_BYTES:
        raise OSError(f"it has more than {MOST_BYTES} bytes")
    return data


def replace_whole(path: Path, data: bytes) -> None:
    """Put *data* at *path* so that a reader sees the old file or the new one, whatever happens in between.

    One writer at a time: hold :func:`locked`. A symbolic link stays one; what it leads to is replaced. An existing
    file keeps its mode, a new one is 0600.

    :raises OSError: It could not be written; the old file is as it was.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = path.with_name(f".{path.name}.new")
    staged.unlink(missing_ok=True)  # of a writer that was killed
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(staged, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "fchmod"):
                with contextlib.suppress(FileNotFoundError):
                    os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode) & 0o777)
        os.replace(staged, path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process and thread at a time change *path*; the lock ends with its owner, however that ends.

    :raises OSError: The lock file cannot be made.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    # Never removed: whoever removes a lock file lets two others hold it.
    descriptor = os.open(path.with_name(f".{path.name}.lock"), flags, 0o600)
    try:
        _take(descriptor)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def unreadable(path: Path, error: OSError) -> BackendError:
    """The error for a table that the user names and that cannot be read or written."""
    read_only = isinstance(error, PermissionError)
    return BackendError(
        f"{path}: {error.strerror or error}",
        code=errors.ErrorCode.READ_ONLY if read_only else errors.ErrorCode.BACKEND_FAILED,
        hint="Check the path in [backends.directid] tables, and who may read it.",
    )
