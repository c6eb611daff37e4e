"""What the command says: results on stdout, everything else on stderr; one JSON object a line where asked for."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from attrs import asdict

from comfywatchman_core import BackendError, errors

from .layout import SCHEMA, Facts

_EXIT_CODES = {
    errors.ErrorCode.NOT_FOUND: 4,
    errors.ErrorCode.AUTH_REQUIRED: 3,
    errors.ErrorCode.CHECKSUM_MISMATCH: 7,
    errors.ErrorCode.SIZE_MISMATCH: 7,
    errors.ErrorCode.UNSAFE_NAME: 7,
    errors.ErrorCode.CONFLICT: 8,
    errors.ErrorCode.DISK_FULL: 9,
    errors.ErrorCode.READ_ONLY: 9,
    errors.ErrorCode.BACKEND_FAILED: 2,  # here, a setting that cannot be used
}
_PRECEDENCE = (2, 7, 9, 8, 3, 4, 6, 5, 1)
"""Where several exit codes apply, the first of these is the command's."""


class Output:
    """Counts along, and knows the exit code in the end. Safe to share between threads."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._json = as_json
        self._quiet = quiet
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._bytes = 0
        self._problems: list[dict[str, Any]] = []
        self._codes: set[int] = set()

    def line(self, event: str, text: str, *, counted: int = 0, important: bool = False, **values: Any) -> None:
        """One result.

        :param text: For a person; *values* are the same for a program.
        :param counted: Bytes that the summary counts.
        :param important: Said in spite of ``--quiet``.
        """
        with self._lock:
            self._counts[event] = self._counts.get(event, 0) + 1
            self._bytes += counted
            if self._json:
                self._write({"event": event, **values})
            elif important or not self._quiet:
                _say(shown(text))

    def note(self, text: str) -> None:
        """Something to know though nothing failed."""
        with self._lock:
            if self._json:
                self._write({"event": "note", "message": text})
            elif not self._quiet:
                _complain(f"note: {text}")

    def problem(self, message: str, hint: str | None, code: int) -> None:
        """Something that failed, and the exit code that it stands for."""
        with self._lock:
            self._codes.add(code)
            self._problems.append({"message": message, "hint": hint, "exit_code": code})
            _complain(f"comfywatchman-mirror: {message}")
            if hint:
                _complain(f"  {hint}")

    def failure(self, error: BackendError, about: str = "") -> None:
        """An error of the mirror or of one file."""
        text = str(error) if str(error).startswith(about) else f"{about}: {error}"
        self.problem(text, error.hint, _EXIT_CODES.get(error.code, 5))

    @contextmanager
    def failures_of(self, label: str) -> Iterator[None]:
        """Tell what goes wrong with one file; the others go on."""
        try:
            yield
        except BackendError as error:
            self.failure(error, label)
        except OSError as error:  # a file of this machine: stores raise their own
            self.problem(f"{label} cannot be read: {error.strerror or error}", "Check the file.", 9)

    def end(self, interrupted: int | None) -> int:
        """Close the output; returns the exit code."""
        code = interrupted or next((one for one in _PRECEDENCE if one in self._codes), 0)
        with self._lock:
            if self._json:
                summary = {**self._counts, "bytes": self._bytes, "failed": len(self._problems)}
                closing = {"ok": code == 0, "exit_code": code, "summary": summary, "problems": self._problems}
                self._write({"event": "result", **closing})
            elif not self._quiet:
                counts = ", ".join(f"{number} {event}" for event, number in self._counts.items()) or "nothing"
                failed = f", {len(self._problems)} failed" if self._problems else ""
                _say(f"{counts} ({size_text(self._bytes)}){failed}")
        return code

    def _write(self, values: dict[str, Any]) -> None:
        _say(json.dumps({"schema": SCHEMA, **values}))


def described(facts: Facts) -> dict[str, Any]:
    """A file of the mirror as an object."""
    return {name: value for name, value in asdict(facts).items() if value != ""}


def shown(text: str) -> str:
    """*text* in one line that a terminal takes literally: names and errors come from elsewhere."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def size_text(size: float) -> str:
    """Bytes for a person."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} TB"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _complain(text: str) -> None:
    with suppress(OSError, ValueError):  # a stderr that is gone is no reason to stop
        sys.stderr.write(shown(text) + "\n")
        sys.stderr.flush()
