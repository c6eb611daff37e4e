"""Whether model files are what they should be: compared with plan, history, tables and publishers.

What did not change since it was last read is not read again, unless that is
asked for. A digest says what the bytes are; only somebody who stated one
before says what they should be.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import define, evolve, field

from .audited import AuditReport, Condition, Verified
from .conversation import Surroundings
from .errors import BackendError, Cancelled, UnsafeName
from .folders import ModelFolders
from .hashing import Hashed, hash_files
from .models import ModelRequest
from .planfile import Plan
from .publishers import Publishers, question
from .report import Problem
from .staging import put_aside
from .state import Memory, Seen, Statement
from .state.digests import identity_of
from .targets import Target, targets

_BATCH = 200
"""Files after which the digests that were found are written down."""


@define(kw_only=True)
class Audit:
    """One audit of files.

    :param folders: Where models are; ``None`` knows files by their names alone.
    :param surroundings: Makes what is needed to ask back ends. Called only if there is something to ask.
    :param online: Sources that need the network may be asked.
    :param full: Read every file again, whatever is remembered.
    :param quarantine: Rename files that are corrupt.
    :param on_verified: Called with each file when it is known what it is.
    :param on_reading: Called before files are read, with their number and bytes.
    """

    memory: Memory
    surroundings: Callable[[], Surroundings]
    folders: ModelFolders | None = None
    plan: Plan | None = None
    online: bool = True
    full: bool = False
    quarantine: bool = False
    on_verified: Callable[[Verified], None] = lambda verified: None
    on_reading: Callable[[int, int], None] = lambda files, size: None
    cancelled: Callable[[], bool] = lambda: False
    _files: list[Verified] = field(factory=list, init=False)
    _problems: list[Problem] = field(factory=list, init=False)
    _placed: dict[Path, str] = field(factory=dict, init=False)
    _proven: frozenset[str] = field(default=frozenset(), init=False)
    _open: dict[Path, Verified] = field(factory=dict, init=False)
    """Files that nobody on this machine knows."""

    def carry_out(self, paths: Sequence[Path] = ()) -> AuditReport:
        """Look at *paths*, files or directories; by default at what is planned, or at every model there is.

        :raises UsageError: A path does not exist, or nothing says where models are.
        """
        found = targets(paths, self.folders, self.plan)
        self.memory.digests.load_all()
        self._placed = self.memory.history.placed()
        self._proven = self.memory.history.verified()
        is_complete = True
        try:
            self._read([target for target in found if not self._is_settled(target)])
            self._ask()
        except Cancelled:
            is_complete = False
        finally:
            self.memory.digests.flush()
        for verified in self._open.values():
            self._tell(verified)
        return AuditReport(
            files=tuple(sorted(self._files, key=lambda one: str(one.path))),
            problems=tuple(self._problems),
            is_complete=is_complete,
        )

    def _is_settled(self, target: Target) -> bool:
        """Deal with a file without reading it, if that can be done."""
        if target.status is None:
            self._tell(target.found(Condition.MISSING, expected=target.planned, against="plan", note="it is not there"))
            return True
        if self.full:
            return False
        seen = self.memory.digests.recall(target.path, target.status)
        if seen is None:
            return False
        self._judge(target, seen, target.found(Condition.UNKNOWN, sha256=seen.sha256))
        return True

    def _read(self, waiting: Sequence[Target]) -> None:
        """Read files, each once under however many names it is there."""
        by_identity: dict[object, list[Target]] = {}
        for target in waiting:
            assert target.status is not None
            status = target.status
            by_identity.setdefault((status.st_dev, status.st_ino) if status.st_ino else target.path, []).append(target)
        groups = {group[0].path: group for group in by_identity.values()}
        firsts = [(path, group[0].status) for path, group in groups.items() if group[0].status is not None]
        if firsts:
            self.on_reading(len(firsts), sum(status.st_size for _, status in firsts))
        for number, hashed in enumerate(hash_files(firsts, self.cancelled), start=1):
            for place, target in enumerate(groups[hashed.path]):
                self._take_in(target, hashed if place == 0 else evolve(hashed, seconds=0.0), was_read=place == 0)
            if number % _BATCH == 0:
                self.memory.digests.flush()

    def _take_in(self, target: Target, hashed: Hashed, *, was_read: bool) -> None:
        assert target.status is not None
        verified = target.found(Condition.UNKNOWN, was_read=was_read, seconds=hashed.seconds)
        if hashed.error is not None:
            # A disk that cannot give the bytes back has lost them; a lock on them says nothing about them.
            lost = hashed.error.errno == errno.EIO
            note = f"it cannot be read: {hashed.error.strerror or hashed.error}"
            self._tell(evolve(verified, condition=Condition.CORRUPT if lost else Condition.UNKNOWN, note=note))
            return
        verified = evolve(verified, sha256=hashed.sha256)
        if _identity(target.path) != identity_of(target.status):
            self._tell(evolve(verified, sha256=None, note="it changed while it was read"))
            return
        self._judge(target, self.memory.digests.keep(target.path, target.status, hashed.sha256, hashed.flaw), verified)

    def _judge(self, target: Target, seen: Seen, verified: Verified) -> None:
        """Say what the file is, by what is known on this machine; what is not stays open."""
        expected, against = self._expected(target, seen)
        verified = evolve(verified, expected=expected, against=against)
        if seen.flaw:
            verified = evolve(verified, condition=Condition.CORRUPT, note=f"it {seen.flaw}")
        elif expected is not None:
            verified = _compared(verified, seen)
        elif seen.was:
            verified = evolve(verified, condition=Condition.CORRUPT, expected=seen.was, note=_silent(seen))
        else:
            self._open[verified.path] = verified
            return
        if self.quarantine and verified.condition is Condition.CORRUPT:
            verified = self._quarantined(target, verified)
        self._tell(verified)

    def _expected(self, target: Target, seen: Seen) -> tuple[str | None, str]:
        """The SHA256 that the file should have, and who says so: the first who knows."""
        if target.planned is not None:
            return target.planned, "plan"
        if target.path in self._placed:
            return self._placed[target.path], "history"
        if seen.sha256 in self._proven:
            return seen.sha256, "history"
        statement = self.memory.statements.recall(seen.sha256, target.label, online=self.online)
        if statement is not None and statement.voice:
            return statement.sha256, statement.voice
        return None, ""

    def _ask(self) -> None:
        """Ask the sources about files that nobody on this machine knows."""
        questions: dict[Path, ModelRequest] = {}
        for path, verified in self._open.items():
            assert verified.sha256 is not None
            assert verified.size is not None
            if self.memory.statements.recall(verified.sha256, verified.label, online=self.online) is not None:
                continue  # nobody knew it lately
            try:
                questions[path] = question(verified.name, verified.folder, verified.sha256, verified.size)
            except UnsafeName:
                continue  # no source has a file of that name
        if not questions:
            return
        publishers = Publishers(around=self.surroundings())
        try:
            for path, statement in publishers.ask(questions):
                self._hear(self._open[path], statement)
        finally:
            self._problems += [
                Problem(about=name, message=f"{name} could not be asked: {failure.message}", hint=failure.hint)
                for name, failure in publishers.failures.items()
                if self.online
            ]

    def _hear(self, verified: Verified, statement: Statement | None) -> None:
        if statement is None:
            return
        assert verified.sha256 is not None
        self.memory.statements.note_all([(verified.sha256, verified.label, statement)])
        if statement.voice:
            del self._open[verified.path]
            verified = evolve(verified, expected=statement.sha256, against=statement.voice)
            self._tell(_compared(verified, Seen(sha256=verified.sha256 or "")))

    def _tell(self, verified: Verified) -> None:
        self._files.append(verified)
        self.on_verified(verified)

    def _quarantined(self, target: Target, verified: Verified) -> Verified:
        assert target.status is not None
        assert verified.sha256 is not None
        if _identity(target.path) != identity_of(target.status):
            return verified  # somebody mended it meanwhile
        try:
            kept = put_aside(target.path, target.path, verified.sha256)
        except BackendError as error:
            message = f"{verified.path} could not be put aside: {error}"
            self._problems.append(Problem(about=str(verified.path), message=message, hint=error.hint))
            return verified
        self.memory.digests.forget(verified.path)
        return evolve(verified, quarantined=kept)


def _compared(verified: Verified, seen: Seen) -> Verified:
    if verified.sha256 == verified.expected:
        return evolve(verified, condition=Condition.OK)
    if seen.was and seen.was == verified.expected:
        return evolve(verified, condition=Condition.CORRUPT, note=_silent(seen))
    note = f"its SHA256 is {verified.sha256}, where {verified.against} says {verified.expected}"
    return evolve(verified, condition=Condition.CHANGED, note=note)


def _silent(seen: Seen) -> str:
    return f"its bytes changed, and nothing wrote to it: its SHA256 was {seen.was}, and is {seen.sha256}"


def _identity(path: Path) -> str:
    try:
        return identity_of(os.stat(path))
    except OSError:
        return ""
