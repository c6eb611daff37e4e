"""Progress as plain lines, for pipes, logs and dumb terminals: one when a file begins, one when it is settled."""

from __future__ import annotations

from comfywatchman_core.events import (
    BackendAsked,
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

from .terminal import about, say


class Lines:
    """A listener that writes to stderr."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._begun: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case DownloadStarted() if event.label not in self._begun:
                self._begun.add(event.label)
                size = f", {size_text(event.size)}" if event.size else ""
                resumed = f", going on at {size_text(event.resumed_at)}" if event.resumed_at else ""
                say(f"downloading {event.label} from {event.candidate.backend}{size}{resumed}")
            case StateChanged(state=TransferState.WAITING):
                long = f" for {time_text(event.seconds)}" if event.seconds else ""
                say(f"waiting{long}: {event.label}{': ' + event.reason if event.reason else ''}")
            case StateChanged(state=TransferState.STALLED):
                say(f"stalled: {event.label}")
            case FileSettled() if event.entry.status in (Status.DOWNLOADED, Status.LINKED):
                taken = f" in {time_text(event.entry.seconds)}" if event.entry.seconds else ""
                verdict = f", {event.entry.verification.verdict.value}" if event.entry.verification else ""
                say(f"done {event.label}{taken}{verdict}")
            case FileSettled() if event.entry.error is not None:
                say(f"{event.entry.status.value}: {about(event.label, event.entry.error.message)}")
            case Warned():
                say(f"warning: {event.message}")
            case BackendAsked() if self._verbose and event.attempt.outcome is not Outcome.DECLINED:
                attempt = event.attempt
                said = attempt.failure.message if attempt.failure else f"{attempt.offers} found"
                say(f"{attempt.backend} {attempt.hook} {event.label}: {said} ({attempt.seconds:.2f} s)")
            case _:
                pass
