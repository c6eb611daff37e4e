"""Texts in an Exif block, which is a small TIFF file: found by what they begin with, not by their tags."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .carried import split_label

_EXIF_DIRECTORY = 0x8769
_USER_COMMENT = 0x9286
_BYTES = frozenset({1, 2, 7})  # types of one byte each: BYTE, ASCII, UNDEFINED
_POINTER = 4
_ENTRIES = 1000
_LABELS = frozenset({"workflow", "prompt"})
_LONGEST_LABEL = len("workflow:")


def texts(block: bytes) -> Iterator[tuple[str, str]]:
    """Walk the texts of an Exif block, labelled as in ``workflow:{…}``.

    ComfyUI counts down from tag 0x010F for graphs and uses 0x0110 for prompts
    (comfy_api/latest/_ui.py); other savers use others, so any tag is taken.
    The user's comment is where A1111 keeps its parameters.
    """
    tiff = block[6:] if block.startswith(b"Exif\0\0") else block
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return
    view = memoryview(tiff)
    (start,) = struct.unpack(order + "I", tiff[4:8])
    seen: set[str] = set()
    for tag, kind, value in _directory(view, order, start):
        if tag == _EXIF_DIRECTORY and kind == _POINTER:
            for inner, _, comment in _directory(view, order, struct.unpack(order + "I", value[:4])[0]):
                if inner == _USER_COMMENT and "parameters" not in seen:
                    seen.add("parameters")
                    yield "parameters", _comment(bytes(comment))
        elif kind in _BYTES:
            label = bytes(value[:_LONGEST_LABEL]).partition(b":")[0].decode("latin-1").lower()
            if label in _LABELS and label not in seen:
                seen.add(label)
                yield split_label(bytes(value).decode("utf-8", "replace"))


def _directory(tiff: memoryview, order: str, start: int) -> Iterator[tuple[int, int, memoryview]]:
    """Walk the entries of one directory: tag, type, and the bytes of the value."""
    if start + 2 > len(tiff):
        return
    (count,) = struct.unpack(order + "H", tiff[start : start + 2])
    for number in range(min(count, _ENTRIES)):
        entry = tiff[start + 2 + 12 * number : start + 14 + 12 * number]
        if len(entry) < 12:
            return
        tag, kind, length = struct.unpack(order + "HHI", entry[:8])
        if kind not in _BYTES:
            yield tag, kind, entry[8:]
            continue
        if length <= 4:
            yield tag, kind, entry[8 : 8 + length]
        else:
            (offset,) = struct.unpack(order + "I", entry[8:])
            yield tag, kind, tiff[offset : offset + length]


def _comment(value: bytes) -> str:
    code, text = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        # Writers disagree about the byte order; the text is mostly ASCII, so the zeros tell.
        big = text[0::2].count(0) >= text[1::2].count(0)
        return text.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\0")
    return text.decode("utf-8", "replace").strip("\0")
