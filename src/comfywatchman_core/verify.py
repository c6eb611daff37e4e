"""The checks that every file passes before it gets its name: size, published digests, header.

A back end may add checks of its own; it can veto a file, never approve one
that fails here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import Cancelled, ErrorCode
from .formats import defect
from .models import Artifact, Candidate, Check, Digest, ModelRequest

_CHUNK = 1 << 18  # stays in a core's own cache: larger ones hash no faster, and slower with several files at once

_PLAIN = frozenset({"sha256", "sha512", "sha1", "md5"})


def sha256_of_file(path: Path, cancelled: Callable[[], bool] = lambda: False) -> str:
    """Hash a whole file. :raises Cancelled: The caller asked to stop. :raises OSError: It cannot be read."""
    return digests_of_file(path, {"sha256"}, cancelled)["sha256"]


def digests_of_file(path: Path, algorithms: set[str], cancelled: Callable[[], bool] = lambda: False) -> dict[str, str]:
    """Hash a whole file by several algorithms in one pass; see :func:`sha256_of_file`."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            if cancelled():
                raise Cancelled(f"stopped while hashing {path.name}")
            for one in hashes.values():
                one.update(view[:count])
    return {name: one.hexdigest() for name, one in hashes.items()}


def built_in_checks(
    artifact: Artifact,
    candidate: Candidate,
    request: ModelRequest,
    *,
    name: str,
    compare: bool = True,
    accepted: Sequence[str] = (),
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Check]:
    """Check *artifact* against what its source and its request state.

    :param artifact: Its SHA256 is believed; the caller computed it, or saw it computed.
    :param name: The final file name, which says the format.
    :param compare: False compares no digest (``verify_hashes = false``).
    :param accepted: SHA256 that the user accepts whatever the publisher states.
    """
    checks: list[Check] = []
    if compare:
        checks += _digest_checks(artifact, (*request.digests, *candidate.digests), accepted, cancelled)
    proven = any(check.passed and check.cryptographic for check in checks)
    for size, who in ((candidate.size, "the source"), (request.size, "the workflow or plan")):
        if size is not None and size != artifact.size:
            # A stated size may be rounded or stale; bytes whose digest agrees are the right ones.
            note = f"{artifact.size} bytes, where {who} states {size}"
            checks.append(Check(name="size", passed=proven, code=ErrorCode.SIZE_MISMATCH, note=note))
            break
    flaw = defect(artifact.path, name)
    checks.append(
        Check(name="format", passed=flaw is None, code=ErrorCode.NOT_A_MODEL, note=f"the file {flaw}" if flaw else "")
    )
    return checks


def _digest_checks(
    artifact: Artifact, stated: Sequence[Digest], accepted: Sequence[str], cancelled: Callable[[], bool]
) -> list[Check]:
    actual = {digest.algorithm: digest.value for digest in artifact.digests}
    if actual.get("sha256") in accepted:
        return [Check(name="sha256", passed=True, cryptographic=True, note="the user accepts exactly these bytes")]
    stated = sorted(set(stated))
    missing = {digest.algorithm for digest in stated} & (_PLAIN - set(actual))
    if missing:
        actual |= digests_of_file(artifact.path, missing, cancelled)
    if "sha256" in actual:
        actual["autov2"] = actual["sha256"][:10]
    checks: list[Check] = []
    for digest in stated:
        if digest.algorithm not in actual:
            continue  # a back end that knows the algorithm checks it
        agrees = actual[digest.algorithm] == digest.value
        note = "" if agrees else f"expected {digest.value}, got {actual[digest.algorithm]}"
        checks.append(
            Check(
                name=digest.algorithm,
                passed=agrees,
                # ten digits tell files apart, but nobody should rely on them against an attacker
                cryptographic=digest.algorithm in ("sha256", "sha512"),
                code=ErrorCode.CHECKSUM_MISMATCH,
                note=note,
            )
        )
    return checks
