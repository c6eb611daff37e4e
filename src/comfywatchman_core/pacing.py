"""When a host may be asked again: back-off, ``Retry-After``, one gate for all workers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from .errors import Cancelled

LONGEST_WAIT = 900.0
"""Seconds. A source that wants to be left alone for longer is given up for this run."""

_STEP = 0.1


def retry_after(headers: Mapping[str, str], *, now: Callable[[], float] = time.time) -> float | None:
    """Read ``Retry-After``, in seconds or as a date; a past date is 0.

    :param headers: Names in lower case.
    :returns: Seconds from now; ``None`` without the header, or when it cannot be read.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now()
        except (ValueError, TypeError, OverflowError):
            return None
    if seconds != seconds or seconds == float("inf"):
        return None
    return max(0.0, seconds)


def backoff(
    attempt: int, *, base: float = 1.0, longest: float = 60.0, draw: Callable[[], float] = random.random
) -> float:
    """Choose how long to wait before the attempt after *attempt* (0 is the first): full jitter, growing bound."""
    return float(draw() * min(longest, base * 2.0 ** min(attempt, 20)))


class HostGates:
    """One gate for each origin: what one worker is told, all wait for."""

    def __init__(
        self,
        *,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """:param delay: Seconds between two requests to one origin through :meth:`pass_through`."""
        self.on_close: Callable[[str, float], None] = lambda origin, seconds: None
        """Told what this process is told by an origin, and for how many seconds."""
        self._delay = delay
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._opens: dict[str, float] = {}

    def close(self, origin: str, seconds: float) -> None:
        """Let nobody through to *origin* for *seconds*, as it asked this process."""
        self.keep_closed(origin, seconds)
        self.on_close(origin, seconds)

    def keep_closed(self, origin: str, seconds: float) -> None:
        """Let nobody through to *origin* for *seconds*, as it asked somebody else."""
        with self._lock:
            self._opens[origin] = max(self._opens.get(origin, 0.0), self._clock() + seconds)

    def remaining(self, origin: str) -> float:
        """Seconds until the gate of *origin* opens; 0 when it is open."""
        with self._lock:
            return max(0.0, self._opens.get(origin, 0.0) - self._clock())

    def pass_through(self, origin: str, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait for the gate of *origin*, and take the next turn. :raises Cancelled: The caller asked to stop."""
        while True:
            with self._lock:
                wait = self._opens.get(origin, 0.0) - self._clock()
                if wait <= 0:
                    if self._delay:
                        self._opens[origin] = self._clock() + self._delay
                    return
            self.sleep(min(wait, 1.0), cancelled)

    def sleep(self, seconds: float, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Sleep, looking up often. :raises Cancelled: The caller asked to stop."""
        end = self._clock() + seconds
        while True:
            if cancelled():
                raise Cancelled("stopped while waiting")
            left = end - self._clock()
            if left <= 0:
                return
            self._sleep(min(left, _STEP))
