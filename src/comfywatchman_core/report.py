"""What became of each file of a run, and of the run: entries, summary, exit code."""

from __future__ import annotations

import enum
from pathlib import Path

from attrs import frozen

from .errors import ErrorCode, Failure, ModelsMissing
from .models import Attempt, Candidate, ModelRequest, VerificationReport


class Status(enum.StrEnum):
    """What a run found, or did, about one file."""

    PRESENT = "present"
    ELSEWHERE = "elsewhere"
    """The same name in another sub-folder or root; ``Entry.path`` says where."""
    CORRUPT = "corrupt"
    """Nothing can load it: empty, a web page, a pointer, shorter or longer than its own header says."""
    MISSING = "missing"
    INACTIVE = "inactive"
    """Only muted or bypassed nodes name it."""
    PLANNED = "planned"
    DOWNLOADED = "downloaded"
    LINKED = "linked"
    """The same bytes were already on this disk."""
    SKIPPED = "skipped"
    FAILED = "failed"


class ExitCode(enum.IntEnum):
    """How a command ends; fixed, scripts rely on it."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    ACCESS = 3
    NOT_FOUND = 4
    NETWORK = 5
    RATE_LIMITED = 6
    INTEGRITY = 7
    CONFLICT = 8
    DISK = 9
    SIGHUP = 129
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    SIGTERM = 143


EXIT_CODE_OF = {
    ErrorCode.AUTH_REQUIRED: ExitCode.ACCESS,
    ErrorCode.EARLY_ACCESS: ExitCode.ACCESS,
    ErrorCode.GATED: ExitCode.ACCESS,
    ErrorCode.DOWNLOADS_DISABLED: ExitCode.ACCESS,
    ErrorCode.NOT_FOUND: ExitCode.NOT_FOUND,
    ErrorCode.AMBIGUOUS: ExitCode.NOT_FOUND,
    ErrorCode.UNAVAILABLE: ExitCode.NETWORK,
    ErrorCode.RATE_LIMITED: ExitCode.RATE_LIMITED,
    ErrorCode.NETWORK: ExitCode.NETWORK,
    ErrorCode.STALLED: ExitCode.NETWORK,
    ErrorCode.CHECKSUM_MISMATCH: ExitCode.INTEGRITY,
    ErrorCode.SIZE_MISMATCH: ExitCode.INTEGRITY,
    ErrorCode.NOT_A_MODEL: ExitCode.INTEGRITY,
    ErrorCode.UNSAFE_NAME: ExitCode.INTEGRITY,
    ErrorCode.PICKLE_REFUSED: ExitCode.INTEGRITY,
    ErrorCode.NO_CHECKSUM: ExitCode.INTEGRITY,
    ErrorCode.CONFLICT: ExitCode.CONFLICT,
    ErrorCode.BUSY: ExitCode.CONFLICT,
    ErrorCode.DISK_FULL: ExitCode.DISK,
    ErrorCode.READ_ONLY: ExitCode.DISK,
    ErrorCode.CANCELLED: ExitCode.INTERRUPTED,
    ErrorCode.BACKEND_FAILED: ExitCode.NETWORK,
}

PRECEDENCE = (
    ExitCode.USAGE,
    ExitCode.INTEGRITY,
    ExitCode.DISK,
    ExitCode.CONFLICT,
    ExitCode.ACCESS,
    ExitCode.NOT_FOUND,
    ExitCode.RATE_LIMITED,
    ExitCode.NETWORK,
    ExitCode.UNEXPECTED,
    ExitCode.INTERRUPTED,
)
"""Where several apply, the first of these is the run's. The last is that of a caller who wanted to stop, where nothing
else is wrong; a signal's goes before all of them."""


@frozen(kw_only=True)
class Entry:
    """What became of one request."""

    request: ModelRequest
    status: Status
    path: Path | None = None
    """Where the file is, or belongs; ``None`` while its folder is not known."""
    backend: str | None = None
    candidate: Candidate | None = None
    """The offer that was taken, or is planned."""
    size: int | None = None
    sha256: str | None = None
    verification: VerificationReport | None = None
    seconds: float | None = None
    candidates: tuple[Candidate, ...] = ()
    """Offers that were not taken unasked; each ``reference`` takes it."""
    attempts: tuple[Attempt, ...] = ()
    error: Failure | None = None
    worker: str | None = None
    """Who in a fleet carried it out; ``None`` for this process."""


@frozen(kw_only=True)
class Problem:
    """Something that concerns the run, or one workflow, rather than one file."""

    about: str
    """A workflow's path, a back end's name, or empty."""
    message: str
    hint: str | None = None
    code: str = ""
    """``unreadable``: the workflow could not be read; ``unsafe_name``: a name in it was refused; ``usage``: an
    argument is missing; else free."""


@frozen(kw_only=True)
class Summary:
    """Counts over the entries. ``needed`` leaves out what is inactive."""

    workflows: int
    needed: int
    present: int
    downloaded: int
    skipped: int
    inactive: int
    failed: int
    bytes: int
    """Transferred in this run."""


@frozen(kw_only=True)
class Report:
    """The result of a run."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()
    workflows: int = 0
    """Workflows that were read."""
    transferred: int = 0
    """Bytes."""
    interrupted: ExitCode | None = None
    """The signal that ended the run early."""

    @property
    def summary(self) -> Summary:
        def count(*statuses: Status) -> int:
            return sum(entry.status in statuses for entry in self.entries)

        inactive = count(Status.INACTIVE)
        return Summary(
            workflows=self.workflows,
            needed=len(self.entries) - inactive,
            present=count(Status.PRESENT, Status.ELSEWHERE),
            downloaded=count(Status.DOWNLOADED, Status.LINKED),
            skipped=count(Status.SKIPPED),
            inactive=inactive,
            failed=count(Status.FAILED, Status.MISSING, Status.CORRUPT),
            bytes=self.transferred,
        )

    @property
    def exit_code(self) -> ExitCode:
        """What the command ends with; the table of codes is in the reference."""
        if self.interrupted is not None:
            return self.interrupted
        codes = {EXIT_CODE_OF[entry.error.code] for entry in self.entries if entry.error is not None}
        for entry in self.entries:
            if entry.error is None and entry.status in (Status.MISSING, Status.CORRUPT):
                codes.add(ExitCode.NOT_FOUND)
            elif entry.error is None and entry.status is Status.FAILED:
                codes.add(ExitCode.UNEXPECTED)
        if not self.workflows and not self.entries and any(problem.code == "unreadable" for problem in self.problems):
            codes.add(ExitCode.USAGE)
        if any(problem.code == "usage" for problem in self.problems):
            codes.add(ExitCode.USAGE)
        if any(problem.code == ErrorCode.UNSAFE_NAME for problem in self.problems):
            codes.add(ExitCode.INTEGRITY)
        return next((code for code in PRECEDENCE if code in codes), ExitCode.OK)

    @property
    def ok(self) -> bool:
        """Everything needed is present and nothing was refused."""
        return self.exit_code == ExitCode.OK

    def raise_if_failed(self) -> None:
        """:raises ModelsMissing: Something needed is not there."""
        if self.ok:
            return
        missing = [
            entry.request.label
            for entry in self.entries
            if entry.error is not None or entry.status in (Status.MISSING, Status.CORRUPT, Status.FAILED)
        ]
        reasons = [problem.message for problem in self.problems]
        raise ModelsMissing(f"still missing: {', '.join(missing or reasons)}", report=self)
