"""Bring a file out of a store that has no web address, going on where an earlier attempt ended."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from comfywatchman_core import Artifact, BackendError, Candidate, Context, Digest, errors, events

_CHUNK = 4 << 20
_TOLD_EVERY = 0.1
_ATTEMPTS = 3
"""Attempts without a byte of progress."""


class _Hash(Protocol):
    def update(self, piece: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


Pieces = Callable[[int], Generator[bytes]]
"""Yields the file in the store from that byte on; raises ``BackendError`` when the store gives up, and nothing else."""


def stream(pieces: Pieces, target: Path, sha256: str, size: int, candidate: Candidate, context: Context) -> Artifact:
    """Copy what *pieces* yields to *target*, and say what arrived; whether it is right is the caller's to say.

    What is at *target* is gone on with if an earlier call of this function left it there for the same digest.

    :param size: Bytes that the source has.
    :raises BackendError: The store gave up, or the disk did.
    :raises Cancelled: The caller asked to stop; what has arrived is kept.
    """
    note = target.with_name("mirror")
    digest = hashlib.sha256()
    try:
        kept = _kept(target, note, sha256, size, digest, context)
        if not kept:
            digest = hashlib.sha256()
            target.unlink(missing_ok=True)  # never written to: it may have another name
            target.touch(exist_ok=False)
            note.unlink(missing_ok=True)
            with open(note, "x", encoding="ascii") as file:
                file.write(sha256)
        context.emit(events.DownloadStarted(label="", candidate=candidate, resumed_at=kept, size=size))
        with open(target, "r+b") as part:
            part.truncate(kept)
            part.seek(kept)
            _copy(pieces, part, kept, size, digest, context)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise _disk_error(error, target) from error
    artifact = Artifact(path=target, size=target.stat().st_size, digests=(Digest("sha256", digest.hexdigest()),))
    if kept and digest.hexdigest() != sha256:  # the fault may be in the part that was kept
        target.unlink()
        return stream(pieces, target, sha256, size, candidate, context)
    context.emit(events.DownloadFinished(label="", candidate=candidate, artifact=artifact))
    return artifact


def _copy(pieces: Pieces, file: BinaryIO, received: int, size: int, digest: _Hash, context: Context) -> None:
    """Append what is missing. :raises BackendError: The store gave nothing several times in a row."""
    failures, told = 0, time.monotonic()
    while True:
        before = received
        try:
            with closing(pieces(received)) as arriving:
                for piece in arriving:
                    if context.cancelled():
                        raise errors.Cancelled("stopped during a download")
                    file.write(piece)
                    digest.update(piece)
                    received += len(piece)
                    if received > size:
                        return  # more than there should be: the digest says so
                    if time.monotonic() - told >= _TOLD_EVERY:
                        told = time.monotonic()
                        context.emit(events.BytesReceived(label="", received=received, size=size))
            return
        except BackendError:
            failures = 0 if received > before else failures + 1
            if failures >= _ATTEMPTS:
                raise
            file.flush()


def _kept(target: Path, note: Path, sha256: str, size: int, digest: _Hash, context: Context) -> int:
    """Bytes that an earlier call left, which *digest* has taken in; 0 for none that can be gone on with."""
    with suppress(OSError, UnicodeDecodeError):
        status = target.lstat()
        if note.read_text() != sha256 or not 0 < status.st_size <= size or target.is_symlink() or status.st_nlink > 1:
            return 0
        with open(target, "rb") as file:
            while piece := file.read(_CHUNK):
                if context.cancelled():
                    raise errors.Cancelled("stopped before a download")
                digest.update(piece)
        return status.st_size
    return 0


def _disk_error(error: OSError, target: Path) -> BackendError:
    """The disk's own word; what the store says arrives as a ``BackendError``."""
    import errno

    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return BackendError(
        f"{target.parent.parent} cannot be written: {error.strerror or error}",
        code=errors.ErrorCode.DISK_FULL if full else errors.ErrorCode.READ_ONLY,
        hint="Free some space and run again." if full else "Make the folder writable for this user.",
    )


def arrived(target: Path, candidate: Candidate, context: Context) -> Artifact:
    """Hash what came to *target* without being copied, and tell of it as of a transfer.

    :raises Cancelled: The caller asked to stop.
    """
    digest, received, told = hashlib.sha256(), 0, time.monotonic()
    size = target.stat().st_size
    context.emit(events.DownloadStarted(label="", candidate=candidate, resumed_at=0, size=size))
    with open(target, "rb") as file:
        while piece := file.read(_CHUNK):
            if context.cancelled():
                raise errors.Cancelled("stopped while hashing")
            digest.update(piece)
            received += len(piece)
            if time.monotonic() - told >= _TOLD_EVERY:
                told = time.monotonic()
                context.emit(events.BytesReceived(label="", received=received, size=size))
    artifact = Artifact(path=target, size=size, digests=(Digest("sha256", digest.hexdigest()),))
    context.emit(events.DownloadFinished(label="", candidate=candidate, artifact=artifact))
    return artifact
