"""One file from the first question to the last byte: connections come and go, and this decides which."""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from comfywatchman_core.addresses import redact
from comfywatchman_core.disk import as_disk_error
from comfywatchman_core.errors import BackendError, Cancelled, ErrorCode
from comfywatchman_core.events import DownloadFinished, DownloadStarted, TransferState, Warned
from comfywatchman_core.hooks import Context
from comfywatchman_core.models import Artifact, Candidate, Digest
from comfywatchman_core.pacing import LONGEST_WAIT, HostGates
from comfywatchman_core.reservation import Reservations
from comfywatchman_core.transport import CONNECT_TIMEOUT, SILENCE_TIMEOUT, Transport, TransportError

from .connection import Connection
from .crew import Crew
from .pace import Pace
from .patience import Patience
from .progress import Progress
from .promise import Stale
from .ramp import Ramp
from .settings import TransferSettings
from .slots import Slots
from .source import Source
from .supply import Supply, least_of, part_of

_TICK = 0.05
_STOPPING = 0.3
"""Seconds that connections get to end when the caller asks to stop."""
_SLOWEST = 1 << 10
"""Bytes a second below which a connection counts as stalled."""
_SLOW_AMONG_OTHERS = 5.0
"""Seconds after which a stalled connection is ended while others flow."""
_FLOWED = 1 << 20
"""Bytes that show that the server wanted a connection, should it stall later."""
_FAR_SLOWER = 20
"""So many times slower than its like a connection may be before another takes its place."""
_SUSPENDED = 5.0
"""Seconds between two looks that mean that this process was stopped."""
_MOST_BEHIND = 64 << 20
"""Bytes the digest may lie behind before more connections are pointless."""
_RESTARTS = 2


@frozen(kw_only=True)
class Means:
    """What all downloads of a run share."""

    settings: TransferSettings
    transport: Transport
    gates: HostGates
    slots: Slots
    crew: Crew
    pace: Pace
    reservations: Reservations


