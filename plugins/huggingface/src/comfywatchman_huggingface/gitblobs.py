"""What can be checked of files that git holds itself: their git hash, and that they are no LFS pointer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from comfywatchman_core import Artifact, Candidate, Check, errors

_POINTER = b"version https://git-lfs.github.com/spec/"
_CHUNK = 1 << 20


def checks(artifact: Artifact, candidate: Candidate, cancelled: Callable[[], bool]) -> Sequence[Check] | None:
    """Check *artifact* against the ``git-sha1`` of *candidate*, if it has one.

    :returns: ``None`` where there is nothing to say.
    """
    with open(artifact.path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            note = "an LFS pointer, not the model that it points to"
            return [Check(name="pointer", passed=False, code=errors.ErrorCode.NOT_A_MODEL, note=note)]
    wanted = next((digest.value for digest in candidate.digests if digest.algorithm == "git-sha1"), None)
    if wanted is None:
        return None
    found = _git_sha1(artifact, cancelled)
    note = "" if found == wanted else f"expected {wanted}, got {found}"
    return [
        Check(
            name="git-sha1",
            passed=found == wanted,
            cryptographic=True,
            code=errors.ErrorCode.CHECKSUM_MISMATCH,
            note=note,
        )
    ]


def _git_sha1(artifact: Artifact, cancelled: Callable[[], bool]) -> str:
    """Git's name of the bytes: the SHA-1 of a header with their count, and the bytes."""
    digest = hashlib.sha1(b"blob %d\0" % artifact.path.stat().st_size, usedforsecurity=False)
    with open(artifact.path, "rb") as file:
        while chunk := file.read(_CHUNK):
            if cancelled():
                raise errors.Cancelled(f"stopped while hashing {artifact.path.name}")
            digest.update(chunk)
    return digest.hexdigest()
