"""What was downloaded when, from where, with which digest and verdict: the rows of ``comfywatchman history``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from comfywatchman_core.addresses import printable, redact, redact_text
from comfywatchman_core.errors import Failure
from comfywatchman_core.jsonlines import attempt_object, error_object
from comfywatchman_core.models import Verdict
from comfywatchman_core.report import Entry, Status

from .database import Database
from .seals import seal

MOST = 20_000
"""Rows. Above that the oldest are dropped, but for those that say what lies at a place where a file still is."""
_MOST_ATTEMPTS = 100
ACCEPTED = "accepted"
_PLACED = (Status.DOWNLOADED.value, Status.LINKED.value, ACCEPTED)

_COLUMNS = (
    "at", "status", "folder", "name", "path", "backend", "match", "reference", "url", "size", "sha256", "verdict",
    "seconds", "error", "attempts",
)  # fmt: skip


@frozen(kw_only=True)
class Record:
    """One try to get a file, and what came of it. Holds no secret."""

    at: float
    """Unix time at which it ended, by the clock of that moment."""
    status: str
    """``downloaded``, ``linked``, ``failed``; ``accepted`` for a file that the user put there, and wants as it is."""
    folder: str
    name: str
    path: Path | None
    """Where the file was placed, or belongs; ``None`` where that was not known yet."""
    backend: str
    match: str
    reference: str
    url: str
    """Without query and user."""
    size: int | None
    sha256: str
    """Empty where no bytes were judged."""
    verdict: str
    seconds: float | None
    error: dict[str, Any] | None
    """As in ``files[].error``."""
    attempts: tuple[dict[str, Any], ...]
    """As in ``files[].attempts``."""

    @property
    def label(self) -> str:
        """``FOLDER/NAME``."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


class History:
    """Writes down what was done, and says what it was. Safe to share between threads.

    Rows are in the order in which they were written, whatever the clock said.
    """

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._is_pruned = False

    def note(self, entry: Entry, failure: Failure | None = None) -> None:
        """Write down what became of *entry*.

        :param failure: Why the offer in ``entry.candidate`` was of no use, where the entry itself does not say.
        """
        request, offer = entry.request, entry.candidate
        error = failure or entry.error
        attempts = [
            _clean(attempt_object(one)) if one.failure else attempt_object(one)
            for one in entry.attempts[-_MOST_ATTEMPTS:]
        ]
        row: tuple[object, ...] = (
            float(self._now()),
            (Status.FAILED if failure else entry.status).value,
            request.folder,
            printable(str(request.name)) if request.name is not None else request.label,
            b"" if entry.path is None else os.fsencode(os.path.abspath(entry.path)),
            printable(entry.backend or (offer.backend if offer else "")),
            offer.match.label if offer else "",
            redact(offer.reference) if offer else "",
            redact(offer.url) if offer else "",
            entry.size,
            entry.sha256 or "",
            entry.verification.verdict.value if entry.verification else "",
            None if entry.seconds is None else float(entry.seconds),
            json.dumps(_clean(error_object(error) or {})),
            json.dumps(attempts),
        )
        self._write(row)

    def accept(self, path: Path, folder: str, name: str, size: int | None, sha256: str) -> None:
        """Write down that the file at *path* is right as it is, whatever was downloaded there before."""
        place = os.fsencode(os.path.abspath(path))
        about = (float(self._now()), ACCEPTED, printable(folder), printable(name), place)
        self._write((*about, "", "", "", "", size, sha256, "", None, "{}", "[]"))

    def _write(self, row: tuple[object, ...]) -> None:
        marks = ", ".join("?" * (len(row) + 1))
        self._database.write(
            f"INSERT INTO history ({', '.join(_COLUMNS)}, seal) VALUES ({marks})", [(*row, seal(*row))]
        )
        self._prune()

    def _prune(self) -> None:
        """Once a run, and after something was written."""
        if self._is_pruned:
            return
        self._is_pruned = True
        read, marks = self._database.read, ", ".join("?" * len(_PLACED))
        old = read(
            "SELECT id, path FROM history WHERE id <= (SELECT id FROM history ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (MOST,),
        )
        if not old:
            return
        last = dict(read(f"SELECT path, max(id) FROM history WHERE status IN ({marks}) GROUP BY path", _PLACED))
        gone = [
            (row,)
            for row, path in old
            if last.get(path) != row or not (isinstance(path, bytes) and os.path.lexists(path))
        ]
        self._database.write("DELETE FROM history WHERE id = ?", gone)

    def records(self, *, limit: int | None = None) -> Iterator[Record]:
        """What was written, oldest first.

        :param limit: Only this many, the newest.
        """
        yield from filter(None, map(_record, self._rows(limit)))

    def placed(self) -> dict[Path, str]:
        """For each path at which a file was placed: the SHA256 that it had then, the last time."""
        return {
            Path(os.fsdecode(row["path"])): row["sha256"]
            for row in self._rows()
            if row["status"] in _PLACED and row["path"] and row["sha256"]
        }

    def verified(self) -> frozenset[str]:
        """The SHA256 of everything that arrived here and that a published checksum spoke for."""
        return frozenset(row["sha256"] for row in self._rows() if row["verdict"] == Verdict.VERIFIED.value)

    def _rows(self, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """The rows whose seal is whole, oldest first."""
        rows = self._database.read(
            f"SELECT {', '.join(_COLUMNS)}, seal FROM history ORDER BY id DESC LIMIT ?",
            (-1 if limit is None else limit,),
        )
        for *fields, check in reversed(rows):
            if seal(*fields) == check:
                yield dict(zip(_COLUMNS, fields, strict=True))


def _clean(told: dict[str, Any]) -> dict[str, Any]:
    """Take out of an error, or of an attempt with one, what an address or a message may give away."""
    cleaned: dict[str, Any] = {}
    for key, value in told.items():
        if isinstance(value, dict):
            cleaned[key] = _clean(value)
        else:
            cleaned[key] = redact_text(value) if isinstance(value, str) else value
    return cleaned


def _record(row: dict[str, Any]) -> Record | None:
    try:
        return Record(
            **{
                **row,
                "path": Path(os.fsdecode(row["path"])) if row["path"] else None,
                "error": json.loads(row["error"]) or None,
                "attempts": tuple(json.loads(row["attempts"])),
            }
        )
    except (ValueError, TypeError, RecursionError):
        return None
