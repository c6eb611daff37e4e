"""How often a transfer is tried again, and after which pause."""

from __future__ import annotations

import random
from collections.abc import Callable

from comfywatchman_core.errors import BackendError, ErrorCode
from comfywatchman_core.pacing import backoff

from .promise import may_end_differently
from .source import RUN_OUT

_CRUMB = 4 << 10
_MOST_CRUMBS = 20
"""Attempts in a row that may bring a crumb each."""


class Patience:
    """Counts attempts in a row that brought nothing.

    :param most: So many are forgiven.
    """

    def __init__(self, most: int, *, draw: Callable[[], float] = random.random) -> None:
        self._most = most
        self._draw = draw
        self._failures = 0
        self._crumbs = 0
        self._progressed = False

    def progress(self, gained: int) -> None:
        """Bytes arrived that were not here before: the count begins anew, but not for crumbs for ever."""
        self._progressed = True
        self._crumbs = self._crumbs + 1 if gained < _CRUMB else 0
        if self._crumbs <= _MOST_CRUMBS:
            self._failures = 0

    def pause_after(self, error: BackendError) -> float:
        """Decide on another attempt; :returns: seconds to wait before it.

        :raises BackendError: *error*, when there is to be no other attempt.
        """
        # Who sent bytes of the file before says such a thing in passing.
        was_open = self._progressed and (error.http_status in RUN_OUT or error.code is ErrorCode.NOT_A_MODEL)
        if self._failures >= self._most or not (was_open or may_end_differently(error)):
            raise error
        self._failures += 1
        return max(error.retry_after or 0.0, backoff(self._failures - 1, draw=self._draw))
