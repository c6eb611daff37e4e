"""Tags of a Matroska or WebM film (RFC 9559)."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from .source import Damaged, Source

_SEGMENT = 0x18538067
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_CLUSTER = 0x1F43B675
_TAGS, _TAG, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487

_ELEMENTS = 20_000
_SMALL = 1 << 16


@frozen
class _Element:
    id: int
    start: int
    """Of the content."""
    end: int


def texts(source: Source) -> Iterator[tuple[str, bytes]]:
    """Walk the simple tags of the film, names in whatever case; pictures are passed over.

    Where the index at the beginning says where the tags are, nothing else is read.

    :raises Damaged: The elements contradict the file.
    """
    for top in _children(source, 0, source.size):
        if top.id != _SEGMENT:
            continue
        looked_at: set[int] = set()
        for element in _children(source, top.start, top.end):
            if element.id == _SEEK_HEAD:
                for position in _tag_positions(source, element):
                    at = top.start + position
                    found = next(_children(source, at, top.end), None)
                    if found is not None and found.id == _TAGS and at not in looked_at:
                        looked_at.add(at)
                        yield from _tags(source, found)
                if looked_at:
                    return
            elif element.id == _TAGS:
                yield from _tags(source, element)


def _tag_positions(source: Source, head: _Element) -> Iterator[int]:
    for seek in _children(source, head.start, head.end):
        if seek.id != _SEEK:
            continue
        fields = {field.id: field for field in _children(source, seek.start, seek.end)}
        if _SEEK_ID in fields and _SEEK_POSITION in fields and _number(source, fields[_SEEK_ID]) == _TAGS:
            yield _number(source, fields[_SEEK_POSITION])


def _tags(source: Source, tags: _Element) -> Iterator[tuple[str, bytes]]:
    for tag in _children(source, tags.start, tags.end):
        if tag.id != _TAG:
            continue
        for simple in _children(source, tag.start, tag.end):
            if simple.id != _SIMPLE_TAG:
                continue
            fields = {field.id: field for field in _children(source, simple.start, simple.end)}
            name, value = fields.get(_TAG_NAME), fields.get(_TAG_STRING)
            if name is not None and value is not None and name.end - name.start <= _SMALL:
                spelled = source.read(name.start, name.end - name.start).rstrip(b"\0").decode("utf-8", "replace")
                if spelled.strip().lower() in ("workflow", "prompt", "comment", "parameters"):
                    yield spelled, source.text(value.start, value.end - value.start).rstrip(b"\0")


def _children(source: Source, offset: int, end: int) -> Iterator[_Element]:
    end = min(end, source.size)
    for _ in range(_ELEMENTS):
        head = source.read(offset, 12)
        if offset >= end or len(head) < 2:
            return
        id_length = _length(head[0], 4)
        size_length = _length(head[id_length], 8) if id_length < len(head) else 0
        if not id_length or not size_length or id_length + size_length > len(head):
            raise Damaged(f"the element at byte {offset} is none")
        identity = int.from_bytes(head[:id_length], "big")
        size_field = head[id_length : id_length + size_length]
        size = int.from_bytes(size_field, "big") & ((1 << 7 * size_length) - 1)
        start = offset + id_length + size_length
        if size == (1 << 7 * size_length) - 1:
            # Unknown size, as in streams: a segment reaches to the end, a cluster's parts are taken one by one.
            if identity == _CLUSTER:
                offset = start
                continue
            size = end - start
        yield _Element(identity, start, min(start + size, end))
        offset = start + size


def _length(first: int, longest: int) -> int:
    """Bytes of a variable-length number, by the position of its first set bit; 0 for none."""
    length = 9 - first.bit_length()
    return length if 1 <= length <= longest and first else 0


def _number(source: Source, element: _Element) -> int:
    return int.from_bytes(source.read(element.start, min(element.end - element.start, 8)), "big")
