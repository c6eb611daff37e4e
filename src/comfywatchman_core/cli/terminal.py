"""Writing for people: to stderr, without what a stranger's file name could do to a terminal."""

from __future__ import annotations

import sys


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
    """Put what a message is about before it, unless it says so itself."""
    return message if label in message else f"{label}: {message}"
