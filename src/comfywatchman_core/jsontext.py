"""Change a JSON text in single places, and leave every other character of it as it is.

Parsing and writing a document anew would spell numbers otherwise, drop
repeated keys and move every line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # left out of the stubs
from typing import Any

from attrs import frozen

_SPACE = re.compile(r"[ \t\n\r]*")
_read = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
"""Numbers stay texts: Python's own conversion refuses very long ones."""


@frozen
class Place:
    """A value in a text of sound JSON, by where it begins and ends."""

    text: str
    begin: int
    end: int

    @classmethod
    def whole(cls, text: str) -> Place:
        """The value that *text* is, white space around it left out. :raises ValueError: It is no JSON."""
        begin = _after_space(text, 0)
        _, end = _read(text, begin)
        if _after_space(text, end) != len(text):
            raise ValueError("something stands behind the document")
        return cls(text, begin, end)

    @property
    def value(self) -> Any:
        """The value itself, numbers as they are spelled."""
        return _read(self.text, self.begin)[0]

    @property
    def is_object(self) -> bool:
        return self.text[self.begin] == "{"

    @property
    def is_list(self) -> bool:
        return self.text[self.begin] == "["

    def member(self, *path: str) -> Place | None:
        """The value under the keys *path*, the last of equal keys; ``None`` where there is none."""
        found: Place | None = self
        for key in path:
            found = dict(found.members()).get(key) if found is not None and found.is_object else None
        return found

    def members(self) -> Iterator[tuple[str, Place]]:
        """Key and value of every member of an object."""
        at = _after_space(self.text, self.begin + 1)
        while self.text[at] == '"':
            key, at = scanstring(self.text, at + 1)
            colon = _after_space(self.text, at)
            value = self._at(_after_space(self.text, colon + 1))
            yield key, value
            at = self._next(value)

    def elements(self) -> Iterator[Place]:
        """Every element of a list."""
        if not self.is_list:
            return
        at = _after_space(self.text, self.begin + 1)
        while self.text[at] != "]":
            value = self._at(at)
            yield value
            at = self._next(value)

    def _at(self, begin: int) -> Place:
        return Place(self.text, begin, _read(self.text, begin)[1])

    def _next(self, value: Place) -> int:
        at = _after_space(self.text, value.end)
        return _after_space(self.text, at + 1) if self.text[at] == "," else at


@frozen
class Change:
    """One piece of text that takes the place of another."""

    begin: int
    end: int
    text: str


def replaced(place: Place, value: object) -> Change:
    """*value* in the place of what is there."""
    return Change(place.begin, place.end, json.dumps(value))


def added(place: Place, *more: str) -> Change:
    """New members or elements, spelled as JSON already, behind those that *place* has."""
    last = place.end - 1
    while place.text[last - 1] in " \t\n\r":
        last -= 1
    is_empty = last - 1 == place.begin
    return Change(last, last, ("" if is_empty else ", ") + ", ".join(more))


def spelled(key: str, value: object) -> str:
    """A member of an object, as JSON."""
    return f"{json.dumps(key)}: {json.dumps(value)}"


def changed(text: str, changes: Iterable[Change]) -> str:
    """*text* with *changes*, of which no two may overlap."""
    pieces, at = [], 0
    for change in sorted(changes, key=lambda one: (one.begin, one.end)):
        pieces += [text[at : change.begin], change.text]
        at = change.end
    return "".join((*pieces, text[at:]))


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
