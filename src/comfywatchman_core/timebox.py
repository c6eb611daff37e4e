"""Give up on a call that hangs, and do not wait for it when the caller wants to stop."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from .errors import BackendError, Cancelled, ErrorCode

_LOOK = 0.1
"""Seconds between two looks at a call: whether it is done, and whether it is still wanted."""
GRACE = 5.0
"""Seconds that a call has to come to an end by itself once the caller has asked to stop."""


class TimedOut(BackendError):
    """A back end was given up while it worked; its thread may still be at it."""


def within(
    seconds: float,
    call: Callable[[], Any],
    name: str,
    cancelled: Callable[[], bool],
    *,
    grace: float = GRACE,
    progress: Callable[[], object] = lambda: None,
) -> Any:
    """Call in a thread of its own: a back end that hangs must not hang the run, nor keep who wants to stop it.

    The thread cannot be stopped; it is left behind, and does not keep the process alive.

    :param name: The back end, for the message.
    :param progress: Whenever its value has changed, the seconds count anew.
    :raises TimedOut: No answer and no progress in that time.
    :raises Cancelled: *cancelled* became true, and the call did not end in the time of *grace*.
    """
    done: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            done.append((True, call()))
        except BaseException as error:  # handed to the asking thread, which raises it
            done.append((False, error))

    thread = threading.Thread(target=run, name=f"back end {name}", daemon=True)
    thread.start()
    begun, seen, last = time.monotonic(), progress(), math.inf
    while not done:
        thread.join(min(_LOOK, seconds))
        now = time.monotonic()
        if cancelled():
            last = min(last, now + grace)
        if not done and now >= last:
            raise Cancelled(f"stopped without waiting for {name}")
        if not done and now >= begun + seconds:
            before, seen, begun = seen, progress(), now
            if seen == before:
                raise TimedOut(
                    f"{name} gave no answer within {seconds:g} seconds",
                    code=ErrorCode.UNAVAILABLE,
                    hint="Raise timeout_seconds in [download] if the source is slow.",
                )
    succeeded, value = done[0]
    if succeeded:
        return value
    raise value
