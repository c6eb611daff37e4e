"""Tell a listener what happens in a run, in order, without keeping those waiting who have something to tell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from .addresses import redact_text
from .events import BytesReceived, Event

logger = logging.getLogger(__name__)

_PAUSE = 0.01
"""Seconds for which events gather: to wake a thread for each would cost many tiny files more than telling does."""


class Telling:
    """Calls a listener in a thread of its own. Between :meth:`begin` and :meth:`end`; what is told before waits.

    :param listener: Somebody else's code. One that raises is told nothing more.
    """

    def __init__(self, listener: Callable[[Event], object]) -> None:
        self._listener = listener
        self._waiting: SimpleQueue[Event | None] = SimpleQueue()
        self._newest: dict[str, BytesReceived] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="listener", daemon=True)

    def __call__(self, event: Event) -> None:
        """Have *event* told. Never blocks and never raises; after the end, nobody hears it."""
        if self._over.is_set():
            return
        if isinstance(event, BytesReceived):
            self._newest[event.label] = event
        self._waiting.put(event)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Return when everything is told."""
        self._waiting.put(None)
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        while (event := self._waiting.get()) is not None:
            if isinstance(event, BytesReceived) and self._newest[event.label] is not event:
                continue  # a newer one waits: who takes long for each would fall behind further and further
            try:
                self._listener(event)
            except BaseException as error:  # nobody's display may stop a transfer, not even by SystemExit
                self._over.set()
                reason = redact_text(f"{type(error).__name__}: {error}")
                logger.warning("the listener raised %s; it is told nothing more", reason)
                return
            if self._waiting.empty():
                self._over.wait(_PAUSE)
