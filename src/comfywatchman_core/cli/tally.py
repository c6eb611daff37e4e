"""What a run is doing right now and how far it is, from its events alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from attrs import define

from comfywatchman_core.backends import CORE
from comfywatchman_core.errors import ErrorCode
from comfywatchman_core.events import (
    BackendAsked,
    BytesReceived,
    DownloadFinished,
    DownloadStarted,
    Event,
    FileSettled,
    Queued,
    StateChanged,
    Surveyed,
    TransferState,
    WorkflowRead,
)
from comfywatchman_core.models import Candidate
from comfywatchman_core.report import Entry, Status

_WINDOW = 10.0
"""Seconds over which the speed of the whole run is measured."""

_GOES_ON = frozenset(
    {
        ErrorCode.CANCELLED,
        ErrorCode.DISK_FULL,
        ErrorCode.NETWORK,
        ErrorCode.RATE_LIMITED,
        ErrorCode.STALLED,
        ErrorCode.UNAVAILABLE,
    }
)
"""Failures after which the next run goes on where this one stopped."""


@define(kw_only=True)
class Transfer:
    """One file under way."""

    label: str
    source: str = ""
    """Who offered it; the host, where the address itself was the offer."""
    size: int | None = None
    received: int = 0
    rate: float | None = None
    state: TransferState | None = None
    """``None`` while bytes arrive."""
    since: float = 0.0
    """When the state began."""
    seconds: float | None = None
    """How long the state lasts from then on, where that is known."""
    reason: str = ""
    moved: float = 0.0
    """When bytes came last."""

    @property
    def left(self) -> float | None:
        """Seconds until it is complete; ``None`` while that is not known."""
        if not self.rate or self.size is None or self.received > self.size:
            return None
        return (self.size - self.received) / self.rate

    def remaining(self, now: float) -> float | None:
        """Seconds that a wait goes on; ``None`` where that is not known."""
        return None if self.seconds is None else max(0.0, self.since + self.seconds - now)


class Tally:
    """Counts along. Call it with every event; read it between two calls.

    :param clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.workflows = 0
        """Files read so far."""
        self.needed: int | None = None
        self.missing: int | None = None
        """Files that must be found; ``None`` until the disk is looked at."""
        self.found = 0
        self.settled = 0
        """Of the missing ones."""
        self.transfers: dict[str, Transfer] = {}
        """Under way, in the order in which they began."""
        self.pause: Transfer | None = None
        """A source that keeps the search waiting, and until when."""
        self._unfound = 0
        self._sizes: dict[str, int] = {}
        self._received: dict[str, int] = {}
        self._unknown: set[str] = set()
        self._kept: dict[str, tuple[int, int | None]] = {}
        self._sources: dict[str, str] = {}
        self._gains: deque[tuple[float, int]] = deque()
        self._began: float | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case WorkflowRead():
                self.workflows += 1
            case Surveyed():
                self.needed, self.missing = event.needed, event.missing
            case Queued():
                self.found += 1
                self._sources[event.label] = source_of(event.candidate)
                self._note_size(event.label, event.candidate.size)
            case DownloadStarted():
                self._begin(event)
            case BytesReceived():
                self._advance(event)
            case StateChanged():
                self._change(event)
            case DownloadFinished() if event.label in self.transfers:
                self.transfers[event.label].received = event.artifact.size
            case BackendAsked():
                self.pause = None
            case FileSettled():
                self._settle(event)
            case _:
                pass

    @property
    def size(self) -> int:
        """Bytes of all files that are known to come or have come, as far as their sizes are known."""
        return sum(self._sizes.values())

    @property
    def received(self) -> int:
        """Bytes of those files that are here, what earlier runs left included."""
        return sum(self._received.values())

    @property
    def unsearched(self) -> int:
        """Files for which nobody has answered yet."""
        return max(0, (self.missing or 0) - self.found - self._unfound)

    @property
    def is_size_complete(self) -> bool:
        """Every file was searched for, and of every one that was found the size is known."""
        return not self._unknown and self.missing is not None and not self.unsearched

    @property
    def rate(self) -> float | None:
        """Bytes a second over all files, during the last seconds; ``None`` while that is not known."""
        now = self._clock()
        while self._gains and self._gains[0][0] < now - _WINDOW:
            self._gains.popleft()
        if self._began is None or now - self._began < 1 or not self._gains:
            return None
        return sum(gain for _, gain in self._gains) / min(_WINDOW, now - self._began)

    @property
    def left(self) -> float | None:
        """Seconds until all is here; ``None`` while sizes or speed are not known."""
        rate = self.rate
        if not rate or not self.is_size_complete:
            return None
        return max(0, self.size - self.received) / rate

    def kept(self) -> Iterator[tuple[str, int, int | None]]:
        """Files that are not complete: label, bytes that are here for the next run, size."""
        for label, (received, size) in self._kept.items():
            yield label, received, size

    def _note_size(self, label: str, size: int | None) -> None:
        if size is None:
            if label not in self._sizes:
                self._unknown.add(label)
            return
        self._unknown.discard(label)
        self._sizes[label] = size

    def _transfer(self, label: str) -> Transfer:
        if label not in self.transfers:
            now = self._clock()
            self.transfers[label] = Transfer(label=label, source=self._sources.get(label, ""), since=now, moved=now)
        return self.transfers[label]

    def _begin(self, event: DownloadStarted) -> None:
        self._sources.setdefault(event.label, source_of(event.candidate))
        transfer = self._transfer(event.label)
        transfer.source = self._sources[event.label]
        transfer.size, transfer.received, transfer.state = event.size, event.resumed_at, None
        self._note_size(event.label, event.size)
        self._received[event.label] = event.resumed_at
        if self._began is None:
            self._began = self._clock()

    def _advance(self, event: BytesReceived) -> None:
        transfer = self._transfer(event.label)
        before = self._received.get(event.label, event.received)
        if event.received > before:
            self._gains.append((self._clock(), event.received - before))
        self._received[event.label] = event.received
        transfer.received, transfer.rate, transfer.state = event.received, event.rate, None
        transfer.moved = self._clock()
        if event.size is not None:
            transfer.size = event.size
            self._note_size(event.label, event.size)

    def _change(self, event: StateChanged) -> None:
        if not event.label:
            self.pause = Transfer(label="")
        transfer = self._transfer(event.label) if event.label else self.pause
        assert transfer is not None
        if event.state is TransferState.STALLED:
            transfer.since = transfer.moved  # it is told of late, when it is certain
        elif transfer.state is not event.state or event.state is TransferState.WAITING:
            transfer.since = self._clock()
        transfer.state, transfer.seconds, transfer.reason = event.state, event.seconds, event.reason

    def _settle(self, event: FileSettled) -> None:
        label, entry = event.label, event.entry
        transfer = self.transfers.pop(label, None)
        self._unknown.discard(label)
        if not (was_found := label in self._sources) and not _was_missing(entry):
            return
        self.settled += 1
        self._unfound += not was_found
        if entry.status is Status.DOWNLOADED and entry.size is not None:
            self._sizes[label] = self._received[label] = entry.size
            return
        if entry.error is not None and entry.error.code in _GOES_ON and transfer is not None and transfer.received:
            self._kept[label] = transfer.received, transfer.size
        self._sizes.pop(label, None)
        self._received.pop(label, None)


def _was_missing(entry: Entry) -> bool:
    """Tell files that were searched for from those that the look at the disk settled."""
    if entry.error is not None:
        return entry.status is Status.FAILED and entry.error.code is not ErrorCode.CONFLICT
    return entry.status in (Status.DOWNLOADED, Status.LINKED, Status.PLANNED)


def source_of(candidate: Candidate) -> str:
    """Who offered it; the host, where its address itself was the offer."""
    if candidate.backend and candidate.backend != CORE:
        return candidate.backend
    try:
        return urlsplit(candidate.url).hostname or ""
    except ValueError:
        return ""
