"""A terminal that is not there: a program runs in a pseudo-terminal, and what it draws is kept as a picture."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import pyte

_LINES_KEPT = 1000
_PATIENCE = 20.0
"""Seconds until a picture that does not come is a failure."""


class Terminal:
    """A running program and its screen. ``raw`` is everything it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, columns: int, rows: int) -> None:
        self.raw = b""
        self._screen = pyte.HistoryScreen(columns, rows, history=_LINES_KEPT, ratio=1.0)
        self._stream = pyte.Stream(self._screen)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._process = process
        self._master = master
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without empty lines at its end; wide characters once."""
        with self._changed:
            return self._lines()

    @property
    def history(self) -> list[str]:
        """What scrolled off the screen, and what stands there."""
        with self._changed:
            gone = ["".join(line[x].data for x in range(self._screen.columns)) for line in self._screen.history.top]
            return [line.rstrip() for line in gone] + self._lines()

    @property
    def text(self) -> str:
        """Everything, as if no line had been broken by the edge."""
        return "".join(line.ljust(self._screen.columns) if line else "\n" for line in self.history)

    @property
    def prose(self) -> str:
        """Everything, as if no line had been broken between two words."""
        return " ".join(" ".join(self.history).split())

    @property
    def is_sane(self) -> bool:
        """The cursor shows and stands on an empty line, long lines go on in the next, colours are the usual."""
        with self._changed:
            cursor = self._screen.cursor
            wraps = pyte.modes.DECAWM in self._screen.mode
            line = self._screen.display[cursor.y].strip()
            return wraps and not cursor.hidden and not line and cursor.x == 0 and cursor.attrs.fg == "default"

    def wait_for(self, what: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the picture is such that *what* is true, and return it."""
        end = time.monotonic() + _PATIENCE
        with self._changed:
            while not what(self._lines()):
                if not self._changed.wait(min(0.5, max(0.0, end - time.monotonic()))) and time.monotonic() >= end:
                    raise AssertionError("the picture did not come:\n" + "\n".join(self._lines()))
            return self._lines()

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resize(self, columns: int, rows: int) -> None:
        """As a window manager does: the picture changes, then the program is told."""
        with self._changed:
            self._screen.resize(rows, columns)
        _set_size(self._master, columns, rows)

    def wait(self) -> int:
        """Wait for the program to end; returns its exit code."""
        code = self._process.wait(_PATIENCE)
        self._reader.join(_PATIENCE)
        return code

    def _lines(self) -> list[str]:
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _read(self) -> None:
        with suppress(OSError):  # Linux's way to say that the other end is closed
            while data := os.read(self._master, 1 << 16):
                with self._changed:
                    self.raw += data
                    self._stream.feed(self._decode(data))
                    self._changed.notify_all()


@contextmanager
def terminal(
    command: Sequence[str], *, columns: int = 80, rows: int = 24, environ: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Run *command* in a terminal of that size, and kill it where the block ends before it does.

    :param environ: Added to this process's; an empty value removes a variable.
    """
    master, slave = pty.openpty()
    _set_size(master, columns, rows)
    told = {
        **os.environ,
        "TERM": "xterm-256color",
        "CI": "",
        "NO_COLOR": "",
        "COLUMNS": "",
        "LINES": "",
        **(environ or {}),
    }
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={name: value for name, value in told.items() if value},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C becomes a signal here
    )
    os.close(slave)
    shown = Terminal(process, master, columns, rows)
    try:
        yield shown
    finally:
        if process.poll() is None:
            process.kill()
        shown.wait()
        os.close(master)


def _set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
