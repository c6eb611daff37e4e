"""One mirror in one run: asked within seconds, and left alone from the first time that it does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from comfywatchman_core import BackendError, Context, errors, events

from .layout import LARGEST_DOCUMENT
from .lookup import Read, expect_mirror
from .settings import Settings
from .stores import Store

_T = TypeVar("_T")

_PATIENCE = 10.0
"""Seconds for one lookup. A share that hangs and a server that trickles would take minutes."""
_MISSING = frozenset({403, 404, 410})
"""Object stores that may not be listed answer 403 for what is not there."""


class Access:
    """Shared by the threads of one run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = None if settings.is_web else Store(settings)
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._is_mirror = False
        self._dead: BackendError | None = None

    def ask(self, context: Context, question: Callable[[Read], _T]) -> _T:
        """Answer *question*, which reads documents of the mirror.

        :raises BackendError: The mirror does not answer, or did not before in this run; it is told once.
        """
        if self._dead is not None:
            raise _again(self._dead)
        if context.offline and self.settings.scheme != "file":
            raise BackendError(
                f"the mirror {self.settings.url} was not asked: offline",
                code=errors.ErrorCode.UNAVAILABLE,
                hint="Run again without --offline.",
            )
        try:
            return _within(_PATIENCE, lambda: self._answer(context, question), self.settings.url)
        except BackendError as error:
            self._dead = error
            self.warn(context, f"{error}; this run goes on without it. {error.hint or ''}".strip())
            raise _again(error) from error

    def warn(self, context: Context, message: str) -> None:
        """Tell the user, once in a run."""
        with self._lock:
            is_news = message not in self._told
            self._told.add(message)
        if is_news:
            context.emit(events.Warned(message=message))

    def close(self) -> None:
        """Give connections back."""
        if self.store is not None:
            self.store.close()

    def _answer(self, context: Context, question: Callable[[Read], _T]) -> _T:
        def read(path: str) -> bytes | None:
            if self.store is None:
                return self._read_web(context, path)
            return self.store.read(path, LARGEST_DOCUMENT)

        if not self._is_mirror:
            expect_mirror(read, self.settings.url)
            self._is_mirror = True
        return question(read)

    def _read_web(self, context: Context, path: str) -> bytes | None:
        answer = context.http.get(
            f"{self.settings.url}/{path}",
            endpoint=self.settings.url,
            shared={"Range": f"bytes=0-{LARGEST_DOCUMENT}"},
            limit=16 * LARGEST_DOCUMENT,  # for a server that knows no ranges
            retries=1,
        )
        if answer.status in (200, 206):
            return answer.body
        if answer.status == 416 or (answer.status in _MISSING and (self._is_mirror or answer.status != 403)):
            return None
        raise answer.error()


def _again(error: BackendError) -> BackendError:
    """The same failure for another file, without its wish to be left alone: the core would mistake whose that is."""
    refused = error.code is errors.ErrorCode.AUTH_REQUIRED
    code = error.code if refused else errors.ErrorCode.UNAVAILABLE
    return BackendError(str(error), hint=error.hint, code=code, http_status=error.http_status)


def _within(seconds: float, call: Callable[[], _T], url: str) -> _T:
    """Call in a thread of its own, which is left behind when it takes longer."""
    done: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:  # handed to whoever asked
            failed.append(error)

    thread = threading.Thread(target=run, name="mirror", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise BackendError(
            f"the mirror {url} gave no answer within {seconds:g} seconds",
            code=errors.ErrorCode.UNAVAILABLE,
            hint="See whether it is switched on, and reachable from here.",
        )
    return done[0]
