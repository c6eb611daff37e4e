"""Turns of the whole fleet: a source sees so many transfers at a time, so far apart, however many workers there are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import frozen
from distributed import Semaphore

from comfywatchman_core.errors import Cancelled

_LOOK = 0.5
"""Seconds after which a worker that waits for its turn looks whether the run goes on."""


@frozen(kw_only=True)
class Limits:
    """What the sources are spared."""

    at_a_time: int
    """Files at a time from one source."""
    delay: float = 0.0
    """Seconds between the beginnings of two transfers from one source."""
    unbounded: tuple[str, ...] = ()
    """Sources that take as many as come, as soon as they come: the studio's own."""


class Turns:
    """The turns that one worker process takes for one run; the scheduler counts them.

    A worker that dies, or that is silent for long, loses what it holds: the leases of Dask's semaphores run out.
    """

    def __init__(self, run: str, limits: Limits) -> None:
        self._run = run
        self._limits = limits
        self._lock = threading.Lock()
        self._semaphores: dict[str, Semaphore] = {}

    @contextmanager
    def __call__(self, source: str, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Wait for a turn to transfer from *source*, and hold it. :raises Cancelled: The run is to stop."""
        if source in self._limits.unbounded:
            yield
            return
        with _held(self._semaphore(f"{source}-transfers", self._limits.at_a_time), cancelled):
            self._keep_apart(source, cancelled)
            yield

    def _keep_apart(self, source: str, cancelled: Callable[[], bool]) -> None:
        """Let the next one begin no sooner than the delay says: whoever is next waits for it alone."""
        if not self._limits.delay:
            return
        with _held(self._semaphore(f"{source}-starts", 1), cancelled):
            end = time.monotonic() + self._limits.delay
            while (left := end - time.monotonic()) > 0:
                if cancelled():
                    raise Cancelled("stopped while it waited for its turn")
                time.sleep(min(left, _LOOK))

    def _semaphore(self, what: str, leases: int) -> Semaphore:
        with self._lock:
            if what not in self._semaphores:
                name = f"comfywatchman-{self._run}-{what}"
                self._semaphores[what] = Semaphore(max_leases=leases, name=name)
            return self._semaphores[what]


@contextmanager
def _held(semaphore: Semaphore, cancelled: Callable[[], bool]) -> Iterator[None]:
    while not semaphore.acquire(timeout=_LOOK):
        if cancelled():
            raise Cancelled("stopped while it waited for its turn")
    try:
        yield
    finally:
        semaphore.release()
