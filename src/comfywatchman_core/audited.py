"""What an audit found: each file, and the whole."""

from __future__ import annotations

import enum
from contextlib import suppress
from pathlib import Path

from attrs import field, frozen

from .errors import ErrorCode, Failure, UnsafeName
from .models import Digest, ModelRequest
from .report import Entry, ExitCode, Problem, Report, Status


class Condition(enum.StrEnum):
    """What became of a file."""

    OK = "ok"
    """Its bytes are those that somebody stated before."""
    CHANGED = "changed"
    """It is intact, and other bytes than those that were planned, downloaded or published."""
    CORRUPT = "corrupt"
    """Nothing can load it, or its bytes changed although nothing wrote to it."""
    UNKNOWN = "unknown"
    """Nothing speaks against it, and nobody ever stated what it should be."""
    MISSING = "missing"
    """The plan names it, and it is not there."""


@frozen(kw_only=True)
class Verified:
    """One file, and what was found out about it."""

    path: Path
    folder: str
    name: str
    condition: Condition
    size: int | None = None
    sha256: str | None = None
    """What its bytes are; ``None`` where they could not be read."""
    expected: str | None = None
    """What they should be, by the word of ``against``."""
    against: str = ""
    """Who stated ``expected``: ``plan``, ``history``, or a back end."""
    note: str = ""
    """What is wrong, or uncertain, in one sentence."""
    was_read: bool = False
    """Its bytes were read in this run; otherwise nothing about it changed since they were."""
    seconds: float = 0.0
    """Spent on reading it."""
    quarantined: Path | None = None
    """Where it was put, with ``--quarantine``."""

    @property
    def label(self) -> str:
        """``FOLDER/NAME``, or the name where no folder of models holds the file."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def failure(self) -> Failure | None:
        """What is wrong, as a report says it; ``None`` for ``ok``, ``unknown`` and ``missing``."""
        if self.condition is Condition.CHANGED:
            hint = "If the change is not yours, delete the file and run `comfywatchman get`; "
            hint += "if it is, write a new plan." if self.against == "plan" else "if it is, run again with --accept."
            return Failure(code=ErrorCode.CHECKSUM_MISMATCH, message=f"{self.path}: {self.note}", hint=hint)
        if self.condition is Condition.CORRUPT:
            differs = self.expected is not None and self.sha256 != self.expected
            code = ErrorCode.CHECKSUM_MISMATCH if differs else ErrorCode.NOT_A_MODEL
            hint = (
                f"It is kept as {self.quarantined.name}; run `comfywatchman get` to have it again."
                if self.quarantined
                else "Run again with --quarantine to put it aside, then `comfywatchman get` to have it again."
            )
            return Failure(code=code, message=f"{self.path}: {self.note}", hint=hint)
        return None

    @property
    def entry(self) -> Entry:
        """The file as an entry of a report."""
        request = ModelRequest(reference=str(self.path))
        digests = (Digest("sha256", self.expected),) if self.expected else ()
        with suppress(UnsafeName):  # a file may have a name that no request may have
            request = ModelRequest(name=self.name, folder=self.folder, digests=digests)
        status = {
            Condition.OK: Status.PRESENT,
            Condition.UNKNOWN: Status.PRESENT,
            Condition.MISSING: Status.MISSING,
            Condition.CORRUPT: Status.CORRUPT,
            Condition.CHANGED: Status.FAILED,
        }[self.condition]
        return Entry(
            request=request, status=status, path=self.path, size=self.size, sha256=self.sha256, error=self.failure
        )


@frozen(kw_only=True)
class AuditReport:
    """The result of an audit."""

    files: tuple[Verified, ...]
    """Sorted by path."""
    problems: tuple[Problem, ...] = ()
    is_complete: bool = True
    """False where the caller asked to stop."""
    interrupted: ExitCode | None = field(default=None)
    """The signal that ended it early."""

    def count(self, condition: Condition) -> int:
        """How many files are in that condition."""
        return sum(one.condition is condition for one in self.files)

    @property
    def read(self) -> tuple[int, int]:
        """How many files were read in this run, and how many bytes they have."""
        sizes = [one.size or 0 for one in self.files if one.was_read]
        return len(sizes), sum(sizes)

    @property
    def report(self) -> Report:
        """The files that are not as they should be, as the report of a run."""
        wrong = (Condition.CHANGED, Condition.CORRUPT, Condition.MISSING)
        return Report(
            entries=tuple(one.entry for one in self.files if one.condition in wrong),
            problems=self.problems,
            interrupted=self.interrupted or (None if self.is_complete else ExitCode.INTERRUPTED),
        )

    @property
    def exit_code(self) -> ExitCode:
        """7 where a file is corrupt or changed, 4 where a planned one is missing, 0 otherwise."""
        return self.report.exit_code
