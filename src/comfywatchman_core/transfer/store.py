"""What this machine holds of one file: its bytes, the account of them, their digest, and the journal."""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from .follower import Follower
from .journal import Identity, Journal
from .part import Part
from .spans import NO_END, Ledger, Range, Span

_SMALL = 4 << 20
"""Bytes up to which a file is hashed without a thread of its own."""
_LARGE = 16 << 20
"""Bytes from which on a file is written out, and its journal confirmed, while it arrives."""
_PUSH_BYTES = 8 << 20
"""Bytes after which the disk is told to begin: a disk that rests at the start is waited for in the end."""
_SYNC_BYTES = 64 << 20
_SYNC_SECONDS = 10.0
_LOOK = 0.02
"""Seconds between two looks at how much has arrived: a fast line brings a few megabytes in that time."""


def journal_of(target: Path) -> Journal:
    """The journal that belongs to the staging file *target*."""
    return Journal(target.with_name("journal.json"))


class Store:
    """The bytes of one file, from the first to the last. Bytes and notes may come from any thread.

    What has arrived is written out in the background every few dozen
    megabytes, so that little is left to be written in the end.
    """

    def __init__(self, target: Path, identity: Identity, done: list[Range], *, keep: bool) -> None:
        """:param done: What is there already, in a file that is gone on with.
        :param keep: Go on with the file that is there.

        :raises OSError: The staging file cannot be made.
        """
        self.identity = identity
        self.ledger = Ledger(identity.total, done)
        self.resumed = self.ledger.received
        """Bytes that an earlier run left."""
        self._confirmed: list[Range] = list(done)
        self._part = Part(target, keep=keep)
        self._journal = journal_of(target)
        self._over = threading.Event()
        self._settling = threading.Lock()
        self._failed: OSError | None = None
        self._reach = 0
        """The file is at least so long, unless somebody else cut it off."""
        self._is_cut = False
        self._target = target
        self.follower = Follower(self._part, self.ledger)

    @classmethod
    def left_behind(cls, target: Path, wanted: Identity) -> Store | None:
        """Go on with what an earlier run left; ``None`` when that is nothing, or not of the *wanted* file."""
        found = journal_of(target).read()
        if found is None or not target.is_file() or target.is_symlink():
            return None
        identity, done = found
        size = target.stat().st_size
        if not done or not wanted.admits(identity) or done[-1][1] > size or NO_END > identity.total < size:
            return None
        if wanted.total < NO_END and identity.total not in (wanted.total, NO_END):
            return None
        kept = evolve(identity, source=wanted.source, sha256=wanted.sha256 or identity.sha256)
        if kept.source != identity.source:
            kept = evolve(kept, storage="", etag="", modified="")  # another host's validators say nothing
        return cls(target, kept, done, keep=True)

    @property
    def size(self) -> int | None:
        """Bytes of the whole file, where that is known."""
        return self.ledger.total if self.ledger.total < NO_END else None

    def begin(self, identity: Identity) -> None:
        """Make ready for bytes, now that the server has said what it sends.

        :raises OSError: The disk refuses.
        """
        total = self.ledger.total
        self.identity = evolve(identity, total=total)
        if total < NO_END:
            self._part.allocate(total)
        self._reach = self._part.size
        if total > _SMALL:
            self.follower.start()
        if total > _LARGE:
            threading.Thread(target=self._keep, name="comfywatchman-journal", daemon=True).start()

    def write(self, chunk: bytes, span: Span, place: int) -> None:
        """Put *chunk*, which begins at *place* of the file, to the position of *span*.

        :raises OSError: The disk does not take it.
        :raises ValueError: The chunk does not belong there.
        """
        if self._failed is not None:
            raise self._failed
        if place != span.position:
            raise ValueError(f"bytes from {place} on do not belong to {span.position}")
        if self._part.size < self._reach:
            raise self._cut_off()  # the next bytes would leave a hole, which a digest made from memory does not see
        view = memoryview(chunk)[: span.left]
        self._part.write(view, place)
        self._reach = max(self._reach, place + len(view))
        self.follower.enter(view, span, place)

    def note(self, start: int, end: int) -> None:
        """Enter into the journal that a range is there. A file that is complete needs none."""
        if self.ledger.finished:
            return
        if self._journal.is_open:
            self._journal.note(start, end)
        else:
            self._journal.write(self.identity, self._confirmed, self.ledger.done, sync=False)

    def digest(self, seconds: float) -> str | None:
        """The SHA256 of the finished file; ``None`` if that takes longer than *seconds*.

        :raises OSError: The disk failed.
        """
        if self._failed is not None:
            raise self._failed
        sha256 = self.follower.wait(seconds)
        if sha256 is not None and self._target.stat().st_size != self.ledger.total:
            raise self._cut_off()
        return sha256

    def _cut_off(self) -> OSError:
        self._is_cut = True
        return OSError(errno.EIO, "somebody else changed the length of the staging file")

    def close(self) -> None:
        """Stop working on the file, and leave what is there to whoever goes on with it."""
        self._stop()
        with suppress(OSError):  # a disk that is full takes no journal either; the last one still holds
            if self._is_cut or not self.ledger.received:
                self._remove()
            elif not self.ledger.finished or self._journal.is_open:
                self._journal.write(self.identity, self._confirmed, self.ledger.done, sync=False)
        self._journal.close()

    def drop(self) -> None:
        """Stop working on the file, and remove it."""
        self._stop()
        self._remove()

    def _remove(self) -> None:
        self._journal.remove()
        with suppress(FileNotFoundError):
            os.unlink(self._target)

    def _stop(self) -> None:
        with self._settling:
            self._over.set()
        self.follower.stop()
        self._part.close()

    def _keep(self) -> None:
        """Write out what has arrived, and confirm it in the journal."""
        pushed = synced = self.ledger.received
        at = time.monotonic()
        while not self._over.wait(_LOOK):
            received = self.ledger.received
            due = self.ledger.finished or time.monotonic() - at > _SYNC_SECONDS
            try:
                if received - pushed >= _PUSH_BYTES:
                    self._part.push()
                    pushed = received
                if received - synced < (1 if due else _SYNC_BYTES):
                    continue
                done = self.ledger.done
                self._part.sync()
                with self._settling:
                    if self._over.is_set():
                        return
                    self._confirmed = done
                    if not self.ledger.finished:
                        self._journal.write(self.identity, done, self.ledger.done, sync=True)
            except OSError as error:
                self._failed = error
                return
            synced, at = received, time.monotonic()
