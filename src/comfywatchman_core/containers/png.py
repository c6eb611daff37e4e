"""Texts in a PNG: tEXt, iTXt and zTXt chunks, and the ``comf`` chunk of animated ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from .source import MAX_TEXT, Damaged, Source

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHUNKS = 50_000


def texts(source: Source) -> Iterator[tuple[str, bytes | str]]:
    """Walk the texts of a PNG, in file order; pixels are skipped, not read.

    ``comf`` is ComfyUI's own chunk in animated PNGs, keyword, NUL, text, and
    stands behind the pixels (comfy_api/latest/_ui.py).

    :raises Damaged: The chunks contradict the file.
    """
    offset = len(SIGNATURE)
    for _ in range(_CHUNKS):
        header = source.read(offset, 8)
        if len(header) < 8:
            return
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IEND":
            return
        if kind in (b"tEXt", b"iTXt", b"zTXt", b"comf"):
            text = _text(kind, source.text(offset + 8, length))
            if text is not None:
                yield text
        offset += 12 + length


def _text(kind: bytes, body: bytes) -> tuple[str, bytes | str] | None:
    keyword, separator, rest = body.partition(b"\0")
    if not separator:
        return None
    name = keyword.decode("latin-1")
    if name.strip().lower() not in ("workflow", "prompt", "parameters"):
        return None
    if kind == b"zTXt":
        return (name, inflate(rest[1:])) if rest[:1] == b"\0" else None
    if kind == b"iTXt":
        compressed = rest[:1] == b"\1"
        _, _, rest = rest[2:].partition(b"\0")  # language
        _, _, rest = rest.partition(b"\0")  # translated keyword
        return name, inflate(rest) if compressed else rest
    return name, rest


def inflate(data: bytes) -> bytes:
    """Decompress *data*. :raises Damaged: It is broken, or unpacks to more than any workflow has."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT)
    except zlib.error as error:
        raise Damaged(f"a compressed text in it is broken: {error}") from error
    if unpacker.unconsumed_tail:
        raise Damaged(f"a compressed text in it unpacks to more than {MAX_TEXT} bytes")
    return text
