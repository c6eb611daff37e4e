"""The digest of a file while it is being written, read from the front as far as there is no gap.

What was written a moment ago is read from the page cache, so that the bytes
cross the disk once; and hashing does not hold the interpreter's lock, so that
it runs beside the connections.
"""

from __future__ import annotations

import errno
import hashlib
import threading

from .part import Part
from .spans import Ledger

_CHUNK = 1 << 20
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

    def start(self) -> None:
        """Follow in a thread of its own."""
        self._thread = threading.Thread(target=self._follow, name="comfywatchman-digest", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give up; returns once the file is no longer read."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

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
        buffer = memoryview(bytearray(min(_CHUNK, self._ledger.total)))
        try:
            while self.hashed < self._ledger.total and not self._over.is_set():
                prefix = self._ledger.await_prefix(self.hashed + _CHUNK, _PATIENCE)
                while self.hashed < prefix and not self._over.is_set():
                    count = self._part.read_into(buffer[: prefix - self.hashed], self.hashed)
                    if not count:
                        raise OSError(errno.EIO, "somebody else cut the staging file off")
                    self._digest.update(buffer[:count])
                    self.hashed += count
        except OSError as error:
            self.error = error
