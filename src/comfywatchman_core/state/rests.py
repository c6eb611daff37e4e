"""Sources that asked to be left alone, bytes that were refused, and until when, across runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from attrs import frozen

from comfywatchman_core.errors import ErrorCode, Failure

from .database import Database

_COLUMNS = "source, noted, seconds, times, code, message"

SHORTEST = 30.0
"""Seconds. Shorter pauses are waited for within the run that is told of them, and not remembered."""
LONGEST = 86_400.0
"""Seconds. No source is believed for longer than a day."""
_FIRST = 60.0
"""Seconds for a source that is at its limit and does not say for how long; doubled each time, up to an hour."""
_HOUR = 3600.0

_TEN_MINUTES = 600.0
_AT_ONCE = 0.001
"""Seconds after the first refusal of bytes: it may have been an accident. The second one is none."""

_ASKS_FOR_REST = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE})


@frozen(kw_only=True)
class _Rest:
    noted: float
    seconds: float
    times: int
    code: ErrorCode
    message: str


class Rests:
    """Remembers who said "come back later", and whose bytes were refused. Safe to share between threads.

    :param now: The clock, in Unix time. A rest that was noted in its future does not count: the clock was set
        back, and nobody knows how long ago that was.
    """

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._lock = threading.Lock()
        self._rows: dict[str, _Rest] | None = None
        self._guessed: set[str] = set()

    def refusal(self, source: str) -> Failure | None:
        """Why *source* is not to be asked now, in the words it used; ``None`` when it may be."""
        with self._lock:
            rest = self._loaded().get(source)
        if rest is None:
            return None
        left = rest.noted + rest.seconds - self._now()
        if not 0 < left <= rest.seconds:
            return None
        if rest.code not in _ASKS_FOR_REST:
            return Failure(
                code=rest.code,
                message=f"not fetched again yet, because it was refused {rest.times} times: {rest.message}",
                hint=f"It is tried again in {_duration(left)}; to try at once, run again with --force.",
                retry_after=round(left, 1),
            )
        return Failure(
            code=rest.code,
            message=f"not asked again yet, because it said: {rest.message}",
            hint=f"Run again in {_duration(left)}; a file named by its own address or reference is asked for at once.",
            retry_after=round(left, 1),
        )

    def note(self, source: str, failure: Failure) -> None:
        """Remember *failure*, if it is one after which *source* wants to be left alone.

        What the source said holds at once. Where it only said that it is at its limit, a time is guessed, and
        only later runs keep to it: this one goes on trying with the other files.
        """
        if failure.code not in _ASKS_FOR_REST:
            return
        if failure.retry_after is None and failure.code is not ErrorCode.RATE_LIMITED:
            return
        with self._lock:
            rows = self._loaded()
            times = self._times(source)
            seconds = failure.retry_after
            if seconds is None:
                seconds = min(_FIRST * 2.0 ** min(times - 1, 10), _HOUR)
            if seconds < SHORTEST:
                return
            rest = _Rest(
                noted=self._now(),
                seconds=min(seconds, LONGEST),
                times=times,
                code=failure.code,
                message=failure.message,
            )
            if failure.retry_after is None:
                self._guessed.add(source)
            else:
                rows[source] = rest
        self._write(source, rest)

    def note_refused(self, what: str, failure: Failure) -> None:
        """Remember that the bytes of *what* were refused, so that no loop of runs fetches them again and again.

        :param what: File, address and the digest that is asked for: where one of them changes, it is tried at once.
        """
        with self._lock:
            times = self._times(what)
            seconds = _AT_ONCE if times == 1 else min(_TEN_MINUTES * 2.0 ** min(times - 2, 10), LONGEST)
            rest = _Rest(noted=self._now(), seconds=seconds, times=times, code=failure.code, message=failure.message)
            self._loaded()[what] = rest
        self._write(what, rest)

    def _times(self, source: str) -> int:
        before = self._loaded().get(source)
        return before.times + 1 if before is not None and self._is_recent(before) else 1

    def _write(self, source: str, rest: _Rest) -> None:
        self._database.write(
            f"INSERT OR REPLACE INTO rests ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            [(source, rest.noted, rest.seconds, rest.times, rest.code.value, rest.message)],
        )
        now = self._now()
        self._database.write("DELETE FROM rests WHERE noted > ? OR noted + seconds + ? < ?", [(now, _HOUR, now)])

    def lift(self, source: str) -> None:
        """Forget about *source*: it answered."""
        with self._lock:
            if self._loaded().pop(source, None) is None and source not in self._guessed:
                return
            self._guessed.discard(source)
        self._database.write("DELETE FROM rests WHERE source = ?", [(source,)])

    def _is_recent(self, rest: _Rest) -> bool:
        return 0 <= self._now() - rest.noted < rest.seconds + _HOUR

    def _loaded(self) -> dict[str, _Rest]:
        if self._rows is None:
            self._rows = dict(filter(None, map(_read, self._database.read(f"SELECT {_COLUMNS} FROM rests"))))
        return self._rows


def _read(row: tuple[object, ...]) -> tuple[str, _Rest] | None:
    source, noted, seconds, times, code, message = row
    try:
        rest = _Rest(
            noted=float(str(noted)),
            seconds=float(str(seconds)),
            times=int(str(times)),
            code=ErrorCode(str(code)),
            message=str(message),
        )
    except ValueError:
        return None  # damaged on the disk, or written by somebody else: the source is asked
    return (str(source), rest) if 0 < rest.seconds <= LONGEST else None


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours"
