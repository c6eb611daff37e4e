"""The digest of a file while it is being written, from the front as far as there is no gap.

What arrives in order is hashed from the memory it came in. What does not is
read back, a moment after it was written, from the page cache: the bytes cross
the disk once. Hashing does not hold the interpreter's lock, so that it runs
beside the connections.
"""

from __future__ import annotations

import errno
import hashlib
import threading
from collections import deque

from .part import Part
from .spans import Ledger, Span

_CHUNK = 1 << 20
_MOST_HELD = 4 << 20
"""Bytes in memory that wait to be hashed; whoever brings more waits, too."""
_PATIENCE = 0.5
"""Seconds between two looks whether it is still wanted."""


class Follower:
    """Hashes what the ledger says is there. Without :meth:`start` it does so when asked, in the caller's thread."""

    def __init__(self, part: Part, ledger: Ledger) -> None:
        self.hashed = 0
        """Bytes so far."""
        self.error: OSError | None = None
        self._part = part
        self._ledger = ledger
        self._digest = hashlib.sha256()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._held: deque[memoryview] = deque()
        self._held_to = 0
        """Where the bytes that wait in memory end; equal to ``hashed`` when none do."""
        self._turn = threading.Condition()

    def start(self) -> None:
        """Follow in a thread of its own."""
        self._thread = threading.Thread(target=self._follow, name="comfywatchman-digest", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give up; returns once the file is no longer read."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def enter(self, chunk: memoryview, span: Span, place: int) -> None:
        """Enter in the ledger that *chunk* was written to *place*, the position of *span*.

        Waits while the digest lies far behind with bytes that came in order: what is faster than the digest
        gains nothing by getting further ahead.
        """
        with self._turn:
            while place == self._held_to and place - self.hashed >= _MOST_HELD and self._is_at_work:
                self._turn.wait(_PATIENCE)
            count = self._ledger.advance(span, len(chunk))
            if count and place == self._held_to:
                self._held.append(chunk[:count])
                self._held_to += count

    @property
    def _is_at_work(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._over.is_set()

    def wait(self, seconds: float) -> str | None:
        """The SHA256 of the whole file, hexadecimal; ``None`` if it takes longer than *seconds*.

        :raises OSError: The file could not be read.
        """
        if self._thread is None:
            self._follow()
        else:
            self._thread.join(seconds)
            if self._thread.is_alive():
                return None
        if self.error is not None:
            raise self.error
        return self._digest.hexdigest()

    def _follow(self) -> None:
        buffer = memoryview(b"")
        try:
            while self.hashed < self._ledger.total and not self._over.is_set():
                prefix = self._ledger.await_prefix(self.hashed + _CHUNK, _PATIENCE)
                while self.hashed < prefix and not self._over.is_set():
                    with self._turn:
                        held = self._held.popleft() if self._held else None
                    if held is None:
                        buffer = buffer or memoryview(bytearray(min(_CHUNK, self._ledger.total)))
                        held = buffer[: self._part.read_into(buffer[: prefix - self.hashed], self.hashed)]
                        if not held:
                            raise OSError(errno.EIO, "somebody else cut the staging file off")
                    self._digest.update(held)
                    with self._turn:
                        self.hashed += len(held)
                        self._held_to = max(self._held_to, self.hashed)
                        self._turn.notify_all()
        except OSError as error:
            self.error = error
