"""Bring a file of the share to where it is wanted, at as little cost as the file systems allow."""

from __future__ import annotations

import os
import time
from pathlib import Path

from comfywatchman_core import Artifact, Candidate, Context, errors, events, share_blocks

LINKS = ("auto", "hard", "copy")
"""``auto`` shares blocks where the file system can, and copies; ``hard`` links, or copies on another file system;
``copy`` always copies."""

_CHUNK = 8 << 20


def lend(source: Path, target: Path, link: str, candidate: Candidate, context: Context) -> Artifact:
    """Make *target* hold the bytes of *source*, and tell how far that is.

    :param link: One of :data:`LINKS`.
    :raises OSError: It could not be done.
    :raises Cancelled: The caller asked to stop.
    """
    target.unlink(missing_ok=True)  # never written to: it may be a link that an earlier run made
    context.emit(events.DownloadStarted(label="", candidate=candidate, resumed_at=0, size=candidate.size))
    if not ((link == "hard" and _linked(source, target)) or (link == "auto" and share_blocks(source, target))):
        _copy(source, target, candidate, context)
    artifact = Artifact(path=target, size=target.stat().st_size)
    context.emit(events.DownloadFinished(label="", candidate=candidate, artifact=artifact))
    return artifact


def _linked(source: Path, target: Path) -> bool:
    # The core gives what it places the usual permissions, and a link shares them with the original:
    # files that are not ours to change are copied.
    if not os.access(source, os.W_OK):
        return False
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another file system, or one without links
        return False
    return True


def _copy(source: Path, target: Path, candidate: Candidate, context: Context) -> None:
    received, told = 0, time.monotonic()
    with open(source, "rb") as old, open(target, "xb") as new:
        while piece := old.read(_CHUNK):
            if context.cancelled():
                raise errors.Cancelled(f"stopped while copying {source}")
            new.write(piece)
            received += len(piece)
            if time.monotonic() - told >= 0.1:
                told = time.monotonic()
                context.emit(events.BytesReceived(label="", received=received, size=candidate.size))
