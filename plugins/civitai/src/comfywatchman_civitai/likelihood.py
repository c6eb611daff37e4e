"""How likely a file was uploaded under a name, judged by the titles around it: whom to ask ``mini`` about."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .matching import Wanted
from .records import FileRecord, Listed
from .words import camel_words, distinctive_words, name_words, without_accents

_PRECISIONS = ("nvfp4", "fp32", "fp16", "bf16", "fp8", "int8", "nf4")
_OTHER_VERSION = 0.3
_SHORTEST_PART = 3
"""Letters from which a word counts as found inside a longer one."""


def likelihood(wanted: Wanted, found: Listed) -> float:
    """Estimate, 0 to 1, that *wanted* is the uploaded name of *found*; good for ordering, not for deciding."""
    words = distinctive_words(wanted.name)
    if not words:
        return 0.0
    title = set(distinctive_words(found.model.name))
    whole = "".join(words)
    extra = sum(word not in words and word not in whole and not any(one in word for one in words) for word in title)
    fit = coverage(words, found) ** 2 * (1 - 0.4 * extra / max(1, len(title)))
    return fit * _version_agreement(wanted, found) * _variant_agreement(wanted, found.file)


def coverage(words: Sequence[str], found: Listed) -> float:
    """The share of *words*, as :func:`words.distinctive_words` tells them, that stand in the titles of *found*."""
    titles = without_accents(f"{found.model.name} {found.version.name} {' '.join(found.version.trained_words)}")
    known = {*name_words(titles), *camel_words(titles)}
    joined = "".join(name_words(titles))
    plain = [without_accents(word) for word in words]
    hits = sum(word in known or (len(word) >= _SHORTEST_PART and word in joined) for word in plain)
    return hits / len(words) if words else 0.0


def contradicts(wanted: Wanted, found: Listed) -> bool:
    """Say whether the name gives a version, and *found* is another one."""
    return _version_agreement(wanted, found) <= _OTHER_VERSION


def _version_agreement(wanted: Wanted, found: Listed) -> float:
    """How well the numbers of the name go with those of the version: 1 is equal."""
    named, own = _numbers(wanted.stem) - _numbers(found.model.name), _numbers(found.version.name)
    if not named:
        return 0.8 if not own or "1" in own else 0.6
    if any(one.startswith(other) or other.startswith(one) for one in named for other in own):
        return 1.0  # makers call version 5.4 "v5" in the file's name
    return 0.7 if not own else _OTHER_VERSION


def _numbers(text: str) -> set[str]:
    """The numbers in *text* that can be versions: ``v2.0``, ``V2`` and ``_20`` are all ``2``."""
    text = re.sub(r"(?i)nvfp4|b?fp?\d+|int\d+|nf4|sd_?(?:xl|1\.?5|15|2\.?1|21)|-0\d+", " ", text)
    found = (re.sub(r"[._]", "", number) for number in re.findall(r"\d+(?:[._]\d+)*", text))
    return {number.rstrip("0") or number for number in found}


def _variant_agreement(wanted: Wanted, file: FileRecord) -> float:
    agreement = 1.0
    for names, own in ((_PRECISIONS, file.precision), (("pruned", "full"), file.extent)):
        named = next((one for one in names if one in wanted.stem), "")
        if named and own:
            agreement *= 1.0 if own.startswith(named) else 0.5
        elif named or (own and own not in ("fp16", "pruned")):
            agreement *= 0.9
    return agreement
