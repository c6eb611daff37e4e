"""When a wanted name is the name of a file: equality, and nothing less."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from .words import distinctive_words, key_of, name_words, split_suffix

EXACT = 100
UPLOADED = 98
COMPOSED = 95
REDUCED = 92
OTHER_FORMAT = 85
SEPARATORS = 80
_MOST_OVERLAP = 60
_SAME_BUT_FOR_NUMBERS = 0.75


@frozen
class Wanted:
    """The name that a workflow gives, and the forms in which it is compared."""

    name: str
    """The last component of the path, as spelled."""
    key: str
    stem: str
    """The key without its model suffix."""
    stem_as_spelled: str
    """The same with its capitals, which tell words apart."""
    suffix: str
    """Lower case; empty where the workflow gives none."""
    reduced: str
    """The key without what browsers and the storage of early 2026 add to it."""

    @classmethod
    def of(cls, path: str) -> Wanted:
        """Read a path below a models folder."""
        name = path.replace("\\", "/").rpartition("/")[2]
        key = key_of(name)
        stem, suffix = split_suffix(key)
        spelled = name[: -len(suffix)] if suffix else name
        return cls(name, key, stem, spelled, suffix, key_of(_without_additions(name)))


def evidence(wanted: Wanted, names: Sequence[tuple[int, str]]) -> int:
    """Say how well *wanted* agrees with the names of one file.

    :param names: What each name is worth when it is equal, and the name; see :func:`names_of`.
    :returns: 92 to 100: a name of this file; 80 to 85: the same but for format or separators; up to 60: alike.
    """
    return max((_points(wanted, worth, name) for worth, name in names), default=0)


def _points(wanted: Wanted, worth: int, name: str) -> int:
    key, reduced = key_of(name), key_of(_without_additions(name))
    stem, suffix = split_suffix(key)
    if key == wanted.key or (not wanted.suffix and stem == wanted.stem and suffix):
        return worth
    if wanted.reduced in (key, reduced) or reduced == wanted.key:
        return min(worth, REDUCED)
    if stem == wanted.stem:
        return OTHER_FORMAT
    if suffix == wanted.suffix and _letters(stem) and _letters(stem) == _letters(wanted.stem):
        return SEPARATORS
    return round(_MOST_OVERLAP * likeness(wanted.name, name))


_COPY = re.compile(r" ?\(\d{1,2}\)(?=\.[A-Za-z0-9]+$)")
_STORAGE_KEY = re.compile(r"\.([A-Za-z0-9]{4})(?=\.safetensors$)")


def _without_additions(name: str) -> str:
    """Take away ``" (1)"`` of a browser and the four letters of a storage key."""
    name = _COPY.sub("", name)
    found = _STORAGE_KEY.search(name)
    # Downloads of February 2026 were named by key, "name.AbCd.safetensors". ".fp16" or ".Lite" is no such key, and
    # a file without it is another one: only letters in mixed case count.
    if found and not found[1].istitle() and found[1] not in (found[1].lower(), found[1].upper()):
        return name[: found.start()] + name[found.end() :]
    return name


def _letters(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def likeness(one: str, other: str) -> float:
    """How much two names share, 0 to 1: the words they have in common, by all their words.

    Names that differ only in version, precision or format are alike whatever the share.
    """
    left, right = set(name_words(one)), set(name_words(other))
    if not left or not right:
        return 0.0
    share = len(left & right) / len(left | right)
    said, other_said = distinctive_words(one), distinctive_words(other)
    return max(share, _SAME_BUT_FOR_NUMBERS) if said and said == other_said else share
