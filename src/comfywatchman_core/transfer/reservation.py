"""Disk space that running downloads still need, so that two that fit only singly are not both begun."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from comfywatchman_core.addresses import printable
from comfywatchman_core.errors import BackendError, ErrorCode

MARGIN = 8 << 20
"""Bytes that stay free, for journals, directories and whoever else writes."""


class Reservations:
    """What is spoken for on each file system. Safe to share between threads.

    :param free: Free bytes where a path lies, for this user.
    """

    def __init__(self, *, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._needs: dict[object, tuple[int, Callable[[], int]]] = {}

    def reserve(self, who: object, directory: Path, needed: Callable[[], int]) -> None:
        """Set room aside on the file system of *directory*, until :meth:`release`.

        :param needed: Bytes that the file system will still have to find for *who*; asked again whenever
            somebody else wants to know what is left.
        :raises BackendError: ``disk_full``, before anything is written.
        """
        device = directory.stat().st_dev
        wanted = needed() + MARGIN
        with self._lock:
            promised = sum(max(0, need()) for other, need in self._needs.values() if other == device)
            free = max(0, self._free(directory) - promised)
            if wanted > free:
                raise BackendError(
                    f"{printable(str(directory.parent))} has {free:,} bytes free, and {wanted:,} are needed",
                    code=ErrorCode.DISK_FULL,
                    hint="Free some space and run again; what has arrived is kept.",
                )
            self._needs[who] = (device, needed)

    def release(self, who: object) -> None:
        """Nothing more is needed for *who*."""
        with self._lock:
            self._needs.pop(who, None)
