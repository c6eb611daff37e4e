"""The digests of files that were read before, so that nothing is hashed twice.

A digest is believed as long as the file's size, times and inode are those it
was computed at. Times come from the file system and are only compared for
equality: a clock that is set back does no harm.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from comfywatchman_core.verify import sha256_of_file

from .database import Database
from .seals import seal

_COLUMNS = "path, identity, sha256, flaw, was, seal"

MOST = 50_000
"""Rows. Above that, those of files that are gone are dropped; a file that comes back is read again."""

_PAUSE = 1_000_000_000
"""Nanoseconds between two writings: thousands of small files are not worth a transaction each."""

_TICK = 10_000_000
"""Nanoseconds: the coarsest clock that Linux gives files their times from (CONFIG_HZ=100)."""
_COARSE = 2_000_000_000
"""The same on file systems that keep whole seconds; two of them on FAT."""


@frozen(kw_only=True)
class Seen:
    """What is known of a file's bytes."""

    sha256: str
    flaw: str = ""
    """Why nothing can load the file, as a clause that continues "the file …"; empty where nobody found anything."""
    was: str = ""
    """The SHA256 that it had before, where its bytes changed and nothing wrote to it: the disk may be failing."""


@frozen
class _Young:
    """A file that was written a moment ago, and what is to be remembered of it."""

    settles: int
    """Nanoseconds: when a change from then on would show in its times."""
    path: Path
    status: os.stat_result
    seen: Seen


