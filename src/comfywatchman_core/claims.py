"""Who works in a staging directory: a numbered note for each owner, and the file system as the judge.

Creating a note succeeds for one process only, on network shares as well. A
note of a process that is dead is left behind by the next owner, who takes the
next number, so that nothing is ever removed that somebody else may rely on.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .owners import HEARTBEAT, SILENT_ELSEWHERE, Owner

_NOTE = re.compile(r"owner-(\d{1,9})\.json")
_UNREADABLE_FOR = 5.0
"""Seconds that a note may be unreadable, because it is being written, before it counts as torn."""
_STEPPING_BACK = (0.01, 0.05, 0.2)
"""Seconds between looks at somebody who is about to step back."""
_WRONG_CLOCKS = 7200.0
"""Seconds by which the clocks of two hosts may differ, where the file system leaves it to them to write the time."""


class Watch:
    """Whether the heartbeats of other hosts go on while somebody waits, which no clock of theirs can hide."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, float]] = {}

    def still(self, note: Path, beat: int) -> float:
        """Seconds for which the last heartbeat has been *beat*, as far as was watched."""
        now = time.monotonic()
        seen, since = self._seen.get(note, (beat, now))
        self._seen[note] = (beat, since if seen == beat else now)
        return now - self._seen[note][1]


class Claim:
    """A note of this process in *place*."""

    def __init__(
        self, place: Path, note: str, status: os.stat_result, watch: Watch | None = None, *, from_afar: bool = False
    ) -> None:
        self.place = place
        self.from_afar = from_afar
        """An owner that cannot be looked at was silent for long. It may only have slept, and have files open here."""
        # Created with 0666, it shows what the umask leaves of that; os.umask() cannot be read without changing it.
        self.mode = stat.S_IMODE(status.st_mode) & 0o666
        """Permissions that a new file gets here."""
        self._note = place / note
        self._file = (status.st_dev, status.st_ino)
        self._watch = watch or Watch()

    def holds(self) -> bool:
        """Say whether this process is still the last owner: one that was silent for very long may have lost it."""
        with suppress(OSError):
            return self._is_last(notes_in(self.place))
        return False

    def _is_last(self, notes: list[str]) -> bool:
        for pause in _STEPPING_BACK:
            if self._note.name not in notes[:-1]:
                break
            time.sleep(pause)  # whoever looked before this note was there made one behind it, and steps back
            notes = notes_in(self.place)
        return notes[-1:] == [self._note.name] and self._is_mine()

    def _is_mine(self) -> bool:
        status = os.stat(self._note)
        return (status.st_dev, status.st_ino) == self._file

    def beat(self) -> None:
        """Show that the owner lives."""
        with suppress(OSError):
            os.utime(self._note)

    def give_up(self, *, keep: bool) -> None:
        """Remove the notes of the dead and then its own, if it still is the last owner; otherwise :meth:`withdraw`.

        A note of the living is never removed by others: its owner may have found itself alone by now.

        :param keep: Leave the directory and the bytes in it to whoever claims it next.
        :raises OSError: Something cannot be removed; the next claim takes it over.
        """
        names = os.listdir(self.place)
        notes = _notes(names)
        if not self._is_last(notes):
            self.withdraw()
            return
        if not keep:
            _remove(self.place, names)
        for note in notes:
            if note != self._note.name and not _lives(self.place / note, self._watch):
                (self.place / note).unlink(missing_ok=True)
        os.unlink(self._note)
        if not keep:
            _remove_empty(self.place)

    def withdraw(self) -> None:
        """Remove this process's own note and nothing else, and the directory if nothing is left in it.

        For an owner that is not the last one: another process holds the place, or looked into it a moment ago.
        """
        with suppress(OSError):
            if self._is_mine():
                os.unlink(self._note)
        with suppress(OSError):
            os.rmdir(self.place)


def claim(place: Path, watch: Watch | None = None) -> Claim | None:
    """Become the owner of *place*; ``None`` while somebody else is.

    Whoever created a note looks again: if a living owner is there after all
    (the place was given up and claimed anew in between), it steps back.

    :param watch: Of those who wait, and try again: the same one each time.
    :raises OSError: The directory cannot be made, or something else has its name.
    """
    watch = watch or Watch()
    while True:
        is_new = True
        try:
            os.mkdir(place)
        except FileExistsError:
            is_new = False
        try:
            if not is_new and not stat.S_ISDIR(os.lstat(place).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(place))
            notes = [] if is_new else notes_in(place)
            if any(_lives(place / note, watch) for note in notes):
                return None
            from_afar = any(_is_from_afar(place / note) for note in notes)
            mine = f"owner-{_number(notes[-1]) + 1 if notes else 1}.json"
            descriptor = os.open(place / mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            try:
                os.write(descriptor, Owner.current().write().encode())
                status = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if any(_lives(place / note, watch) for note in notes_in(place) if note != mine):
                Claim(place, mine, status).withdraw()
                return None
            return Claim(place, mine, status, watch, from_afar=from_afar)
        except (FileExistsError, FileNotFoundError):
            continue  # somebody else was quicker, or gave the place up at this moment: look again


def is_claimed(place: Path) -> bool:
    """Say whether a living process works in *place*."""
    return any(_lives(place / note, Watch()) for note in notes_in(place))


def notes_in(place: Path) -> list[str]:
    """Names of the owners' notes in *place*, the newest last."""
    return _notes(os.listdir(place))


def empty(place: Path) -> None:
    """Remove everything in *place* but the owners' notes; links are removed, not followed."""
    _remove(place, os.listdir(place))


def _remove(place: Path, names: Iterable[str]) -> None:
    for name in names:
        if _NOTE.fullmatch(name):
            continue
        path = place / name
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()


def _remove_empty(place: Path) -> None:
    try:
        os.rmdir(place)
    except OSError as error:
        # Whoever steps back removes it as well, and whoever comes puts a note into it.
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


def _notes(names: Iterable[str]) -> list[str]:
    return sorted(filter(_NOTE.fullmatch, names), key=_number)


def _number(note: str) -> int:
    found = _NOTE.fullmatch(note)
    return int(found.group(1)) if found else 0


def _lives(note: Path, watch: Watch) -> bool:
    try:
        status = note.stat()
        owner = Owner.read(note.read_text("utf-8", "replace"))
    except FileNotFoundError:
        return False
    beat = status.st_mtime
    if owner is None:
        return _clock(note.parent) - beat < _UNREADABLE_FOR
    if not owner.is_elsewhere:
        return owner.lives(beat)
    silent = _clock(note.parent) - beat
    if silent >= SILENT_ELSEWHERE + _WRONG_CLOCKS:
        return False
    still = watch.still(note, status.st_mtime_ns)
    return still < (3 * HEARTBEAT if silent >= SILENT_ELSEWHERE else SILENT_ELSEWHERE)


def _is_from_afar(note: Path) -> bool:
    with suppress(OSError):
        owner = Owner.read(note.read_text("utf-8", "replace"))
        here = Owner.current()
        return owner is None or (owner.host, owner.space) != (here.host, here.space)
    return False


def _clock(place: Path) -> float:
    """The time by the clock that writes times into *place*: that of the server, where there is one."""
    with suppress(OSError), tempfile.TemporaryFile(dir=place.parent) as file:
        return os.fstat(file.fileno()).st_mtime
    return time.time()
