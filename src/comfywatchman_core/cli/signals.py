"""Ctrl-C, SIGTERM and SIGHUP end a run cleanly; the second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from comfywatchman_core.errors import Cancelled
from comfywatchman_core.report import ExitCode

_CODES = {
    name: code
    for name, code in (
        ("SIGINT", ExitCode.INTERRUPTED),
        ("SIGTERM", ExitCode.SIGTERM),
        ("SIGHUP", ExitCode.SIGHUP),
    )
    if hasattr(signal, name)
}


class Interrupted(Exception):
    """A signal ended the command before there was anything to report; ``code`` is its exit code."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


class Interruption:
    """Whether, and by which signal, the run was asked to end."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code: ExitCode | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        code = _CODES[signal.Signals(number).name]
        if self.event.is_set():
            os._exit(code)  # asked twice: no more waiting for threads
        self.code = code
        self.event.set()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn signals into an :class:`Interruption` until the block ends. Only the main thread can do that.

    :raises Interrupted: The block was cancelled by one of them.
    """
    interruption = Interruption()
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {name: signal.signal(getattr(signal, name), interruption.handle) for name in _CODES}
    try:
        yield interruption
    except Cancelled:
        if interruption.code is None:
            raise
        raise Interrupted(interruption.code) from None
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
