"""What the core tells its listeners. Plain values: a listener may print them, draw a bar or send them on.

Events come from a thread of their own, one at a time and in order. ``label`` is the
file that an event is about: ``FOLDER/NAME``, or the reference that was asked for.
"""

from __future__ import annotations

import enum

from attrs import frozen

from .models import Artifact, Attempt, Candidate
from .report import Entry


@frozen(kw_only=True)
class WorkflowRead:
    """One file was scanned."""

    workflow: str
    models: int
    """Model files that it names."""


@frozen(kw_only=True)
class Surveyed:
    """All workflows are read and the disk is looked at; told once a run, before anybody is asked."""

    needed: int
    """Files, what is inactive or not chosen left out."""
    missing: int
    """Files that this run goes on to search for."""


@frozen(kw_only=True)
class BackendAsked:
    """One back end answered, declined or failed."""

    label: str
    attempt: Attempt


@frozen(kw_only=True)
class Queued:
    """A file was found and waits for its turn. Files that nobody knows are never queued."""

    label: str
    candidate: Candidate
    """The offer that is tried first; its ``size``, where known, belongs to the total that lies ahead."""


@frozen(kw_only=True)
class DownloadStarted:
    """Bytes begin to arrive, or go on to."""

    label: str
    candidate: Candidate
    resumed_at: int
    """Bytes that an earlier attempt left and that are not transferred again."""
    size: int | None
    """Bytes of the whole file, once known."""


@frozen(kw_only=True)
class BytesReceived:
    """Progress of one file; at most ten a second."""

    label: str
    received: int
    """Bytes so far, resumed part included; not a difference, so that a lost event does no harm."""
    size: int | None
    rate: float | None = None
    """Bytes a second over the last seconds; ``None`` while that is not known."""
    connections: int = 1


class TransferState(enum.StrEnum):
    """What a transfer is doing while no bytes are told of."""

    CONNECTING = "connecting"
    RESUMING = "resuming"
    STALLED = "stalled"
    WAITING = "waiting"
    VERIFYING = "verifying"


@frozen(kw_only=True)
class StateChanged:
    """A transfer, or the search, waits for something."""

    label: str
    """Empty where a source keeps the search for several files waiting."""
    state: TransferState
    seconds: float | None = None
    """How long a wait will take, where that is known."""
    reason: str = ""


@frozen(kw_only=True)
class DownloadFinished:
    """All bytes are staged; they are not trusted yet."""

    label: str
    candidate: Candidate
    artifact: Artifact


@frozen(kw_only=True)
class FileSettled:
    """Nothing more happens to this file in this run."""

    label: str
    entry: Entry


@frozen(kw_only=True)
class Warned:
    """Something the user should know though nothing failed."""

    message: str
    label: str = ""


Event = (
    WorkflowRead
    | Surveyed
    | BackendAsked
    | Queued
    | DownloadStarted
    | BytesReceived
    | StateChanged
    | DownloadFinished
    | FileSettled
    | Warned
)
