"""One connection: asks for a span of bytes, writes what comes to its place, asks for the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from comfywatchman_core.errors import BackendError, ErrorCode
from comfywatchman_core.transport import Exchange, TransportError

from .pace import Pace
from .promise import Promise
from .spans import NO_END, Span
from .store import Store
from .supply import Supply

_SMALLEST_READ, _LARGEST_READ = 256 << 10, 1 << 20
_READ_SECONDS = 0.01
"""How much a read brings at once, where the line is fast: many connections hold many buffers."""
_FAST = 8 << 20
"""Bytes a second above which a read may last until it is full."""
_MEASURED_FOR = 0.2
_GLANCE = 0.05
"""Seconds that show whether a line is fast, before its rate is known well."""
_NOTED_EVERY = 256 << 10
_NOTED_AT_ONCE = 1 << 20
"""Bytes that are noted in the journal however quickly they came; fewer only if they took a moment."""
_NOTED_MOMENT = 0.02


class Connection:
    """Brings bytes of one file, until there are none left for it.

    :param is_first: Nothing else is at work on the file: what the server sends now decides what the file is.
    :param sharers: How many connections share the file.
    :param ended: Told in the end, from the thread of :meth:`run`, what went wrong, if anything did.
    """

    def __init__(
        self,
        supply: Supply,
        pace: Pace,
        *,
        is_first: bool,
        sharers: Callable[[], int],
        ended: Callable[[Connection, BaseException | None], None],
    ) -> None:
        self.is_first = is_first
        self.received = 0
        """Bytes so far."""
        self.rate = 0.0
        """Bytes a second, over the last moments."""
        self.waiting = 1.0
        """The part of the last moments that it waited for bytes; the rest went into taking them."""
        self.latency = 0.0
        """Seconds that the last request took until its answer began."""
        self.store: Store | None = None
        self.span: Span | None = None
        """What it is bringing."""
        self.is_retired = False
        """It ends after the read that is under way."""
        self.is_too_slow = False
        self._supply = supply
        self._pace = pace
        self._sharers = sharers
        self._ended = ended
        self._exchange: Exchange | None = None
        self._asking_since: float | None = None
        self._mark: tuple[float, int] | None = None
        self._measured = (0.0, 0)
        self._waited = 0.0
        self._is_fast = False
        self._reads = _SMALLEST_READ

    @property
    def is_flowing(self) -> bool:
        """Bytes may come at any moment."""
        return self._exchange is not None

    def asks_for(self, now: float) -> float:
        """Seconds for which it has been waiting for an answer."""
        since = self._asking_since
        return 0.0 if since is None else now - since

    def abort(self) -> None:
        """End it now, even while it waits for bytes."""
        self.is_retired = True
        exchange = self._exchange
        if exchange is not None:
            exchange.abort()

    def pace_since_mark(self, now: float, window: float) -> float | None:
        """Bytes a second over *window* seconds; ``None`` until so many have passed, and then again."""
        if self._mark is None or not self.is_flowing:
            self._mark = (now, self.received)
            return None
        since, before = self._mark
        if now - since < window:
            return None
        self._mark = None
        return (self.received - before) / (now - since)

    def forget_mark(self) -> None:
        """The time since the mark does not count: this process was stopped."""
        self._mark = None

    def run(self) -> None:
        """Bring bytes until there are none left; what goes wrong is told, not raised."""
        problem: BaseException | None = None
        try:
            while not self.is_retired and (span := self._supply.next_span(self, self._sharers())) is not None:
                self.store, self.span = self._supply.store, span
                self._asking_since = time.monotonic()
                exchange, store, span, promise = self._supply.ask(self, span)
                self._asking_since = None
                self.is_first = False
                try:
                    self._exchange = exchange
                    if not self.is_retired and promise is not None:
                        self._read(exchange, store, span, promise)
                finally:
                    self._exchange = None
                    exchange.close()
        except Exception as error:  # handed to the thread that waits for this one, and raised there
            problem = error
        finally:
            self._ended(self, problem)

    def _read(self, exchange: Exchange, store: Store, span: Span, promise: Promise) -> None:
        _keep_freed_memory()
        noted, reach, place = span.position, span.end, span.position
        noted_at = time.monotonic()
        self._measured, self._waited = (noted_at, 0), 0.0
        try:
            # A span that was shortened during a read ends behind the place that the answer has come to.
            while span.left > 0 or (
                place == span.end and store.ledger.extend(span, reach, self._supply.portion(self, self._sharers()))
            ):
                amount = self._pace.portion(min(self._reads, span.left))
                began, worked = time.monotonic(), time.thread_time()
                # On a fast line a read lasts until it is full; on a slow one it brings what there is, so that
                # progress is seen and nothing is lost with the connection.
                chunk = exchange.read(amount) if self._is_fast else exchange.read_some(amount)
                self._waited += time.monotonic() - began - (time.thread_time() - worked)
                if self.is_retired:
                    return  # what is read after an abort may be TLS records that nobody decrypted
                if not chunk:
                    if span.end < NO_END:
                        raise TransportError(f"{promise.identity.storage} ended the connection early")
                    store.ledger.learn_total(span.position)
                    return
                store.write(chunk, span, place)
                place += len(chunk)
                self.received += len(chunk)
                fresh = span.position - noted
                if fresh >= _NOTED_AT_ONCE or (fresh >= _NOTED_EVERY and began - noted_at > _NOTED_MOMENT):
                    store.note(noted, span.position)
                    noted, noted_at = span.position, began
                self._measure(len(chunk))
                if pause := self._pace.take(len(chunk)):
                    time.sleep(pause)
            if promise.identity.total == NO_END:
                self._check_end(exchange, span, promise)
        finally:
            if span.position > noted:
                store.note(noted, span.position)

    def _measure(self, count: int) -> None:
        """Keep the rate, and what it hangs on: servers that limit it send in bursts; single reads say nothing."""
        since, before = self._measured
        seconds = time.monotonic() - since
        if seconds < (_MEASURED_FOR if self._is_fast else _GLANCE) and self.rate:
            self._measured = (since, before + count)
            return
        self.rate = (before + count) / max(seconds, 1e-4)
        self.waiting = self._waited / max(seconds, 1e-4)
        # The first bytes come with the head, at no time at all: they say nothing of the line.
        self._is_fast = seconds >= _GLANCE and self.rate > _FAST
        most = _LARGEST_READ if self._is_fast else _SMALLEST_READ
        self._reads = min(most, max(_SMALLEST_READ, int(self.rate * _READ_SECONDS)))
        self._measured, self._waited = (since + seconds, 0), 0.0

    def _check_end(self, exchange: Exchange, span: Span, promise: Promise) -> None:
        """See that nothing follows, where only the source said how long the file is."""
        with suppress(TransportError):
            if exchange.read(1):
                raise BackendError(
                    f"{promise.identity.storage} sends more than the announced {span.end:,} bytes",
                    code=ErrorCode.SIZE_MISMATCH,
                    hint="The file was replaced, or the address leads elsewhere; another source may have it.",
                )


@cache
def _keep_freed_memory() -> None:
    """Let one read have the memory of the one before.

    The C library of most Linux systems hands blocks of this size back as soon as they are free, so that the kernel
    clears fresh pages for every read, a fifth of what a transfer costs it. It keeps what is smaller than the largest
    block that it saw freed (mallopt(3), M_MMAP_THRESHOLD). Nothing is written to this one, so that it costs nothing.
    """
    bytes(8 * _LARGEST_READ)
