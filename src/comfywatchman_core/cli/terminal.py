"""The terminal: what it can show, and writing to it without what a stranger's file name could do to it."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_results: TextIO | None = None


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Keep stdout for results until the block ends: what a back end prints goes to stderr, not between them."""
    global _results
    _results, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, _results = _results, None


def stdout() -> TextIO:
    """Where results go."""
    return _results or sys.stdout


def complain(message: str, hint: str | None = None) -> None:
    """Say what went wrong, and what to do."""
    say(f"comfywatchman: {message}")
    if hint:
        say(f"  {hint}")


def say(text: str) -> None:
    """Write one line to stderr. A stderr that is gone is no reason to stop."""
    from comfywatchman_core.addresses import printable

    try:
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def about(label: str, message: str) -> str:
    """Put what a message is about before it, unless it begins with that."""
    return message if message.startswith(label) else f"{label}: {message}"


def can_repaint(stream: TextIO) -> bool:
    """Say whether *stream* is a terminal that moves its cursor, watched by a person: no dumb one, no log of a CI."""
    if not stream.isatty() or os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    kind = os.environ.get("TERM", "")
    return os.name == "nt" if not kind else kind not in ("dumb", "unknown")


def use_color(choice: str) -> bool:
    """Decide by ``--color``, ``NO_COLOR`` and whether stdout is a terminal that shows colours."""
    if choice == "auto":
        return not os.environ.get("NO_COLOR") and can_repaint(stdout())
    return choice == "always"


def lines_of(text: str, width: int | None, indent: str) -> Iterator[str]:
    """Break *text* between words, for a terminal of *width* cells; what stands between backquotes stays whole.

    A command or a path that is longer than a line is left to the terminal to break: copied, it is one again.

    :param width: ``None`` breaks nowhere.
    """
    if width is None:
        yield indent + text
        return
    line, room = "", width - len(indent) - 1
    for word in re.findall(r"(?:`[^`]*`|[^\s`]|`)+", text):
        if line and cells(line) + 1 + cells(word) > room:
            yield indent + line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield indent + line


def cells(text: str) -> int:
    """How wide *text* is: the signs of East Asia take two cells each."""
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)
