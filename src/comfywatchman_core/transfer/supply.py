"""Which bytes a connection asks for next, and whether the answer brings them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from comfywatchman_core.errors import Cancelled
from comfywatchman_core.models import Candidate
from comfywatchman_core.reservation import Reservations
from comfywatchman_core.transport import Exchange

from .journal import Identity, without_query
from .promise import Promise, Stale, check_size, is_complete, read_promise
from .source import Source
from .spans import NO_END, Span
from .store import Store

if TYPE_CHECKING:
    from .connection import Connection

_SMALLEST_PART = 1 << 20
_PART_SECONDS = (1.0, 8.0)
_PART_LATENCIES = 12
"""A part lasts so many latencies: asking for the next one costs little, and the digest, which follows the first gap,
is not left with most of the file in the end."""


class Supply:
    """The source of one file and the store it goes to. Connections call it from their threads."""

    def __init__(self, source: Source, candidate: Candidate, target: Path, reservations: Reservations) -> None:
        self.source = source
        self.wanted = Identity(
            source=without_query(candidate.url),
            sha256=candidate.sha256 or "",
            total=NO_END if candidate.size is None else candidate.size,
        )
        self.store: Store | None = None
        """What is here; ``None`` while nothing is."""
        self.promise: Promise | None = None
        """The last answer; ``None`` until the first one."""
        self.is_patched = False
        """Bytes of several answers were put together, and no server vouches that they belong together."""
        self._candidate = candidate
        self._target = target
        self._reservations = reservations
        self._admitting = threading.Lock()
        self._is_reserved = False
        self._is_closed = False

    @property
    def can_be_shared(self) -> bool:
        """More than one connection may bring this file."""
        return (
            self.store is not None
            and self.promise is not None
            and self.promise.ranges
            and self.promise.identity.is_strong
            and self.store.ledger.total < NO_END
        )

    def go_on(self) -> bool:
        """Take up what an earlier run left; :returns: whether that is something of this file.

        :raises OSError: It cannot be opened.
        """
        self.store = Store.left_behind(self._target, self.wanted)
        self.is_patched = self.store is not None
        return self.is_patched

    def start_anew(self) -> None:
        """Drop what is here. No connection may be at work."""
        if self.store is not None:
            self.store.drop()
        self.store = self.promise = None
        self.is_patched = False

    def close(self) -> None:
        """Stop, and leave what is here to whoever goes on with it. Answers that come later change nothing."""
        with self._admitting:
            self._is_closed = True
            if self.store is not None:
                self.store.close()
            if self._is_reserved:
                self._reservations.release(self._target.parent)

    def leave_behind(self, connection: Connection) -> None:
        """Let an answer that *connection* still waits for change nothing, should it ever come."""
        with self._admitting:
            connection.is_retired = True

    def next_span(self, connection: Connection, sharers: int) -> Span | None:
        """What *connection* brings next; ``None`` when there is nothing for it.

        :param sharers: Connections among which the rest is shared.
        """
        if self.store is None:
            return Span(0, NO_END) if connection.is_first else None
        if not connection.is_first and self.source.rest():
            return None
        ledger = self.store.ledger
        return ledger.take(self.portion(connection, sharers)) or (
            ledger.steal(least_of(connection)) if sharers > 1 else None
        )

    def portion(self, connection: Connection, sharers: int) -> int:
        """Bytes that *connection* is given at once."""
        if self.store is None or sharers <= 1:
            return NO_END
        return max(_SMALLEST_PART, min(self.store.ledger.left // sharers, part_of(connection)))

    def ask(self, connection: Connection, span: Span) -> tuple[Exchange, Store, Span, Promise | None]:
        """Ask for *span*, or for as much of the file as the server is ready to send.

        :returns: The open exchange, the store it goes to, the bytes it brings, and the answer; no answer where the
            server says that all bytes are here.
        :raises Stale: The server has another file than the one whose bytes are here.
        :raises BackendError: It refuses, or has something else than the candidate.
        """
        headers = self._range_of(span) if self.store is not None else {}
        exchange = self.source.open(headers)
        connection.latency = exchange.latency
        try:
            with self._admitting:
                if self._is_closed or connection.is_retired:
                    raise Cancelled("stopped while an answer was on its way")
                store, span, promise = self._admit(exchange, span, span.position if headers else None, connection)
                connection.store, connection.span = store, span
                return exchange, store, span, promise
        except BaseException:
            exchange.close()
            raise

    def _range_of(self, span: Span) -> dict[str, str]:
        assert self.store is not None
        known = self.store.identity
        headers = {"Range": f"bytes={span.position}-{'' if span.end == NO_END else span.end - 1}"}
        # A storage host does not know the validators of another, and where the source redirects to is not known
        # before. Where a digest decides in the end, a validator goes only to the host that it came from.
        if known.validator and (not known.sha256 or known.storage == known.source or self.source.is_storage_known):
            headers["If-Range"] = known.validator
        return headers

    def _admit(
        self, exchange: Exchange, span: Span, offset: int | None, connection: Connection
    ) -> tuple[Store, Span, Promise | None]:
        store = self.store
        if store is not None and store.size is None and is_complete(exchange, store.ledger.received):
            store.ledger.learn_total(store.ledger.received)
            return store, span, None
        promise = read_promise(exchange, store.identity if store else self.wanted, offset=offset)
        check_size(promise, self._candidate.size)
        if store is not None and promise.partial:
            if promise.identity.total < store.ledger.total:
                store.ledger.learn_total(promise.identity.total)
            if self.promise is None:
                self._begin(store, promise.identity)
            elif not promise.identity.validator:
                self.is_patched = True
        else:
            if store is not None and not connection.is_first:
                raise Stale("the server does not answer to Range")
            self.start_anew()
            total = min(promise.identity.total, self.wanted.total)
            store = self.store = Store(self._target, evolve(promise.identity, total=total), [], keep=False)
            self._begin(store, store.identity)
            # An answer that does not say how long it is may have been cut, and look as if it ended.
            self.is_patched = not promise.is_bounded
            span = store.ledger.take() or span
        self.promise = promise
        return store, span, promise

    def _begin(self, store: Store, identity: Identity) -> None:
        """:raises BackendError: ``disk_full``: there is no room for the rest."""
        if store.size is not None and self._reservations.reserve(self._target.parent, store.size):
            self._is_reserved = True  # by nobody else, who would give it back
        store.begin(identity)


def part_of(connection: Connection) -> int:
    """Bytes that are so many that asking for them costs little, and so few that parts stay close to each other."""
    least, most = _PART_SECONDS
    return int(connection.rate * min(most, max(least, _PART_LATENCIES * connection.latency)))


def least_of(connection: Connection) -> int:
    """Bytes below which taking over from another connection is not worth a request."""
    return max(_SMALLEST_PART, int(connection.rate * 2 * connection.latency))
