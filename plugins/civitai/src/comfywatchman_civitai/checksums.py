"""Hold a file to the checksums that only this service uses, where it publishes no SHA256."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from comfywatchman_core import Check, Digest, errors

_CHUNK = 1 << 20
_AUTOV1_START = 1 << 20
_AUTOV1_LENGTH = 1 << 16


def checks(path: Path, digests: tuple[Digest, ...], cancelled: Callable[[], bool]) -> list[Check]:
    """Compute AutoV1, AutoV3 and CRC32, as far as *digests* states them,.

    AutoV2 is a part of the SHA256, which the core compares; BLAKE3 is not in the standard library. None of the
    three is strong enough to count as cryptographic: 32 or 48 bits tell files apart, and stop nobody.

    :raises Cancelled: The caller asked to stop.
    """
    found = []
    for digest in digests:
        compute = _WAYS.get(digest.algorithm)
        own = compute(path, cancelled) if compute else None
        if own is None:
            continue
        agrees = own == digest.value[: len(own)]
        note = "" if agrees else f"expected {digest.value}, got {own}"
        found.append(Check(name=digest.algorithm, passed=agrees, code=errors.ErrorCode.CHECKSUM_MISMATCH, note=note))
    return found


def _autov1(path: Path, cancelled: Callable[[], bool]) -> str | None:
    with open(path, "rb") as file:
        file.seek(_AUTOV1_START)
        part = file.read(_AUTOV1_LENGTH)
    return hashlib.sha256(part).hexdigest()[:8] if part else None


def _autov3(path: Path, cancelled: Callable[[], bool]) -> str | None:
    """The SHA256 of everything after a safetensors header, cut to twelve digits."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
    if start > size:
        return None
    hashed = hashlib.sha256()
    for chunk in _chunks(path, start, cancelled):
        hashed.update(chunk)
    return hashed.hexdigest()[:12]


def _crc32(path: Path, cancelled: Callable[[], bool]) -> str | None:
    """CRC32 in the byte order that the service prints: the other one."""
    value = 0
    for chunk in _chunks(path, 0, cancelled):
        value = zlib.crc32(chunk, value)
    return value.to_bytes(4, "little").hex()


_WAYS: dict[str, Callable[[Path, Callable[[], bool]], str | None]] = {
    "autov1": _autov1,
    "autov3": _autov3,
    "crc32": _crc32,
}


def _chunks(path: Path, start: int, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        while chunk := file.read(_CHUNK):
            if cancelled():
                raise errors.Cancelled(f"stopped while hashing {path.name}")
            yield chunk