class Digests:
    """Remembers SHA256 by path, and forgets by itself when a file changes. Safe to share between threads.

    :param now: The clock that file times are compared with, in nanoseconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._rows: dict[bytes, tuple[str, Seen]] = {}
        self._young: dict[bytes, _Young] = {}
        self._waiting: list[tuple[object, ...]] = []
        self._written = 0
        self._has_all = False
        self._is_pruned = False

    def sha256(self, path: Path, cancelled: Callable[[], bool] = lambda: False) -> str:
        """The SHA256 of the file at *path*, read only if it has to be.

        :raises Cancelled: The caller asked to stop.
        :raises OSError: The file cannot be read.
        """
        status = os.stat(path)
        seen = self.recall(path, status)
        if seen is not None:
            return seen.sha256
        sha256 = sha256_of_file(path, cancelled)
        self.note(path, status, sha256)
        return sha256

    def recall(self, path: Path, status: os.stat_result) -> Seen | None:
        """What is known of the file at *path*, if it still is the one with *status*."""
        identity, seen = self._row(_key(path)) or ("", None)
        return seen if identity == identity_of(status) else None

    def last_seen(self, path: Path, status: os.stat_result) -> Seen | None:
        """As :meth:`recall`, but for a file that nobody says to have written to.

        Size, inode and time of the last writing are the same, though something else about it may have changed.
        """
        identity, seen = self._row(_key(path)) or ("", None)
        return seen if identity.rpartition(":")[0] == identity_of(status).rpartition(":")[0] else None

    def note(self, path: Path, status: os.stat_result, sha256: str, flaw: str = "", *, is_new: bool = False) -> Seen:
        """Remember what the file at *path* holds, and say how that differs from what it held.

        It is written down with the next one that comes a second after the last writing, or by :meth:`flush`.

        :param status: Taken before the bytes were read. If the file is another one by now, nothing is remembered.
        :param is_new: This run made the file, so that it held nothing before.
        """
        before = None if is_new else self.last_seen(path, status)
        was = "" if before is None else before.was if before.sha256 == sha256 else before.sha256
        seen = Seen(sha256=sha256, flaw=flaw, was=was)
        if (settles := _settles(status, self._now())) is not None:
            with self._lock:
                self._young[_key(path)] = _Young(settles, path, status, seen)
            self._settle(self._now())
        if abs(self._now() - self._written) > _PAUSE:
            self._write_down()
        return seen

    def flush(self) -> None:
        """Write down what was kept, and wait the moment that the youngest takes to settle."""
        self._await_young()
        self._write_down()

    def _await_young(self) -> None:
        now = self._now()
        with self._lock:
            last = max((young.settles for young in self._young.values()), default=now)
        if last > now:
            self._sleep(min(last - now, _TICK) / 1e9)  # it may be a clock that was set back
        self._settle(last)

    def _settle(self, now: int) -> None:
        """Believe what is no longer young, if it is the file that was read."""
        with self._lock:
            ripe = {key: young for key, young in self._young.items() if young.settles <= now}
            for key in ripe:
                del self._young[key]
        for key, young in ripe.items():
            if _is_still(young.path, young.status):
                identity, seen = identity_of(young.status), young.seen
                fields = (key, identity, seen.sha256, seen.flaw, seen.was)
                with self._lock:
                    self._rows[key] = (identity, seen)
                    self._waiting.append((*fields, seal(*fields)))

    def _write_down(self) -> None:
        with self._lock:
            rows, self._waiting = self._waiting, []
            self._written = self._now()
        if rows:
            self._database.write(f"INSERT OR REPLACE INTO digests ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._prune()

    def _prune(self) -> None:
        """Once a run, and after something was written: who only reads changes nothing."""
        if self._is_pruned:
            return
        self._is_pruned = True
        counted = self._database.read("SELECT count(*) FROM digests")
        if counted and counted[0][0] > MOST:
            paths = [path for (path,) in self._database.read("SELECT path FROM digests")]
            gone = [(path,) for path in paths if not (isinstance(path, bytes) and os.path.lexists(path))]
            self._database.write("DELETE FROM digests WHERE path = ?", gone)

    def forget(self, path: Path) -> None:
        """Drop what is known of *path*."""
        key = _key(path)
        with self._lock:
            self._rows.pop(key, None)
            self._young.pop(key, None)
        self._write_down()
        self._database.write("DELETE FROM digests WHERE path = ?", [(key,)])

    def load_all(self) -> None:
        """Read everything at once, for a caller that will ask about thousands of files."""
        rows = dict(filter(None, map(_read, self._database.read(f"SELECT {_COLUMNS} FROM digests"))))
        with self._lock:
            self._rows = {**rows, **self._rows}
            self._has_all = True

    def _row(self, key: bytes) -> tuple[str, Seen] | None:
        if key in self._young:
            self._await_young()
        with self._lock:
            known = self._rows.get(key)
            if known is not None or self._has_all:
                return known
        found = self._database.read(f"SELECT {_COLUMNS} FROM digests WHERE path = ?", (key,))
        read = _read(found[0]) if found else None
        if read is None:
            return None
        with self._lock:
            return self._rows.setdefault(key, read[1])


def _settles(status: os.stat_result, now: int) -> int | None:
    """When a change to the file would show in its times; ``None`` where that takes too long.

    Clocks of file systems tick slowly: a file that is written twice within a tick looks unchanged.
    """
    grain = _COARSE if status.st_mtime_ns % 1_000_000_000 == 0 else _TICK
    rest = grain - abs(now - status.st_mtime_ns)
    if rest <= 0:
        return now
    return None if grain > _TICK else now + rest


def _is_still(path: Path, status: os.stat_result) -> bool:
    """Say whether the file is the one with *status*, and nothing has happened to it so far."""
    try:
        return identity_of(os.stat(path)) == identity_of(status)
    except OSError:
        return False


def identity_of(status: os.stat_result) -> str:
    """Spell out what changes when a file does.

    The last part changes with every writing, whatever is done to the others afterwards. Device numbers are left
    out: they differ after a restart on many file systems.
    """
    return f"{status.st_size}:{status.st_ino}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _read(row: tuple[object, ...]) -> tuple[bytes, tuple[str, Seen]] | None:
    *fields, check = row
    if seal(*fields) != check:
        return None  # damaged on the disk: the file is hashed again
    key, identity, sha256, flaw, was = fields
    assert isinstance(key, bytes)
    return key, (str(identity), Seen(sha256=str(sha256), flaw=str(flaw), was=str(was)))
