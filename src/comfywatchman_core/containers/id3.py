"""User-defined texts in the ID3v2 tag of an MP3 file."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .source import MAX_TEXT, Source

_FRAMES = 10_000
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")


def tag_size(source: Source) -> int:
    """Bytes of the ID3v2 tag at the beginning, its header included."""
    header = source.exactly(0, 10)
    return 10 + _syncsafe(header[6:10]) + (10 if header[5] & 0x10 else 0)


def texts(source: Source) -> Iterator[tuple[str, str]]:
    """Walk the ``TXXX`` frames, description and value (id3v2.4.0-frames, 4.2.6).

    :raises Damaged: The tag is cut off.
    """
    header = source.exactly(0, 10)
    version, flags = header[3], header[5]
    end = min(10 + _syncsafe(header[6:10]), source.size)
    if version == 2:
        return  # three-letter frames, given up before anything wrote workflows
    if version == 3 and flags & 0x80:
        # The whole tag is written so that no player takes it for sound: every FF is followed by a 00 to be dropped.
        body = source.text(10, min(end - 10, MAX_TEXT)).replace(b"\xff\0", b"\xff")
        tag = Source.of_bytes(b"\0" * 10 + body)
        yield from _frames(tag, 10 + _extended(tag, version, flags), tag.size, version)
    else:
        yield from _frames(source, 10 + _extended(source, version, flags), end, version)


def _extended(source: Source, version: int, flags: int) -> int:
    if not flags & 0x40:
        return 0
    size = source.exactly(10, 4)
    return _syncsafe(size) if version == 4 else 4 + int.from_bytes(size, "big")


def _frames(source: Source, offset: int, end: int, version: int) -> Iterator[tuple[str, str]]:
    for _ in range(_FRAMES):
        header = source.read(offset, 10)
        if offset + 10 > end or len(header) < 10 or header[:1] == b"\0":
            return
        kind, _, flags = struct.unpack(">4sIH", header)
        length = _syncsafe(header[4:8]) if version == 4 else int.from_bytes(header[4:8], "big")
        if kind == b"TXXX":
            yield from _text(source.text(offset + 10, length), version, flags)
        offset += 10 + length


def _text(body: bytes, version: int, flags: int) -> Iterator[tuple[str, str]]:
    if version == 4:
        if flags & 0x000C:
            return  # compressed or encrypted; nobody writes workflows so
        body = body[4:] if flags & 0x0001 else body  # data length indicator
        body = body.replace(b"\xff\0", b"\xff") if flags & 0x0002 else body
    if not body or body[0] >= len(_ENCODINGS):
        return
    text = body[1:].decode(_ENCODINGS[body[0]], "replace")
    description, separator, value = text.partition("\0")
    if separator:
        yield description, value.lstrip("\ufeff\ufffe").rstrip("\0")


def _syncsafe(size: bytes) -> int:
    return size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]
