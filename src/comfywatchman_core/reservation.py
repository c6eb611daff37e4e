"""Disk space that files on their way still need, so that those are begun that fit beside each other."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .addresses import printable
from .disk import as_disk_error
from .errors import BackendError, ErrorCode

MARGIN = 8 << 20
"""Bytes that stay free, for journals, directories and whoever else writes."""


class NoRoom(BackendError):
    """``disk_full``, by what a source states: another one may state less."""


class Reservations:
    """What is spoken for on each file system. Safe to share between threads.

    A file is known by its staging directory: what lies in there needs no room
    any more, whoever brought it, and counts as arrived without being told.

    :param free: Free bytes where a directory lies, for this user.
    """

    def __init__(self, *, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._files: dict[Path, tuple[int, int]] = {}
        """Staging directory → device and bytes of the whole file."""
        self._whole: Counter[int] = Counter()
        """Device → bytes of all its files."""

    def reserve(self, place: Path, size: int) -> bool:
        """Set room aside for a file of *size* bytes, until :meth:`release`, in the place of what it had before.

        :param place: The file's staging directory, which need not be there yet.
        :returns: Whether nothing was set aside for it before.
        :raises NoRoom: It does not fit beside the others. Nothing is set aside for it then.
        :raises BackendError: Nobody can say how much room there is.
        """
        there = next((one for one in place.parents if os.path.exists(one)), place)
        with self._lock:
            is_new = not self._forget(place)
            try:
                device = there.stat().st_dev
                promised, needed, free = self._whole[device], size, self._room(there)
                if promised + needed > free:  # only then is what has arrived worth looking up: queues are long
                    promised = sum(_missing(one, its) for one, (where, its) in self._files.items() if where == device)
                    needed = _missing(place, size)
                    free = self._room(there)  # after the others, which go on: rather too little than too much
            except OSError as error:
                raise as_disk_error(error, place) from error
            if needed > max(0, free - promised):
                beside = f" beside {promised:,} for other files" if promised else ""
                raise NoRoom(
                    f"{printable(str(place.parent))} has room for {max(0, free - promised):,} bytes{beside}, "
                    f"and {needed:,} are needed",
                    code=ErrorCode.DISK_FULL,
                    hint="Free some space and run again; what has arrived is kept.",
                )
            self._files[place] = (device, size)
            self._whole[device] += size
            return is_new

    def _room(self, there: Path) -> int:
        return max(0, self._free(there) - MARGIN)

    def release(self, place: Path) -> None:
        """Nothing more is needed for the file of *place*."""
        with self._lock:
            self._forget(place)

    def _forget(self, place: Path) -> bool:
        if (found := self._files.pop(place, None)) is None:
            return False
        device, size = found
        self._whole[device] -= size
        return True


def _missing(place: Path, size: int) -> int:
    """Bytes that the file system still has to find for a file of *size* bytes."""
    held = 0
    for folder, _, names in () if os.path.islink(place) else os.walk(place):
        for name in names:
            with suppress(OSError):  # it went away meanwhile
                status = os.lstat(os.path.join(folder, name))
                held += getattr(status, "st_blocks", status.st_size // 512) * 512
    return max(0, size - held)
