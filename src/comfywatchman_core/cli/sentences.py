"""What is told of a run while it goes on, in words: for the lines of a log and above the live display."""

from __future__ import annotations

from collections.abc import Iterator

from comfywatchman_core.events import BackendAsked, DownloadStarted
from comfywatchman_core.models import Attempt, Outcome
from comfywatchman_core.report import Entry, Status
from comfywatchman_core.units import size_text, time_text

from .tally import source_of


def begun(event: DownloadStarted) -> str:
    """A transfer begins, or goes on."""
    source = f" from {of}" if (of := source_of(event.candidate)) else ""
    size = f", {size_text(event.size)}" if event.size else ""
    resumed = f", going on at {size_text(event.resumed_at)}" if event.resumed_at else ""
    return f"downloading {event.label}{source}{size}{resumed}"


def outcome(entry: Entry) -> Iterator[str]:
    """What there is to say of a file that has come, the most telling first."""
    if entry.size is not None:
        yield size_text(entry.size)
    if entry.status is Status.LINKED:
        yield "was on this disk already"
    if entry.verification is not None:
        yield entry.verification.verdict.value
    if entry.candidate is not None:
        yield source_of(entry.candidate)
    if entry.seconds is not None and entry.seconds >= 0.05:
        yield time_text(entry.seconds)
        if entry.status is Status.DOWNLOADED and entry.size:
            yield f"{size_text(entry.size / entry.seconds)}/s"


def asked(event: BackendAsked) -> str:
    """One back end answered."""
    return f"{event.attempt.backend}, {event.label}: {said(event.attempt)} ({event.attempt.seconds:.2f} s)"


def said(attempt: Attempt) -> str:
    """What one back end said to one question."""
    count = attempt.offers
    match attempt.hook, attempt.outcome:
        case "resolve_model", Outcome.FAILED:
            return f"could not say: {attempt.failure.message if attempt.failure else 'no reason given'}"
        case _, Outcome.FAILED:
            return f"failed: {attempt.failure.message if attempt.failure else 'no reason given'}"
        case "resolve_model", Outcome.DECLINED:
            return "did not look; this is nothing it knows about"
        case "resolve_model", Outcome.ANSWERED:
            return f"offers {count} file{'' if count == 1 else 's'}" if count else "looked, and does not have it"
        case "download_artifact", Outcome.DECLINED:
            return "leaves the transfer to the next"
        case "download_artifact", Outcome.ANSWERED:
            return "brought it"
        case "verify_artifact", Outcome.ANSWERED if count:
            return f"made {count} check{'' if count == 1 else 's'}"
        case _:
            return "nothing to say"
