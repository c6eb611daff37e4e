"""Threads that wait a moment for their next work: to start one costs as much as to write a small file."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_PATIENCE = 2.0
"""Seconds that a thread waits for more work."""


class Crew:
    """Runs each work at once in a thread of its own, an idle one if there is one. Safe to share between threads.

    The threads do not keep the process alive.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Callable[[], None]]] = []

    def start(self, work: Callable[[], None]) -> None:
        """:param work: Must not raise."""
        with self._lock:
            orders = self._idle.pop() if self._idle else None
        if orders is not None:
            orders.put(work)
            return
        orders = queue.SimpleQueue()
        orders.put(work)
        threading.Thread(target=self._serve, args=(orders,), name="comfywatchman-transfer", daemon=True).start()

    def _serve(self, orders: queue.SimpleQueue[Callable[[], None]]) -> None:
        while True:
            try:
                work = orders.get(timeout=_PATIENCE)
            except queue.Empty:
                with self._lock:
                    if orders not in self._idle:
                        continue  # work was given out at this very moment
                    self._idle.remove(orders)
                return
            work()
            del work  # it must not live as long as the thread waits
            with self._lock:
                self._idle.append(orders)
