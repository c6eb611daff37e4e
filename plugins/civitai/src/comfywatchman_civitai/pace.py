"""How fast one run asks: a handful of questions at once, then a steady, slow rate for all workers together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from comfywatchman_core import errors

BURST = 10
"""Questions that a run may ask before it has to keep the rate."""

_STEP = 0.1


class Pace:
    """One gate for all workers of a run.

    :param rate: Questions a second in the long run; 0 is no limit.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock() - BURST / rate if rate > 0 else 0.0

    def wait(self, cancelled: Callable[[], bool]) -> None:
        """Take the next turn, and wait for it. :raises Cancelled: The caller asked to stop."""
        if self._rate <= 0:
            return
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now - BURST / self._rate) + 1 / self._rate
            turn = self._free_at
        rest(turn - now, cancelled, clock=self._clock, sleep=self._sleep)


def rest(
    seconds: float,
    cancelled: Callable[[], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Sleep, looking up often. :raises Cancelled: The caller asked to stop."""
    end = clock() + seconds
    while (left := end - clock()) > 0:
        if cancelled():
            raise errors.Cancelled("stopped while waiting for Civitai")
        sleep(min(left, _STEP))
