"""One limit on speed for all transfers together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_AHEAD = 0.1
"""Seconds that may be taken at once before anybody waits."""


class Pace:
    """Bytes are taken from one account, whoever transfers them. Safe to share between threads.

    :param rate: Bytes a second; 0 for no limit.
    """

    def __init__(self, rate: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._paid_until = clock()

    def take(self, count: int) -> float:
        """Account for *count* bytes; :returns: seconds to wait before the next ones are read."""
        if not self.rate:
            return 0.0
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - _AHEAD) + count / self.rate
            return max(0.0, self._paid_until - now)

    def portion(self, amount: int) -> int:
        """*amount*, or less: so much that nobody waits longer than a moment for it."""
        return min(amount, max(1 << 10, int(self.rate * _AHEAD))) if self.rate else amount
