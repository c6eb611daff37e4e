"""Texts in a PNG: tEXt, iTXt and zTXt chunks, and the ``comf`` chunk of animated ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from .source import MAX_TEXT, Damaged, Source

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHUNKS = 50_000
_TEXTS = frozenset({b"tEXt", b"iTXt", b"zTXt", b"comf"})
_NAMES = frozenset({"workflow", "prompt", "parameters"})
_KEYWORD = 80
"""Bytes of the longest keyword and the NUL behind it."""


def texts(source: Source) -> Iterator[tuple[str, bytes]]:
    """Walk the texts of a PNG, in file order, the first of each name; pixels are skipped, not read.

    ``comf`` is ComfyUI's own chunk in animated PNGs, keyword, NUL, text, and
    stands behind the pixels (comfy_api/latest/_ui.py).

    :raises Damaged: The chunks contradict the file.
    """
    offset = len(SIGNATURE)
    seen: set[str] = set()
    for _ in range(_CHUNKS):
        header = source.read(offset, 8)
        if len(header) < 8:
            return
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IEND":
            return
        if kind in _TEXTS:
            keyword = source.read(offset + 8, min(length, _KEYWORD)).partition(b"\0")[0]
            name = keyword.decode("latin-1").strip().lower()
            if name in _NAMES and name not in seen:
                seen.add(name)  # a second text of a name is not even unpacked
                text = _text(kind, source.text(offset + 8, length)[len(keyword) + 1 :])
                if text is not None:
                    yield name, text
        offset += 12 + length


def _text(kind: bytes, rest: bytes) -> bytes | None:
    """Read what stands behind the keyword; ``None`` for a compression that nobody knows."""
    if kind == b"zTXt":
        return inflate(rest[1:]) if rest[:1] == b"\0" else None
    if kind == b"iTXt":
        compressed = rest[:1] == b"\1"
        _, _, rest = rest[2:].partition(b"\0")  # language
        _, _, rest = rest.partition(b"\0")  # translated keyword
        return inflate(rest) if compressed else rest
    return rest


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
