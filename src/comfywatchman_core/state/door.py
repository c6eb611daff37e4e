"""One process at a time does what needs a directory for itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_WAIT = 5.0
"""Seconds to wait for another process."""
_STEP = 0.01


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Let no other process into *directory* until the block ends, among those that ask here.

    For opening a database and for putting one aside: otherwise the log of one could meet the other. Where the
    system cannot lock, or a process that was stopped holds the lock, it is done without.
    """
    descriptor = None
    with suppress(ImportError, OSError):
        import fcntl

        descriptor = os.open(directory, os.O_RDONLY)
        end = time.monotonic() + _WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    break
                time.sleep(_STEP)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
