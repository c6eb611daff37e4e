"""How often a transfer is tried again, and after which pause."""

from __future__ import annotations

import random
from collections.abc import Callable

from comfywatchman_core.errors import BackendError
from comfywatchman_core.pacing import backoff

from .promise import may_end_differently

RUN_OUT = frozenset({400, 401, 403, 404, 410})
"""What a storage host says of a signed address whose time is over."""

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

    def pause_after(self, error: BackendError, *, from_storage: bool) -> float:
        """Decide on another attempt; :returns: seconds to wait before it.

        :param from_storage: An address that the source had given earlier was asked: the source may give a fresh one.
        :raises BackendError: *error*, when there is to be no other attempt.
        """
        run_out = error.http_status in RUN_OUT and (from_storage or self._progressed)
        if not run_out and not may_end_differently(error):
            raise error
        if self._failures >= self._most:
            raise error
        self._failures += 1
        if run_out and from_storage:
            return 0.0
        return max(error.retry_after or 0.0, backoff(self._failures - 1, draw=self._draw))
