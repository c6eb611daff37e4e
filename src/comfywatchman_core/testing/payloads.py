"""Small real model files, made on the spot, and what storage knows of them."""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct


def safetensors(seed: str, size: int = 4096) -> bytes:
    """Make a valid ``.safetensors`` file of about *size* bytes; equal seeds make equal bytes.

    :param size: Bytes of the one tensor inside; the header comes on top.
    """
    size += size % 2
    header = json.dumps(
        {"__metadata__": {"seed": seed}, "weight": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    """The SHA256 of *data*, hexadecimal, lower case."""
    return hashlib.sha256(data).hexdigest()


def git_blob_sha1(data: bytes) -> str:
    """The name that git gives *data*, which is what the Hub publishes for small files."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def range_of(header: str, size: int) -> tuple[int, int] | None:
    """Read a ``Range`` header of one range as (start, end), end excluded; ``None`` when it cannot be satisfied."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < end else None
