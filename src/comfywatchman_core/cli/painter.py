"""A block of lines at the foot of the terminal that is painted anew in place, with text above it that stays."""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.text import Text

from comfywatchman_core.addresses import printable

_ABSENT = 3.0
"""Seconds without a frame after which the process was stopped and continued: what stands there is not the block."""


class Painter:
    """Owns the last lines of the terminal. Every frame is one write, and ends at the start of an empty line.

    The cursor stays visible: a process that is killed leaves a terminal that works. Only :meth:`paint` writes: a
    terminal that takes nothing for a while (Ctrl-S) holds up the thread that paints, and no other.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Text] = deque()
        self._widths: list[int] = []
        self._painted = clock()
        self._is_gone = False

    @property
    def width(self) -> int:
        """Cells in a line of the terminal, now."""
        return self._console.width

    @property
    def height(self) -> int:
        return self._console.height

    def above(self, *texts: Text) -> None:
        """Put *texts* above the block with the next frame, where they stay."""
        self._waiting.extend(texts)

    def paint(self, lines: Sequence[Text]) -> None:
        """Show *lines* in the place of the block."""
        with self._lock:
            above = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if self._is_gone:
                return
            try:
                width = self.width
                with self._console:  # collects what is printed, and writes it at once
                    self._erase(width)
                    for line in above:
                        self._console.print(line, soft_wrap=True)
                    self._console.control(_Wrapping(False))
                    for line in lines:
                        self._console.print(line, no_wrap=True, overflow="crop", crop=True)
                    self._console.control(_Wrapping(True))
            except (OSError, ValueError):  # the terminal is gone; the run goes on without it
                self._is_gone = True
                return
            self._widths = [min(cell_len(line.plain), width) for line in lines]
            self._painted = self._clock()

    def close(self) -> None:
        """Remove the block."""
        self.paint(())

    def _erase(self, width: int) -> None:
        if not self._widths or self._clock() - self._painted > _ABSENT:
            return
        # A terminal that became narrower has broken each line that no longer fits into several, before this process
        # heard of it. Frames painted in between do not change the count, because they are painted without wrapping.
        rows = sum(max(1, -(-one // max(1, width))) for one in self._widths)
        up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
        self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up * rows))


class _Wrapping(Control):
    """Whether a line that is too long goes on in the next one (DECAWM) or is cut at the edge."""

    __slots__ = ()

    def __init__(self, on: bool) -> None:
        # The old console of Windows knows no such sequence; there, this is what is done in its place.
        self.segment = Segment(f"\x1b[?7{'h' if on else 'l'}", None, ((ControlType.CARRIAGE_RETURN,),))


class Above(io.TextIOBase):
    """A file in the place of stderr: what others write while the block is shown goes above it."""

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        self._painter.above(*(Text(printable(line)) for line in whole))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back but the beginning of a line."""

    def end(self) -> None:
        """Show that beginning, too."""
        if self._begun:
            self.write("\n")
