"""The live display: a line for each file under way, the total, and what became of files above them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from comfywatchman_core.errors import ErrorCode
from comfywatchman_core.events import BackendAsked, Event, FileSettled, Warned
from comfywatchman_core.models import Outcome
from comfywatchman_core.report import Entry, Status
from comfywatchman_core.wording import in_short

from . import sentences
from .cells import Glyphs, shown
from .painter import Above, Painter
from .rows import Rows
from .tally import Tally

_FRAME = 0.125
"""Seconds between two frames."""
_LEFT_FREE = 4
"""Lines of the terminal that the display leaves to what stands above it."""


class Display:
    """A listener that keeps the display up to date; see :func:`display`."""

    def __init__(self, painter: Painter, tally: Tally, rows: Rows, *, verbose: bool, stops: Callable[[], bool]) -> None:
        self._painter = painter
        self._tally = tally
        self._rows = rows
        self._verbose = verbose
        self._stops = stops
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._tally(event)
        match event:
            case FileSettled():
                self._tell_settled(event.label, event.entry)
            case Warned():
                about = f"{event.label}: " if event.label and event.label not in event.message else ""
                self._tell(f"warning: {about}{event.message}", "yellow")
            case BackendAsked() if self._verbose and event.attempt.outcome is not Outcome.DECLINED:
                self._tell(sentences.asked(event), "dim")
            case _:
                pass

    def frame(self) -> None:
        """Paint what is under way now."""
        now = time.monotonic()
        width, most = self._painter.width, max(1, self._painter.height - _LEFT_FREE)
        with self._lock:
            transfers = list(self._tally.transfers.values())
            hidden = len(transfers) - most
            if hidden > 0:
                transfers = transfers[: most - 1]
            lines = self._rows.transfers(transfers, width, now)
            if hidden > 0:
                lines.append(Text(f"{self._rows.glyphs.cut} {hidden + 1} more"[: width - 1], style="dim"))
            lines += self._rows.stopping(width, now) if self._stops() else self._rows.total(self._tally, width, now)
        self._painter.paint(lines)

    def _tell(self, text: str, style: str) -> None:
        self._painter.above(Text(shown(text, self._rows.encoding), style=style))

    def _tell_settled(self, label: str, entry: Entry) -> None:
        glyphs, width = self._rows.glyphs, self._painter.width
        if entry.status in (Status.DOWNLOADED, Status.LINKED):
            line = self._rows.settled(glyphs.done, label, tuple(sentences.outcome(entry)), width)
            self._painter.above(Text(line, style="green"))
        elif entry.error is not None and entry.error.code is not ErrorCode.CANCELLED:
            line = self._rows.settled(glyphs.failed, label, (in_short(entry.error.code),), width)
            self._painter.above(Text(line, style="red"))


@contextmanager
def display(
    tally: Tally, *, verbose: bool, color: str, stops: Callable[[], bool] = lambda: False
) -> Iterator[Callable[[Event], None]]:
    """Show the display on stderr until the block ends; leaves a clean screen whatever happens.

    :param tally: Counts along; what it knows can be read afterwards.
    :param stops: Whether the user asked to stop.
    """
    colored = color == "always" or (color == "auto" and not os.environ.get("NO_COLOR"))
    stderr = sys.stderr
    console = Console(
        file=stderr,
        force_terminal=True,
        color_system="auto" if colored else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    painter = Painter(console)
    rows = Rows(encoding=console.encoding, glyphs=Glyphs.of(console.encoding))
    listen = Display(painter, tally, rows, verbose=verbose, stops=stops)
    over = threading.Event()

    def paint() -> None:
        while not over.wait(_FRAME):
            listen.frame()

    painting = threading.Thread(target=paint, name="display", daemon=True)
    painting.start()
    sys.stderr = above = Above(painter)
    try:
        yield listen
    finally:
        sys.stderr = stderr
        above.end()
        over.set()
        painting.join(2)  # a terminal that takes nothing any more must not keep the run
        painter.close()
