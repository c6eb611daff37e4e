"""Progress as plain lines, for pipes, logs and dumb terminals: what begins, what waits, what is settled."""

from __future__ import annotations

import time
from collections.abc import Callable

from comfywatchman_core.events import (
    BackendAsked,
    BytesReceived,
    DownloadStarted,
    Event,
    FileSettled,
    StateChanged,
    TransferState,
    Warned,
)
from comfywatchman_core.models import Outcome
from comfywatchman_core.report import Status
from comfywatchman_core.units import size_text, time_text

from . import sentences
from .tally import Tally
from .terminal import about, say

_PULSE = 60.0
"""Seconds between two lines of a long transfer: enough to see that it lives, few enough for a log."""


class Lines:
    """A listener that writes to stderr.

    :param tally: Counts along; what it knows can be read afterwards.
    """

    def __init__(
        self, tally: Tally | None = None, *, verbose: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tally = tally or Tally(clock)
        self._verbose = verbose
        self._clock = clock
        self._begun: set[str] = set()
        self._waits: dict[str, float] = {}
        self._pulse = clock()

    def __call__(self, event: Event) -> None:
        self._tally(event)
        match event:
            case DownloadStarted() if event.label not in self._begun:
                self._begun.add(event.label)
                say(sentences.begun(event))
            case BytesReceived() if self._clock() - self._pulse >= _PULSE:
                say(self._under_way())
            case StateChanged(state=TransferState.WAITING) if self._is_news(event):
                long = f" {time_text(event.seconds)}" if event.seconds else ""
                reason = f" {event.reason}" if event.seconds else f": {event.reason}"
                of = f"{event.label}: " if event.label else ""
                say(f"{of}waiting{long}{reason if event.reason else ''}")
            case StateChanged(state=TransferState.STALLED):
                say(f"{event.label}: stalled; no bytes arrive")
            case FileSettled() if event.entry.status in (Status.DOWNLOADED, Status.LINKED):
                details = ", ".join(sentences.outcome(event.entry))
                say(f"done {event.label}{f' ({details})' if details else ''}")
            case FileSettled() if event.entry.error is not None:
                say(f"{event.entry.status.value}: {about(event.label, event.entry.error.message)}")
            case Warned():
                say(f"warning: {about(event.label, event.message)}" if event.label else f"warning: {event.message}")
            case BackendAsked() if self._verbose and event.attempt.outcome is not Outcome.DECLINED:
                say(sentences.asked(event))
            case _:
                pass

    def _is_news(self, event: StateChanged) -> bool:
        """Tell one wait once, however often it is mentioned and by however many files."""
        now = self._clock()
        key = event.reason or event.label
        if now < self._waits.get(key, 0.0):
            return False
        self._waits[key] = now + (event.seconds if event.seconds is not None else _PULSE)
        return True

    def _under_way(self) -> str:
        self._pulse = self._clock()
        tally = self._tally
        files = f"{tally.settled} of {tally.missing} files" if tally.missing is not None else f"{tally.settled} files"
        speed = f", {size_text(tally.rate)}/s" if tally.rate else ""
        left = f", {time_text(tally.left)} left" if tally.left is not None else ""
        return f"under way: {files}, {size_text(tally.received)} of {size_text(tally.size)}{speed}{left}"
