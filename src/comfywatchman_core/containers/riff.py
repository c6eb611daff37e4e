"""The Exif block of a WebP picture, which is a RIFF file."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from . import exif
from .source import Source

_CHUNKS = 10_000


def texts(source: Source) -> Iterator[tuple[str, str]]:
    """Walk the labelled texts of a WebP. :raises Damaged: The chunks contradict the file."""
    offset = 12
    for _ in range(_CHUNKS):
        header = source.read(offset, 8)
        if len(header) < 8:
            return
        kind, length = struct.unpack("<4sI", header)
        if kind == b"EXIF":
            yield from exif.texts(source.text(offset + 8, length))
        offset += 8 + length + length % 2
