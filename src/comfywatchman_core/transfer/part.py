"""The file in the staging place that bytes are written into, at their place and not in their order."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_WORTH_ALLOCATING = 4 << 20
_POSITIONED = hasattr(os, "pwrite") and hasattr(os, "preadv")
"""The system reads and writes at a place without moving there first; Windows does not."""


class Part:
    """An open staging file. Links are never followed, and a file with a second name is never written to."""

    def __init__(self, path: Path, *, keep: bool) -> None:
        """:param keep: Go on with the file that is there; otherwise it is removed first, because another thread
        that was given up may still hold it.

        :raises OSError: The file cannot be opened.
        """
        self.path = path
        self._using = threading.Lock()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        if not keep:
            path.unlink(missing_ok=True)
            flags |= os.O_EXCL
        self._descriptor = os.open(path, flags, 0o666)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            self.close()
            raise FileExistsError(errno.EEXIST, "not a staging file of this program", str(path))

    @property
    def size(self) -> int:
        """Bytes to its end, holes included."""
        return os.fstat(self._descriptor).st_size

    def allocate(self, size: int) -> None:
        """Make the file *size* bytes long, and set the room aside where the file system can.

        :raises OSError: There is not as much room.
        """
        if size >= _WORTH_ALLOCATING and not _fallocate(self._descriptor, size):
            os.truncate(self._descriptor, size)

    def write(self, view: memoryview, offset: int) -> None:
        """:raises OSError: The disk does not take it."""
        # One at a time, as the file system does it anyway: a descriptor must not be closed, and its number given
        # to another file, in the middle of a write.
        with self._using:
            while view:
                if _POSITIONED:
                    written = os.pwrite(self._descriptor, view, offset)
                else:
                    os.lseek(self._descriptor, offset, os.SEEK_SET)
                    written = os.write(self._descriptor, view)
                offset += written
                view = view[written:]

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill *buffer* from *offset* on; :returns: bytes read, 0 past the end."""
        if _POSITIONED:
            return os.preadv(self._descriptor, [buffer], offset)
        with self._using:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            chunk = os.read(self._descriptor, len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def push(self) -> None:
        """Let the disk begin with what was written, without waiting for it; where the system cannot, do nothing."""
        with self._using:
            descriptor = os.dup(self._descriptor)
        try:
            _write_out(descriptor)
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        with self._using:
            descriptor = os.dup(self._descriptor)  # a slow disk must not keep writers waiting, nor who closes
        try:
            getattr(os, "fdatasync", os.fsync)(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close it; who writes after that gets an error."""
        with self._using:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):
                os.close(descriptor)


def _fallocate(descriptor: int, size: int) -> bool:
    """Ask the file system to set room aside; False where it has no such notion.

    ``os.posix_fallocate`` is not it: where the file system does not know how,
    the C library writes into every block instead, which takes minutes for
    twenty gigabytes on a network share.
    """
    import ctypes  # only for files that are worth it

    fallocate = _system_call("fallocate64")
    if fallocate is None:
        return False
    # Descriptor, mode, first byte, bytes: fallocate(2).
    while fallocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size)) != 0:
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise OSError(code, os.strerror(code))
        if code != errno.EINTR:
            return False
    return True


def _write_out(descriptor: int) -> None:
    import ctypes

    if (sync_file_range := _system_call("sync_file_range")) is not None:
        # Descriptor, first byte, bytes (0: to the end), SYNC_FILE_RANGE_WRITE: sync_file_range(2).
        sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), 2)


def _system_call(name: str) -> Callable[..., int] | None:
    """A function of the C library that Python does not have; ``None`` where the system has none, either."""
    if sys.platform != "linux":
        return None
    import ctypes

    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    return found
