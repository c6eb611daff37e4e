"""What listeners are told of one transfer, and how often."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from comfywatchman_core.events import BytesReceived, Event, StateChanged, TransferState

_INTERVAL = 0.1
_WINDOW = 5.0
_STALLED_AFTER = 3.0
_REMINDER = 5.0


class Progress:
    """Turns counts into events, ten a second at most. Used by one thread."""

    def __init__(self, emit: Callable[[Event], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self._told = 0.0
        self._count = -1
        self._moved = clock()
        self._state: TransferState | None = None
        self._stated = 0.0

    def state(self, state: TransferState, seconds: float | None = None, reason: str = "") -> None:
        """Tell what the transfer does while no bytes arrive; the same again only after some seconds."""
        now = self._clock()
        if state is not self._state or now - self._stated >= _REMINDER:
            self._state, self._stated = state, now
            self._emit(StateChanged(label="", state=state, seconds=seconds, reason=reason))

    def bytes(self, received: int, size: int | None, connections: int, *, last: bool = False) -> None:
        """Tell how far it is, if that is news.

        :param received: Bytes that are there.
        :param last: Tell it in any case.
        """
        now = self._clock()
        if received < self._count:
            self._samples.clear()  # it began anew
        if received != self._count:
            self._moved, self._state = now, None
        elif now - self._moved > _STALLED_AFTER and not last:
            self.state(TransferState.STALLED, reason="no bytes arrive")
            return
        if not last and (now - self._told < _INTERVAL or received == self._count):
            return
        self._told, self._count = now, received
        self._samples.append((now, received))
        while self._samples[0][0] < now - _WINDOW and len(self._samples) > 2:
            self._samples.popleft()
        since, before = self._samples[0]
        rate = (received - before) / (now - since) if now > since else None
        self._emit(BytesReceived(label="", received=received, size=size, rate=rate, connections=connections))
