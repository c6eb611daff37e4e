"""What to ask the search for, when all that is known is a file name.

The search never looks at file names. It looks at the titles of models, their
makers, trigger words and checksums; the first word has to match, and words are
dropped from the end until something does.
"""

from __future__ import annotations

import re

from .matching import Wanted
from .words import camel_words, distinctive_words

MOST_WORDS = 5
"""Of ten that the search takes; more only make it miss."""


def queries(wanted: Wanted, folder: str) -> list[str]:
    """The ladder: queries in the order in which they are asked, until one brings an accepted hit."""
    words = distinctive_words(wanted.name)[:MOST_WORDS]
    ladder = [words]
    if title := composed_title(wanted.stem_as_spelled):
        ladder.insert(0, list(camel_words(title))[:MOST_WORDS])  # every word of it is one of the model's own
    if folder == "embeddings" or not words:  # named after a trigger word, which the search knows as it is
        ladder.insert(0, [wanted.stem])
    own = distinctive_words(title) if title else words
    if len(own) > 2:
        ladder.append(own[:2])
    if len(own) > 1 or title:
        ladder.append([max(own, key=len, default="")])
    return list(dict.fromkeys(" ".join(rung) for rung in ladder if rung))


_VARIANT = re.compile(r"full|pruned|[a-z]*fp\d+\w*|int\d+|nf4|i?q\d\w*|\d+|txt", re.IGNORECASE)


def composed_title(stem: str) -> str:
    """The title in a name that the service composed, such as ``cyberRealistic_v80``; empty where it looks otherwise."""
    title, mark, rest = stem.partition("_")
    label, *variants = rest.split("_")
    if not mark or not title[:1].islower() or not title.isalnum() or not all(map(_VARIANT.fullmatch, variants)):
        return ""
    in_camel_case = re.search(r"[a-z0-9][A-Z]", title) or re.match(r"[a-z][a-z0-9]*[A-Z]", label)
    return title if in_camel_case or re.match(r"[vV]?\d", label) else ""
