"""Metadata in files made of boxes (ISO/IEC 14496-12): MP4 and QuickTime films, AVIF pictures."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attrs import frozen

from . import exif
from .source import Damaged, Source

FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""Types of boxes with which such a file begins; QuickTime's need no ``ftyp``."""

_BOXES = 20_000
_SMALL = 1 << 20
"""Bytes of a table of contents; those of films with thousands of parts lie in other boxes."""


@frozen
class _Box:
    kind: bytes
    start: int
    """Of the content."""
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def texts(source: Source) -> Iterator[tuple[str, object]]:
    """Walk the named texts of a film, and the labelled ones of a picture; frames and samples are passed over.

    Films carry them in ``moov/udta/meta`` (or ``moov/meta``): ``keys`` and ``ilst`` with the names
    ``workflow`` and ``prompt`` as ComfyUI writes them, or the comment in which VideoHelperSuite puts both.

    :raises Damaged: The boxes contradict the file.
    """
    for box in _children(source, 0, source.size):
        if box.kind == b"moov":
            for inner in _children(source, box.start, box.end):
                if inner.kind == b"udta":
                    for held in _children(source, inner.start, inner.end):
                        if held.kind == b"meta":
                            yield from _film_texts(source, held)
                        elif held.kind == b"\xa9cmt":
                            yield "comment", source.text(held.start, held.size)[4:]
                elif inner.kind == b"meta":
                    yield from _film_texts(source, inner)
        elif box.kind == b"meta":
            yield from _picture_texts(source, box)


def _children(source: Source, start: int, end: int) -> Iterator[_Box]:
    for _ in range(_BOXES):
        header = source.read(start, 16)
        if start + 8 > end or len(header) < 8:
            return
        length, kind = struct.unpack(">I4s", header[:8])
        content = start + 8
        if length == 1:
            if len(header) < 16:
                return
            (length,) = struct.unpack(">Q", header[8:])
            content = start + 16
        elif length == 0:
            length = end - start
        if length < content - start or start + length > end:
            # A film that is cut off may still have what is wanted in the box that the cut goes through.
            if length < content - start or start + 8 > end:
                raise Damaged(f"a box in it has {length} bytes")
            length = end - start
        yield _Box(kind, content, start + length)
        start += length


def _meta_children(source: Source, box: _Box) -> Iterator[_Box]:
    """Boxes inside ``meta``: after a version and flags in ISO files, at once in QuickTime's."""
    plain = source.read(box.start + 4, 4) in (b"hdlr", b"keys", b"ilst")
    yield from _children(source, box.start if plain else box.start + 4, box.end)


def _film_texts(source: Source, meta: _Box) -> Iterator[tuple[str, object]]:
    names: list[str] = []
    for box in _meta_children(source, meta):
        if box.kind == b"keys":
            names = list(_key_names(source.read(box.start, min(box.size, _SMALL))))
        elif box.kind == b"ilst":
            for item in _children(source, box.start, box.end):
                name = _item_name(item.kind, names)
                if name is None:
                    continue
                for data in _children(source, item.start, item.end):
                    if data.kind == b"data":
                        yield name, source.text(data.start, data.size)[8:]  # type and locale stand before the text


def _key_names(body: bytes) -> Iterator[str]:
    offset = 8
    while offset + 8 <= len(body):
        (length,) = struct.unpack(">I", body[offset : offset + 4])
        if length < 8:
            return
        yield body[offset + 8 : offset + length].decode("utf-8", "replace")
        offset += length


def _item_name(kind: bytes, names: list[str]) -> str | None:
    if kind == b"\xa9cmt":
        return "comment"
    number = int.from_bytes(kind, "big")
    if not 1 <= number <= len(names):
        return None
    name = names[number - 1].lower().rpartition(".")[2]  # com.apple.quicktime.comment
    return name if name in ("workflow", "prompt", "comment", "parameters") else None


def _picture_texts(source: Source, meta: _Box) -> Iterator[tuple[str, object]]:
    """Find the Exif item of an AVIF: ``iinf`` says which item it is, ``iloc`` where it lies."""
    boxes = {box.kind: box for box in _meta_children(source, meta)}
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return
    wanted = set(_exif_items(source, boxes[b"iinf"]))
    table = boxes[b"iloc"]
    if not wanted or table.size > _SMALL:
        return
    inside = boxes[b"idat"].start if b"idat" in boxes else 0
    for item, offset, length, method in _locations(source.exactly(table.start, table.size)):
        if item in wanted and length >= 4:
            body = source.text(offset + (inside if method == 1 else 0), length)
            skip = 4 + int.from_bytes(body[:4], "big")
            # The offset counts from behind itself to the TIFF header; some writers count "Exif\0\0", some do not.
            yield from exif.texts(body[skip:] if body[skip : skip + 2] in (b"II", b"MM") else body[4:])


def _exif_items(source: Source, box: _Box) -> Iterator[int]:
    version = source.read(box.start, 1)
    for entry in _children(source, box.start + (6 if version == b"\0" else 8), box.end):
        body = source.read(entry.start, min(entry.size, 16))
        if entry.kind != b"infe" or len(body) < 12 or body[0] not in (2, 3):
            continue
        wide = body[0] == 3
        if body[10:14] == b"Exif" if wide else body[8:12] == b"Exif":
            yield int.from_bytes(body[4:8] if wide else body[4:6], "big")


def _locations(body: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Walk an item location table: item, offset, length, construction method; the first extent of each."""
    if len(body) < 8:
        return
    version = body[0]
    offset_size, length_size = body[4] >> 4, body[4] & 15
    base_size, index_size = body[5] >> 4, body[5] & 15 if version in (1, 2) else 0
    at = 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(body):
            raise Damaged("its table of items is cut off")
        return int.from_bytes(body[at - size : at][:8], "big")

    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version in (1, 2) else 0
        number(2)  # data reference
        base = number(base_size)
        extents = number(2)
        if extents:
            number(index_size)
            offset, length = number(offset_size), number(length_size)
            yield item, base + offset, length, method
            number((extents - 1) * (index_size + offset_size + length_size))  # further parts of the same item
