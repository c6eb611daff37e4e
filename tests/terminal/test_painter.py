"""The block at the foot of the terminal: nothing above it is lost, and nothing of it stays."""

from __future__ import annotations

import io
import logging
import sys
import threading

import pyte
import pytest
from rich.console import Console
from rich.text import Text

from comfywatchman_core.cli.display import display
from comfywatchman_core.cli.painter import Above, Painter
from comfywatchman_core.cli.tally import Tally
from comfywatchman_core.events import Surveyed, Warned


class Canvas(io.StringIO):
    """A stream whose text is drawn on a screen; closed, it refuses like a terminal that is gone."""

    def __init__(self, columns: int = 40, rows: int = 10) -> None:
        super().__init__()
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str, /) -> int:
        if self.closed:
            raise OSError("gone")
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]


@pytest.fixture
def canvas() -> Canvas:
    return Canvas()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def painter(canvas: Canvas, clock: Clock) -> Painter:
    return Painter(Console(file=canvas, force_terminal=True, width=40, height=10, legacy_windows=False), clock)


def test_a_frame_takes_the_place_of_the_one_before(painter: Painter, canvas: Canvas) -> None:
    painter.paint([Text("one"), Text("two"), Text("three")])
    painter.paint([Text("four")])

    assert canvas.lines == ["four"]


def test_what_is_told_goes_above_the_block_and_stays(painter: Painter, canvas: Canvas) -> None:
    painter.paint([Text("block")])
    painter.above(Text("first"), Text("second"))
    painter.paint([Text("block")])
    painter.close()

    assert canvas.lines == ["first", "second"]


def test_a_long_line_above_is_broken_by_the_terminal_and_counts_for_the_block_not_at_all(
    painter: Painter, canvas: Canvas
) -> None:
    painter.paint([Text("block")])
    painter.above(Text("x" * 90))
    painter.paint([Text("block")])
    painter.paint([Text("again")])

    assert canvas.lines == ["x" * 40, "x" * 40, "x" * 10, "again"]


def test_a_line_that_is_too_long_for_the_block_is_cut(painter: Painter, canvas: Canvas) -> None:
    painter.paint([Text("y" * 90)])
    painter.paint([Text("z" * 90)])

    assert canvas.lines == ["z" * 40]


def test_after_the_process_was_stopped_and_continued_nothing_above_is_erased(
    painter: Painter, canvas: Canvas, clock: Clock
) -> None:
    painter.paint([Text("block")])
    canvas.write("[1]+  Stopped\n$ fg\n")
    clock.now += 60
    painter.paint([Text("block")])

    assert canvas.lines == ["block", "[1]+  Stopped", "$ fg", "block"]


def test_a_terminal_that_is_gone_ends_the_painting_and_nothing_else(painter: Painter, canvas: Canvas) -> None:
    painter.paint([Text("block")])
    canvas.close()

    painter.paint([Text("block")])
    painter.above(Text("told"))
    painter.close()


def test_what_others_write_to_stderr_goes_above_line_by_line_and_does_nothing_to_the_terminal(
    painter: Painter, canvas: Canvas
) -> None:
    stream = Above(painter)
    stream.write("a warning\nwith \x1b[2J two li")
    painter.paint([Text("block")])
    assert canvas.lines == ["a warning", "block"]

    stream.write("nes")
    stream.end()
    painter.paint([Text("block")])
    assert canvas.lines == ["a warning", "with \\u001b[2J two lines", "block"]


def test_a_library_that_logs_while_files_arrive_is_heard_and_stderr_is_given_back(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", canvas)
    monkeypatch.setenv("COLUMNS", "60")
    with display(Tally(), verbose=False, color="never") as listen:
        listen(Surveyed(needed=1, missing=1))
        logging.getLogger("somebody").handlers[:] = []
        logging.lastResort.handle(logging.makeLogRecord({"msg": "a library has something to say"}))  # type: ignore[union-attr]
        listen(Warned(message="so have I"))

    assert sys.stderr is canvas
    assert canvas.lines == ["a library has something to say", "warning: so have I"]


def test_a_terminal_that_takes_nothing_holds_up_no_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    class Blocked(Canvas):
        def write(self, text: str, /) -> int:
            free.wait(20)
            return super().write(text)

    blocked = Blocked()
    monkeypatch.setattr(sys, "stderr", blocked)
    with display(Tally(), verbose=False, color="never") as listen:
        for number in range(1000):
            listen(Warned(message=f"warning {number}"))
        assert blocked.lines == [], "all events were taken, and none was shown yet"
        free.set()

    assert blocked.lines[-1] == "warning: warning 999"