class Download:
    """Brings one candidate to one place. Made for one call of :meth:`run`."""

    def __init__(
        self, means: Means, candidate: Candidate, target: Path, credentials: Mapping[str, str], context: Context
    ) -> None:
        self._means = means
        self._candidate = candidate
        self._target = target
        self._context = context
        self._silence = min(SILENCE_TIMEOUT, means.settings.timeout)
        source = Source(means.transport, means.gates, candidate, credentials, self._silence)
        self._supply = Supply(source, candidate, target, means.reservations)
        self._connections: list[Connection] = []
        self._ended: queue.SimpleQueue[tuple[Connection, BaseException | None]] = queue.SimpleQueue()
        self._patience = Patience(means.settings.max_retries)
        self._ramp = Ramp(means.settings.connections)
        self._progress = Progress(context.emit)
        self._is_started = False
        self._restarts = 0
        self._most_received = 0
        self._usual = 0.0
        """Bytes a second of one among several connections, while there was work for all."""
        self._open_at = self._looked_at = self._awake_since = time.monotonic()

    def run(self) -> Artifact:
        """Transfer. :raises BackendError: The bytes could not be had. :raises Cancelled: The caller asked to stop."""
        try:
            if not self._supply.go_on() and self._target.exists():
                self._warn("what an earlier run left cannot be gone on with, and is fetched anew")
            while True:
                self._transfer()
                sha256 = self._digest()
                if not self._is_spliced(sha256):
                    return self._artifact(sha256)
                self._start_anew("the bytes of an earlier run do not fit those of this one")
        except OSError as error:
            raise as_disk_error(error, self._target) from error
        except BackendError as error:
            if error.code is ErrorCode.SIZE_MISMATCH and self._supply.promise is not None:
                self._stop_connections()
                self._supply.start_anew()
            raise
        finally:
            self._stop_connections()
            self._supply.close()

    def _transfer(self) -> None:
        """Keep connections at work until all bytes are there."""
        while self._connections or not self._is_complete():
            if not self._connections:
                self._wait_for_turn()
                self._start(is_first=True)
            with suppress(queue.Empty):
                self._settle(*self._ended.get(timeout=_TICK))
            self._check_cancelled()
            self._watch()

    def _is_complete(self) -> bool:
        return self._supply.store is not None and self._supply.store.ledger.finished

    def _wait_for_turn(self) -> None:
        """Return when the source may be asked, and a place for a connection is free."""
        source = self._supply.source
        if (seconds := source.rest()) > LONGEST_WAIT:
            raise BackendError(
                f"{redact(source.origin)} asks to be left alone for {seconds:,.0f} s",
                code=ErrorCode.RATE_LIMITED,
                hint="Run again after that.",
                http_status=429,
                retry_after=seconds,
            )
        while (seconds := max(self._open_at - time.monotonic(), source.rest())) > 0:
            self._progress.state(TransferState.WAITING, seconds, f"before asking {redact(source.origin)} again")
            self._check_cancelled()
            time.sleep(min(seconds, _TICK))
        self._means.slots.first(source.origin, self._check_cancelled)
        resumes = self._supply.store is not None
        self._progress.state(TransferState.RESUMING if resumes else TransferState.CONNECTING)

    def _start(self, *, is_first: bool) -> None:
        connection = Connection(
            self._supply,
            self._means.pace,
            is_first=is_first,
            sharers=lambda: len(self._connections),
            ended=lambda one, problem: self._ended.put((one, problem)),
        )
        if self._connections:
            connection.rate = self._connections[0].rate  # as good a guess as there is
        self._connections.append(connection)
        self._means.crew.start(connection.run)

    def _settle(self, connection: Connection, problem: BaseException | None) -> None:
        """Decide how it goes on after one connection ended.

        :raises BackendError: It does not go on.
        """
        if connection not in self._connections:
            return  # it was left behind
        was_retired = connection.is_retired
        self._leave(connection)
        received = self._supply.store.ledger.received if self._supply.store else 0
        if received > self._most_received and not connection.is_too_slow:
            self._patience.progress(received - self._most_received)
        self._most_received = max(received, self._most_received)
        if connection.is_too_slow:
            problem = _too_slow(self._supply.source)
        elif was_retired:
            return
        elif problem is None:
            if self._connections or self._is_complete() or self._supply.source.rest():
                return
            problem = TransportError("a connection ended without a word")
        if not isinstance(problem, (BackendError, Stale)):
            raise problem
        if isinstance(problem, BackendError) and problem.retry_after is not None:
            self._supply.source.leave_alone(problem.retry_after)
        if self._connections:
            # The others go on. Whoever was turned away at the door, or let in and left to wait, shows how many the
            # server wants.
            if connection.received < (_FLOWED if connection.is_too_slow else 1):
                self._ramp.refuse(len(self._connections))
        elif isinstance(problem, Stale):
            self._start_anew(str(problem))
        else:
            self._open_at = time.monotonic() + self._patience.pause_after(problem)
            if not connection.received:
                self._supply.source.forget_storage()

    def _start_anew(self, reason: str) -> None:
        """Throw away what is here. :raises BackendError: That was done too often."""
        if self._restarts >= _RESTARTS:
            raise BackendError(
                f"{redact(self._candidate.url)} is not the same file from one moment to the next: {reason}",
                code=ErrorCode.UNAVAILABLE,
                hint="It may be being replaced; try again later.",
            )
        self._restarts += 1
        self._warn(f"{reason}; the transfer begins anew")
        self._supply.start_anew()
        self._most_received = 0

    def _watch(self) -> None:
        """Tell how far it is, end what stalls, and see that there are as many connections as are worth it."""
        now = time.monotonic()
        suspended, self._looked_at = now - self._looked_at > _SUSPENDED, now
        if suspended:
            self._awake_since = now
        store = self._supply.store
        flowing = sum(connection.is_flowing for connection in self._connections)
        rates = [connection.rate for connection in self._connections if connection.received > _FLOWED]
        if store is not None and rates and flowing > 1 and store.ledger.has_work(_FLOWED):
            self._usual = sum(rates) / len(rates)
        among_others = flowing > 1 or self._usual > 0
        for connection in tuple(self._connections):
            if suspended:
                connection.forget_mark()
            patience = 2 * self._silence + CONNECT_TIMEOUT if connection.is_first else _SLOW_AMONG_OTHERS
            if min(connection.asks_for(now), now - self._awake_since) > patience:
                self._supply.leave_behind(connection)
                connection.is_too_slow = True
                self._settle(connection, None)
                continue
            speed = connection.pace_since_mark(now, _SLOW_AMONG_OTHERS if among_others else 2 * self._silence)
            if speed is not None and speed < max(self._slowest(), self._usual / _FAR_SLOWER):
                connection.is_too_slow = speed < self._slowest()
                connection.abort()
                self._usual /= 2  # should all have become slow, few are ended for it
        if store is None or self._supply.promise is None:
            return
        self._tell_started()
        self._progress.bytes(store.ledger.received, store.size, flowing)
        if self._supply.can_be_shared:
            self._adjust(flowing)

    def _tell_started(self) -> None:
        store = self._supply.store
        if store is not None and not self._is_started:
            self._is_started = True
            self._context.emit(
                DownloadStarted(label="", candidate=self._candidate, resumed_at=store.resumed, size=store.size)
            )

    def _slowest(self) -> float:
        rate = self._means.pace.rate
        return min(_SLOWEST, rate / 100) if rate else _SLOWEST

    def _adjust(self, flowing: int) -> None:
        """Start or end connections."""
        store, alive = self._supply.store, self._connections
        assert store is not None
        first = alive[0] if alive else None
        if first is None or first.span is None:
            return
        slots, origin = self._means.slots, self._supply.source.origin
        if slots.is_wanted(origin) and len(alive) > 1:
            alive[-1].abort()
            return
        received, left = store.ledger.received, store.ledger.left
        target = self._ramp.look(
            flowing=flowing, received=received, left=left, latency=first.latency, waiting=first.waiting
        )
        limit = self._means.pace.rate
        at_limit = 0 < 0.8 * limit < sum(connection.rate for connection in alive)
        if at_limit or store.ledger.prefix - store.follower.hashed > _MOST_BEHIND:
            target = min(target, len(alive))  # the limit, or the digest, is what it waits for
        while len(alive) < target and store.ledger.has_work(least_of(first)) and slots.another(origin):
            if len(alive) == 1:
                store.ledger.shorten(first.span, max(part_of(first), 2 * least_of(first)))
            self._start(is_first=False)
        for surplus in alive[target:]:
            surplus.abort()

    def _digest(self) -> str:
        """The digest of the bytes, all of which are there."""
        store = self._supply.store
        assert store is not None
        while (sha256 := store.digest(_TICK)) is None:
            self._check_cancelled()
            self._progress.state(TransferState.VERIFYING)
        return sha256

    def _is_spliced(self, sha256: str) -> bool:
        """Say whether wrong bytes may come from putting together what does not belong together."""
        expected = self._candidate.sha256
        return expected not in (None, sha256) and self._supply.is_patched and self._restarts < _RESTARTS

    def _artifact(self, sha256: str) -> Artifact:
        store = self._supply.store
        assert store is not None
        size = store.ledger.total
        store.close()
        self._tell_started()
        self._progress.bytes(size, size, 0, last=True)
        artifact = Artifact(path=self._target, size=size, digests=(Digest("sha256", sha256),))
        self._context.emit(DownloadFinished(label="", candidate=self._candidate, artifact=artifact))
        return artifact

    def _stop_connections(self) -> None:
        """End all connections. One that waits for an answer is left behind; it writes nothing any more."""
        for connection in self._connections:
            connection.abort()
        until = time.monotonic() + _STOPPING
        while self._connections:
            try:
                connection, _ = self._ended.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                connection = self._connections[0]
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        """Take a connection off the list, and its bytes and its place back."""
        self._supply.leave_behind(connection)
        self._connections.remove(connection)
        self._means.slots.give_back(self._supply.source.origin)
        if connection.store is not None and connection.span is not None:
            connection.store.ledger.give_back(connection.span)

    def _check_cancelled(self) -> None:
        if self._context.cancelled():
            raise Cancelled("stopped during a download")

    def _warn(self, message: str) -> None:
        self._context.emit(Warned(message=message))


def _too_slow(source: Source) -> BackendError:
    error = TransportError(f"{redact(source.url)} sends next to nothing", hint="Try again later.")
    error.code = ErrorCode.STALLED
    return error
