"""Text measured in the cells of a terminal: wide characters take two, and nothing may run over the edge."""

from __future__ import annotations

import unicodedata

from attrs import frozen
from rich.cells import cell_len

from comfywatchman_core.addresses import printable

_VARIATION_SELECTORS = dict.fromkeys(range(0xFE00, 0xFE10))


@frozen(kw_only=True)
class Glyphs:
    """The signs that a terminal can show."""

    done: str
    failed: str
    full: str
    empty: str
    cut: str
    spin: str
    between: str

    @classmethod
    def of(cls, encoding: str) -> Glyphs:
        """Those for *encoding*; outside of Unicode, plain ones."""
        if encoding.lower().startswith(("utf", "cp65001")):
            return cls(done="✓", failed="✗", full="━", empty="─", cut="…", spin="⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", between=" · ")
        return cls(done="+", failed="x", full="#", empty="-", cut="...", spin="|/-\\", between=", ")


def shown(text: str, encoding: str) -> str:
    """Spell *text* so that its width is what it seems: one printable line of characters that *encoding* has."""
    # Whether a variation selector changes the width of the sign before it is a matter of the terminal's age, and how
    # wide a sign is that no table knows is anybody's guess.
    text = "".join(map(_known, printable(text).translate(_VARIATION_SELECTORS)))
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _known(character: str) -> str:
    if unicodedata.category(character) not in ("Cn", "Co"):
        return character
    return f"\\u{ord(character):04x}" if character <= "\uffff" else f"\\U{ord(character):08x}"


def cut_middle(text: str, width: int, mark: str) -> str:
    """Shorten *text* to *width* cells: both ends tell files apart, the end even more."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(mark)
    if room < 1:
        return _head(text, width)
    tail = _tail(text, room - room // 3)
    return _head(text, room - cell_len(tail)) + mark + tail


def cut_end(text: str, width: int, mark: str) -> str:
    """Shorten *text* to *width* cells at its end."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(mark)
    return _head(text, room) + mark if room > 0 else _head(text, width)


def padded(text: str, width: int) -> str:
    """Fill *text* with blanks up to *width* cells."""
    return text + " " * (width - cell_len(text))


def first_that_fits(texts: tuple[str, ...], width: int, mark: str) -> str:
    """The first of *texts*, ordered from long to short, that needs no cut; else the last one, cut."""
    return next((text for text in texts if cell_len(text) <= width), cut_end(texts[-1], width, mark))


def _head(text: str, width: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[:index]
    return text


def _tail(text: str, width: int) -> str:
    used = 0
    for index in range(len(text) - 1, -1, -1):
        used += cell_len(text[index])
        if used > width:
            return text[index + 1 :]
    return text
