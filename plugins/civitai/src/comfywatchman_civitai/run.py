"""What the back end remembers while one run lasts: answers, pace, and whether the service wants to be left alone."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import Factory, define, evolve, field

from comfywatchman_core import BackendError, errors

from .cache import Cache, Kept
from .pace import Pace
from .settings import Settings

if TYPE_CHECKING:
    from comfywatchman_core import Context

STRIKES = 2
"""Questions in a row that got no answer, each after its own retries, before the service counts as out of reach."""

_MOST_REMEMBERED = 20_000
_MOST_PAGES = 64
"""Pages of search results are large; few are worth remembering for other files of the same run."""


@define(eq=False)
class Run:
    """One run of the program, shared by its workers."""

    pace: Pace
    cache: Cache
    expected: dict[str, None] = Factory(dict)
    """The SHA256 of the files that the run looks for, in their order."""
    batching: threading.Lock = field(factory=threading.Lock, repr=False)
    """Held while many checksums are looked up, so that nobody asks for one of them alone meanwhile."""
    _answers: dict[str, Kept] = Factory(dict)
    _pages: dict[str, Kept] = Factory(dict)
    _closed: errors.Failure | None = None
    _strikes: int = 0
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def remembered(self, question: str, seconds: float, absent: float) -> Kept | None:
        """An answer of this run, or a fresh one of an earlier run; see :meth:`Cache.get`."""
        kept = self._answers.get(question) or self._pages.get(question)
        if kept is None and (kept := self.cache.get(question, seconds, absent)) is not None:
            self.remember(question, kept, lasting=False)
        return kept

    def remember(self, question: str, kept: Kept, *, lasting: bool) -> None:
        """:param lasting: Keep it for later runs as well."""
        is_page = isinstance(kept.document, dict) and "items" in kept.document
        answers, most = (self._pages, _MOST_PAGES) if is_page else (self._answers, _MOST_REMEMBERED)
        with self._lock:
            while len(answers) >= most:
                del answers[next(iter(answers))]
            answers[question] = kept
        if lasting:
            self.cache.put(question, kept)

    def check_open(self) -> None:
        """:raises BackendError: The service is not asked any more in this run."""
        closed = self._closed
        if closed is not None:
            raise BackendError(
                closed.message,
                hint=closed.hint,
                code=closed.code,
                http_status=closed.http_status,
                retry_after=closed.retry_after,
            )

    def close(self, why: errors.Failure) -> None:
        """Ask the service nothing more in this run; the other sources go on."""
        with self._lock:
            self._closed = self._closed or evolve(why, message=f"{why.message}; it is not asked again in this run")

    def answered(self) -> None:
        """The service answered: what went before was a passing fault."""
        with self._lock:
            self._strikes = 0

    def struck(self, error: BackendError) -> None:
        """The service gave no answer; after :data:`STRIKES` in a row it is left alone."""
        with self._lock:
            self._strikes += 1
            out = self._strikes >= STRIKES
        if out:
            self.close(error.failure)


class Runs:
    """The runs that are going on, told apart by the HTTP client that the core lends them."""

    def __init__(self) -> None:
        self._runs: weakref.WeakKeyDictionary[object, Run] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, context: Context, *, make_pace: Callable[[float], Pace] = Pace) -> Run:
        """The run that *context* belongs to. :raises BackendError: The settings make no sense."""
        with self._lock:
            run = self._runs.get(context.http)
            if run is None:
                settings = Settings.of(context.settings)
                directory = context.cache_dir if settings.keep_answers else None
                run = self._runs[context.http] = Run(make_pace(settings.rate), Cache(directory))
            return run
