"""Turns of the whole fleet: a source sees so many transfers at a time, so far apart, however many workers there are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import frozen
from distributed import Semaphore

from comfywatchman_core.errors import Cancelled

_AT_ONCE = 0.1
"""Seconds within which the next file takes up a lease that was laid aside."""
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
        self._kept: dict[str, _Leases] = {}

    @contextmanager
    def __call__(self, source: str, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Wait for a turn to transfer from *source*, and hold it. :raises Cancelled: The run is to stop."""
        if source in self._limits.unbounded:
            yield
            return
        with self._leases(f"{source}-transfers", self._limits.at_a_time).held(cancelled):
            self._keep_apart(source, cancelled)
            yield

    def _keep_apart(self, source: str, cancelled: Callable[[], bool]) -> None:
        """Let the next one begin no sooner than the delay says: whoever is next waits for it alone."""
        if not self._limits.delay:
            return
        with self._leases(f"{source}-starts", 1, kept=0.0).held(cancelled):
            end = time.monotonic() + self._limits.delay
            while (left := end - time.monotonic()) > 0:
                if cancelled():
                    raise Cancelled("stopped while it waited for its turn")
                time.sleep(min(left, _LOOK))

    def _leases(self, what: str, most: int, *, kept: float = 1.0) -> _Leases:
        with self._lock:
            if what not in self._kept:
                name = f"comfywatchman-{self._run}-{what}"
                self._kept[what] = _Leases(Semaphore(max_leases=most, name=name), kept)
            return self._kept[what]


class _Leases:
    """Leases of one semaphore that this process holds.

    To ask the scheduler twice for every file would cost more than a tiny file does: a lease is kept for the next
    file if that comes at once, and given back after a while all the same, so that others have their turns.

    :param kept: Seconds for which one is kept at most.
    """

    def __init__(self, semaphore: Semaphore, kept: float) -> None:
        self._semaphore = semaphore
        self._longest = kept
        self._lock = threading.Lock()
        self._spare: list[tuple[float, float]] = []
        """When each was got, and when it was laid aside."""

    @contextmanager
    def held(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Hold a lease until the block ends. :raises Cancelled: The run is to stop."""
        with self._lock:
            got = self._spare.pop()[0] if self._spare else None
        if got is None:
            while not self._semaphore.acquire(timeout=_LOOK):
                if cancelled():
                    raise Cancelled("stopped while it waited for its turn")
            got = time.monotonic()
        try:
            yield
        finally:
            now = time.monotonic()
            if now - got >= self._longest:
                self._semaphore.release()
            else:
                with self._lock:
                    self._spare.append((got, now))
                threading.Timer(_AT_ONCE, self._give_back).start()

    def _give_back(self) -> None:
        """Give back what was laid aside and not taken up again."""
        before = time.monotonic() - _AT_ONCE
        with self._lock:
            idle = [one for one in self._spare if one[1] <= before]
            self._spare = [one for one in self._spare if one[1] > before]
        for _ in idle:
            self._semaphore.release()
