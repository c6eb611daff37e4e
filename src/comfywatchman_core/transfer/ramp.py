"""How many connections one transfer is worth, found out while it runs.

Where one connection fills the line, more of them cost time and bring nothing;
where a server limits each connection, n of them bring n times as much. Both
look the same before they are tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_WORTH_IT = 1.5
"""Seconds that must be left before another connection is tried."""
_SETTLE = 0.1
_GAIN = 0.3
"""The part of a proportional gain that is gain enough."""
_IDLE = 0.5
"""Part of the time that a connection waits for bytes. Below that it is this machine that is slow."""
_TRY_AGAIN = 10.0
_FIRST_STEP = 4
_LONG_WAY = 0.02
"""Seconds of latency from which on nothing is tried step by step: each step takes some latencies to show."""
_LONG_WAY_STEP = 8
_LARGE = 16 << 20
"""Bytes to come from which on that is worth it."""


class Ramp:
    """Decides how many connections there should be. Used by one thread.

    :param most: Connections that are allowed.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.target = 1
        self._most = most
        self._clock = clock
        self._base = (0, 0.0)
        """The last number that was worth it, and the rate it brought."""
        self._from: tuple[float, int] | None = None
        self._not_before = 0.0
        self._pause = _TRY_AGAIN

    def refuse(self, alive: int) -> None:
        """The server does not want more than *alive* connections, for now."""
        self.target = max(1, min(self.target, alive))
        self._base, self._from = (self.target, 0.0), None
        self._wait()

    def look(self, *, flowing: int, received: int, left: int, latency: float, waiting: float) -> int:
        """Take note of how it goes; :returns: how many connections there should be.

        :param flowing: Connections that bytes come from.
        :param received: Bytes so far.
        :param left: Bytes to come.
        :param latency: Seconds that the last request took until its answer began.
        :param waiting: The part of its time that a connection waits for bytes.
        """
        now = self._clock()
        if self._from is None and not self._base[0] and latency > _LONG_WAY and left > _LARGE:
            self.target = max(self.target, min(self._most, _LONG_WAY_STEP))
        if flowing < self.target or not left:
            self._from = None
            return self.target
        if self._from is None:
            self._from = (now, received)
            return self.target
        seconds = now - self._from[0]
        if seconds < max(_SETTLE, 2 * latency):
            return self.target
        rate = (received - self._from[1]) / seconds
        tried = self.target > self._base[0]
        if tried and self._base[0]:
            ideal = self.target / self._base[0] - 1
            if rate / max(self._base[1], 1.0) - 1 < _GAIN * ideal:
                self.target = self._base[0]
                self._wait()
                self._from = None
                return self.target
        self._base = (self.target, rate)
        self._from = (now, received)
        if self.target < self._most and now >= self._not_before and _WORTH_IT * rate < left and waiting > _IDLE:
            self.target = min(self._most, max(_FIRST_STEP, 2 * self.target))
            self._from = None
        return self.target

    def _wait(self) -> None:
        """Try no more for a while, each time for longer."""
        now = self._clock()
        if now >= self._not_before:
            self._not_before, self._pause = now + self._pause, 2 * self._pause
