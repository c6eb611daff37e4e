"""What sources state about files, so that a file that nobody knows is not asked about every day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from attrs import frozen

from .database import Database
from .seals import seal

_COLUMNS = "sha256, label, voice, stated, noted, online, seal"

LASTS = 7 * 86_400.0
"""Seconds after which a file that nobody knows, or that should be another one, is asked about again. That a source
knows just these bytes is kept."""

MOST = 50_000
"""Rows. Above that the oldest are dropped, and their files asked about again."""


@frozen(kw_only=True)
class Statement:
    """What the sources said of one file."""

    voice: str = ""
    """The back end that stated ``sha256``; empty where none knows the file."""
    sha256: str = ""
    """The digest that the file should have, by that source."""
    online: bool
    """Sources that need the network were asked, too."""


class Statements:
    """Remembers statements by the digest of a file and by its ``FOLDER/NAME``. Safe to share between threads.

    :param now: The clock, in Unix time; statements from its future do not count.
    """

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], tuple[Statement, float]] | None = None
        self._is_pruned = False

    def recall(self, sha256: str, label: str, *, online: bool) -> Statement | None:
        """What was said of a file with that digest and label.

        :param online: Nothing that only sources without network were asked for is good enough.
        """
        with self._lock:
            statement, noted = self._loaded().get((sha256, label), (None, 0.0))
        if statement is None or statement.sha256 == sha256:
            return statement
        if (online and not statement.online) or not 0 <= self._now() - noted < LASTS:
            return None
        return statement

    def note_all(self, said: Iterable[tuple[str, str, Statement]]) -> None:
        """Remember for each digest and label what was said."""
        noted = self._now()
        rows = []
        with self._lock:
            for sha256, label, one in said:
                self._loaded()[sha256, label] = (one, noted)
                fields = (sha256, label, one.voice, one.sha256, noted, int(one.online))
                rows.append((*fields, seal(*fields)))
        if rows:
            self._database.write(f"INSERT OR REPLACE INTO statements ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._prune()

    def _prune(self) -> None:
        """Once a run, and after something was written."""
        with self._lock:
            is_done, self._is_pruned = self._is_pruned, True
        if not is_done:
            last = "SELECT noted FROM statements ORDER BY noted DESC LIMIT 1 OFFSET ?"
            self._database.write(f"DELETE FROM statements WHERE noted < ({last})", [(MOST,)])

    def _loaded(self) -> dict[tuple[str, str], tuple[Statement, float]]:
        if self._rows is None:
            self._rows = dict(filter(None, map(_read, self._database.read(f"SELECT {_COLUMNS} FROM statements"))))
        return self._rows


def _read(row: tuple[object, ...]) -> tuple[tuple[str, str], tuple[Statement, float]] | None:
    *fields, check = row
    if seal(*fields) != check:
        return None
    sha256, label, voice, stated, noted, online = fields
    statement = Statement(voice=str(voice), sha256=str(stated), online=bool(online))
    return (str(sha256), str(label)), (statement, float(str(noted)))
