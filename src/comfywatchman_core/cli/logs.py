"""What libraries log, as the command says it: one line, without secrets; the traceback with ``-v``."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from comfywatchman_core.addresses import redact_text

from .terminal import say


class _Told(logging.Handler):
    def __init__(self, *, verbose: bool) -> None:
        super().__init__(logging.WARNING)
        self._verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {redact_text(record.getMessage())}")
        if self._verbose and record.exc_info:
            for part in traceback.format_exception(*record.exc_info):
                for line in part.splitlines():
                    say(redact_text(line))


@contextmanager
def told_logs(*, verbose: bool) -> Iterator[None]:
    """Write warnings and errors of every library to stderr until the block ends."""
    handler = _Told(verbose=verbose)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
