"""How many connections one host gets, over all files together."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

_STEP = 0.05


class Slots:
    """Places for connections, counted for each origin. Safe to share between threads.

    Every file gets one before any gets a second: whoever has several gives one
    back when another file waits.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    def first(self, origin: str, look: Callable[[], None]) -> None:
        """Take the first place for a file, as soon as one is free.

        :param look: Called while waiting; raises to stop.
        """
        with self._lock:
            self._waiting[origin] += 1
        try:
            while not self._take(origin, self._most):
                look()
                time.sleep(_STEP)
        finally:
            with self._lock:
                self._waiting[origin] -= 1

    def another(self, origin: str) -> bool:
        """Take one more place for a file that has one; False when there is none to spare."""
        with self._lock:
            spare = self._most - self._waiting[origin]
        return self._take(origin, spare)

    def is_wanted(self, origin: str) -> bool:
        """Say whether a file waits for its first place."""
        with self._lock:
            return self._waiting[origin] > 0

    def give_back(self, origin: str) -> None:
        with self._lock:
            self._taken[origin] -= 1

    def _take(self, origin: str, most: int) -> bool:
        with self._lock:
            if self._taken[origin] >= most:
                return False
            self._taken[origin] += 1
            return True
