"""Whether model files are what they should be: compared with plan, history, tables and publishers.

What did not change since it was last read is not read again, unless that is
asked for. A digest says what the bytes are; only somebody who stated one
before says what they should be.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

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


@define(kw_only=True)
class Audit:
    """One audit of files.

    :param folders: Where models are; ``None`` knows files by their names alone.
    :param surroundings: Makes what is needed to ask back ends. Called only if there is something to ask.
    :param online: Sources that need the network may be asked.
    :param full: Read every file again, whatever is remembered.
    :param quarantine: Rename files that are corrupt.
    :param accept: From now on hold files that were changed to what they are. A plan is not changed by that.
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
    accept: bool = False
    on_verified: Callable[[Verified], None] = lambda verified: None
    on_reading: Callable[[int, int], None] = lambda files, size: None
    cancelled: Callable[[], bool] = lambda: False
    _files: list[Verified] = field(factory=list, init=False)
    _problems: list[Problem] = field(factory=list, init=False)
    _placed: dict[Path, str] = field(factory=dict, init=False)
    _proven: frozenset[str] = field(default=frozenset(), init=False)
    _open: dict[Path, Verified] = field(factory=dict, init=False)
    """Files that nobody on this machine knows."""
    _unasked: list[Path] = field(factory=list, init=False)
    """Those about which no source was asked lately."""

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
        self._judge(target, seen)
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
        for hashed in hash_files(firsts, self.cancelled):
            for place, target in enumerate(groups[hashed.path]):
                self._take_in(target, hashed, was_read=place == 0)

    def _take_in(self, target: Target, hashed: Hashed, *, was_read: bool) -> None:
        assert target.status is not None
        seconds = hashed.seconds if was_read else 0.0
        if hashed.error is not None:
            # A disk that cannot give the bytes back has lost them; a lock on them says nothing about them.
            condition = Condition.CORRUPT if hashed.error.errno == errno.EIO else Condition.UNKNOWN
            note = f"it cannot be read: {hashed.error.strerror or hashed.error}"
            self._tell(target.found(condition, note=note, was_read=was_read, seconds=seconds))
        elif _identity(target.path) != identity_of(target.status):
            note = "it changed while it was read"
            self._tell(target.found(Condition.UNKNOWN, note=note, was_read=was_read, seconds=seconds))
        else:
            seen = self.memory.digests.note(target.path, target.status, hashed.sha256, hashed.flaw)
            self._judge(target, seen, was_read=was_read, seconds=seconds)

    def _judge(self, target: Target, seen: Seen, **reading: Any) -> None:
        """Say what the file is, by what is known on this machine; what is not stays open."""
        expected, against = self._expected(target, seen)
        if seen.flaw:
            condition, note = Condition.CORRUPT, f"it {seen.flaw}"
        elif expected is not None:
            condition, note = _compared(seen, expected, against)
        elif seen.was:
            condition, note, expected = Condition.CORRUPT, _silent(seen), seen.was
        else:
            condition, note = Condition.UNKNOWN, ""
        verified = target.found(condition, sha256=seen.sha256, expected=expected, against=against, note=note, **reading)
        if condition is Condition.UNKNOWN:
            self._open[verified.path] = verified
            return
        if self.quarantine and condition is Condition.CORRUPT:
            verified = self._quarantined(target, verified)
        self._tell(self._accepted(verified))

    def _accepted(self, verified: Verified) -> Verified:
        if not self.accept or verified.condition is not Condition.CHANGED or verified.against == "plan":
            return verified
        assert verified.sha256 is not None
        self.memory.history.accept(verified.path, verified.folder, verified.name, verified.size, verified.sha256)
        note = f"accepted as it is, where {verified.against} says {verified.expected}"
        return evolve(verified, condition=Condition.OK, note=note)

    def _expected(self, target: Target, seen: Seen) -> tuple[str | None, str]:
        """The SHA256 that the file should have, and who says so: the first who knows."""
        if target.planned is not None:
            return target.planned, "plan"
        if target.path in self._placed:
            return self._placed[target.path], "history"
        if seen.sha256 in self._proven:
            return seen.sha256, "history"
        statement = self.memory.statements.recall(seen.sha256, target.label, online=self.online)
        if statement is None:
            self._unasked.append(target.path)
        elif statement.voice:
            return statement.sha256, statement.voice
        return None, ""

    def _ask(self) -> None:
        """Ask the sources about files that nobody on this machine knows."""
        questions: dict[Path, ModelRequest] = {}
        for verified in filter(None, map(self._open.get, self._unasked)):
            assert verified.sha256 is not None
            assert verified.size is not None
            with suppress(UnsafeName):  # no source has a file of that name
                request = question(verified.name, verified.folder, verified.sha256, verified.size)
                questions[verified.path] = request
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
            seen = Seen(sha256=verified.sha256)
            condition, note = _compared(seen, statement.sha256, statement.voice)
            verified = evolve(
                verified, condition=condition, note=note, expected=statement.sha256, against=statement.voice
            )
            self._tell(self._accepted(verified))

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


def _compared(seen: Seen, expected: str, against: str) -> tuple[Condition, str]:
    if seen.sha256 == expected:
        return Condition.OK, ""
    if seen.was == expected:
        return Condition.CORRUPT, _silent(seen)
    return Condition.CHANGED, f"its SHA256 is {seen.sha256}, where {against} says {expected}"


def _silent(seen: Seen) -> str:
    return f"its bytes changed, and nothing wrote to it: its SHA256 was {seen.was}, and is {seen.sha256}"


def _identity(path: Path) -> str:
    try:
        return identity_of(os.stat(path))
    except OSError:
        return ""
