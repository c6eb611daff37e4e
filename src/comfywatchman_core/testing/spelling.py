"""Everything that a value holds, in words: also what its ``repr`` leaves out."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


def spelled_out(value: object) -> str:
    """All texts below *value*, one a line, for a search after what must not be there.

    Looks into attrs classes, mappings, sequences and sets, and into errors with their attributes and causes.
    """
    lines: list[str] = []
    _spell(value, lines, set())
    return "\n".join(lines)


def _spell(value: object, lines: list[str], seen: set[int]) -> None:
    if id(value) in seen:
        return
    if isinstance(value, bytes):
        lines.append(value.decode("utf-8", "replace"))
    elif isinstance(value, Mapping):
        _spell_all((*value.keys(), *value.values()), value, lines, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        _spell_all(tuple(value), value, lines, seen)
    elif isinstance(value, BaseException):
        _spell_all((str(value), vars(value), value.__cause__, value.__context__), value, lines, seen)
    elif attrs.has(kind := type(value)):
        _spell_all(tuple(getattr(value, one.name) for one in attrs.fields(kind)), value, lines, seen)
    else:
        lines.append(str(value))


def _spell_all(parts: tuple[object, ...], whole: object, lines: list[str], seen: set[int]) -> None:
    seen.add(id(whole))
    for part in parts:
        _spell(part, lines, seen)
