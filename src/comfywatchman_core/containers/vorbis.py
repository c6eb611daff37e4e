"""Vorbis comments: the named texts of FLAC, Ogg Vorbis and Opus."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .source import Source

_COMMENTS = 10_000
_BLOCKS = 1000
_PAGES = 20_000
_COMMENT_BLOCK = 4
_LARGEST_PACKET = 24 << 20


def comments(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Walk a comment block: the vendor, then texts of the form ``NAME=value``; lengths are little-endian."""
    if len(body) < 4:
        return
    (vendor,) = struct.unpack("<I", body[:4])
    offset = 8 + vendor
    if offset > len(body):
        return
    (count,) = struct.unpack("<I", body[offset - 4 : offset])
    for _ in range(min(count, _COMMENTS)):
        if offset + 4 > len(body):
            return
        (length,) = struct.unpack("<I", body[offset : offset + 4])
        name, separator, value = body[offset + 4 : offset + 4 + length].partition(b"=")
        if separator:
            yield name.decode("utf-8", "replace"), value
        offset += 4 + length


def flac_texts(source: Source, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """Walk the comments of a FLAC file whose marker stands at *start*. :raises Damaged: Its blocks contradict it."""
    offset = start + 4
    for _ in range(_BLOCKS):
        header = source.read(offset, 4)
        if len(header) < 4:
            return
        length = int.from_bytes(header[1:], "big")
        if header[0] & 0x7F == _COMMENT_BLOCK:
            yield from comments(source.text(offset + 4, length))
        if header[0] & 0x80:
            return
        offset += 4 + length


def ogg_texts(source: Source) -> Iterator[tuple[str, bytes]]:
    """Walk the comments of an Ogg file: its second packet, put together from as many pages as it fills."""
    offset, packet, finished, serial = 0, bytearray(), 0, b""
    for _ in range(_PAGES):
        header = source.read(offset, 27)
        if len(header) < 27 or not header.startswith(b"OggS"):
            return
        lacing = source.exactly(offset + 27, header[26]) if header[26] else b""
        offset += 27 + len(lacing)
        serial = serial or header[14:18]
        if header[14:18] != serial:  # another stream, interleaved
            offset += sum(lacing)
            continue
        for length in lacing:
            if finished == 1:
                packet += source.read(offset, length)
            offset += length
            if length < 255:
                finished += 1
                if finished == 2:
                    yield from comments(_comment_body(bytes(packet)))
                    return
        if len(packet) > _LARGEST_PACKET:
            return


def _comment_body(packet: bytes) -> bytes:
    if packet.startswith(b"OpusTags"):
        return packet[8:]
    if packet.startswith(b"\x03vorbis"):
        return packet[7:]
    # Ogg FLAC: an ordinary metadata block
    return packet[4:] if packet[:1] in (b"\x04", b"\x84") else b""
