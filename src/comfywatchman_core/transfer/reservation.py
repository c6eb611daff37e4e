"""Disk space that running downloads still need, so that two that fit only singly are not both begun."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from comfywatchman_core.addresses import printable
from comfywatchman_core.errors import BackendError, ErrorCode

MARGIN = 16 << 20
"""Bytes that stay free, for journals, directories and whoever else writes."""


class Reservations:
    """What is spoken for on each file system. Safe to share between threads.

    :param free: Free bytes where a path lies, for this user.
    """

    def __init__(self, *, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._spoken_for: dict[int, int] = {}

    @contextmanager
    def reserve(self, directory: Path, needed: int) -> Iterator[None]:
        """Set *needed* bytes aside on the file system of *directory* until the block ends.

        :param needed: Bytes still to be written; what is allocated already is not counted again.
        :raises BackendError: ``disk_full``, before anything is written.
        """
        device = directory.stat().st_dev
        with self._lock:
            free = self._free(directory) - self._spoken_for.get(device, 0)
            if needed + MARGIN > free:
                raise BackendError(
                    f"{printable(str(directory.parent))} has {max(free, 0):,} bytes free, "
                    f"and {needed + MARGIN:,} are needed",
                    code=ErrorCode.DISK_FULL,
                    hint="Free some space and run again; what has arrived is kept.",
                )
            self._spoken_for[device] = self._spoken_for.get(device, 0) + needed
        try:
            yield
        finally:
            with self._lock:
                self._spoken_for[device] -= needed
