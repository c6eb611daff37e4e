"""How likely a file was uploaded under a name, judged by the titles around it: whom to ask ``mini`` about."""

from __future__ import annotations

import re

from .matching import Wanted
from .records import FileRecord, Listed
from .words import camel_words, distinctive_words, name_words

_PRECISIONS = ("nvfp4", "fp32", "fp16", "bf16", "fp8", "int8", "nf4")
_SHORTEST_PART = 3
"""Letters from which a word counts as found inside a longer one."""


def likelihood(wanted: Wanted, found: Listed) -> float:
    """Estimate, 0 to 1, that *wanted* is the uploaded name of *found*; good for ordering, not for deciding."""
    words = distinctive_words(wanted.name)
    if not words:
        return 0.0
    titles = f"{found.model.name} {found.version.name} {' '.join(found.version.trained_words)}"
    known = {*name_words(titles), *camel_words(titles)}
    joined = "".join(name_words(titles))
    hits = sum(word in known or (len(word) >= _SHORTEST_PART and word in joined) for word in words)
    title = set(distinctive_words(found.model.name))
    whole = "".join(words)
    extra = sum(word not in words and word not in whole and not any(one in word for one in words) for word in title)
    fit = (hits / len(words)) ** 2 * (1 - 0.4 * extra / max(1, len(title)))
    return fit * _version_agreement(wanted, found) * _variant_agreement(wanted, found.file)


def _version_agreement(wanted: Wanted, found: Listed) -> float:
    """How well the numbers of the name go with those of the version: 1 is equal."""
    named, own = _numbers(wanted.stem), _numbers(found.version.name)
    if not named:
        return 0.8 if not own or "1" in own else 0.6
    if named & own:
        return 1.0
    return 0.7 if not own or named & _numbers(found.model.name) else 0.3


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
