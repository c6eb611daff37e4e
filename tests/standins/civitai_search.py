"""The service's full text search, as far as a client can tell: which models answer to a query, and in which order.

A small stand-in for the Meilisearch index behind it. Searched are the model's
name, its maker's name, the checksums of its files and its trigger words. File
names, version names, tags and descriptions are not.
"""

from __future__ import annotations

import bisect
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

from attrs import define

MOST_WORDS = 10
_ONE_TYPO_FROM = 12
_TWO_TYPOS_FROM = 16
_NAME, _MAKER, _HASHES, _TRIGGERS = range(4)

# One CJK character is one word; camel case is not split.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


def words_of(text: str) -> list[str]:
    """Split as the index does: at everything that is neither letter nor digit; case and accents do not count."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(letter)
    )
    return _WORD.findall(plain)


@define(frozen=True)
class _Place:
    attribute: int
    position: int


class SearchIndex:
    """Models by their words.

    :param fills_pages: True: models that match fewer words follow those that match more. False: words are
        dropped from the end only until something matches.
    """

    def __init__(self, *, fills_pages: bool = False) -> None:
        self.fills_pages = fills_pages
        self._likes: dict[int, int] = {}
        self._postings: dict[str, dict[int, list[_Place]]] = defaultdict(dict)
        self._vocabulary: list[str] | None = None
        self._spellable: set[str] = set()
        self._spellings: dict[tuple[str, bool], frozenset[str]] = {}

    def add(
        self, model: int, *, name: str, maker: str, hashes: Iterable[str], triggers: Iterable[str], likes: int
    ) -> None:
        self._likes[model] = likes
        self._vocabulary = None
        texts = ((_NAME, name), (_MAKER, maker), (_HASHES, " ".join(hashes)), (_TRIGGERS, " , ".join(triggers)))
        for attribute, text in texts:
            for position, word in enumerate(words_of(text)):
                self._postings[word].setdefault(model, []).append(_Place(attribute, position))
                if attribute != _HASHES:
                    self._spellable.add(word)

    def search(self, query: str, allowed: Callable[[int], bool]) -> list[int]:
        """Every model that answers to *query*, best first."""
        words = words_of(query)[:MOST_WORDS]
        if not words:
            return sorted(filter(allowed, self._likes), key=lambda model: (-self._likes[model], model))
        singles = [self._matching(word, prefix=index == len(words) - 1) for index, word in enumerate(words)]
        reached = self._reached(words, singles)
        found: list[int] = []
        taken: set[int] = set()
        for count in range(len(words), 0, -1):
            bucket = [model for model in reached[count] if model not in taken and allowed(model)]
            bucket.sort(key=lambda model, count=count: self._rank(model, words[:count], singles[:count]))  # type: ignore[misc]
            found += bucket
            taken.update(bucket)
            if found and not self.fills_pages:
                break
        return found

    def _reached(self, words: list[str], singles: list[frozenset[int]]) -> list[frozenset[int]]:
        """For each count, the models that match the first so many words; neighbours may match as one word."""
        reached: list[frozenset[int]] = [frozenset(self._likes)]
        for end in range(1, len(words) + 1):
            models = reached[end - 1] & singles[end - 1]
            for length in (2, 3):
                if end >= length:
                    joined = "".join(words[end - length : end])
                    together = self._models_of(self._spelled(joined, prefix=end == len(words)))
                    models |= reached[end - length] & together
            reached.append(models)
        return reached

    def _matching(self, word: str, *, prefix: bool) -> frozenset[int]:
        models = set(self._models_of(self._spelled(word, prefix=prefix)))
        for cut in range(1, len(word)):  # one word may stand for two neighbours
            left, right = self._postings.get(word[:cut]), self._postings.get(word[cut:])
            if left and right:
                models |= {model for model in left.keys() & right.keys() if _adjacent(left[model], right[model])}
        return frozenset(models)

    def _models_of(self, spellings: Iterable[str]) -> frozenset[int]:
        return frozenset(model for spelling in spellings for model in self._postings.get(spelling, ()))

    def _spelled(self, word: str, *, prefix: bool) -> frozenset[str]:
        """The words of the index that *word* stands for: itself, those it begins, those a typo or two away."""
        if self._vocabulary is None:
            self._vocabulary = sorted(self._postings)
            self._spellings.clear()
        key = (word, prefix)
        if key not in self._spellings:
            found = {word} & self._postings.keys()
            if prefix:
                start = bisect.bisect_left(self._vocabulary, word)
                end = bisect.bisect_right(self._vocabulary, word + "\U0010ffff")
                found |= set(self._vocabulary[start:end])
            typos = (len(word) >= _ONE_TYPO_FROM) + (len(word) >= _TWO_TYPOS_FROM)
            if typos:
                found |= {other for other in self._spellable if _is_typo_of(word, other, typos)}
            self._spellings[key] = frozenset(found)
        return self._spellings[key]

    def _rank(self, model: int, words: list[str], singles: list[frozenset[int]]) -> tuple[int, int, int, int, int]:
        """Which attribute, likes, proximity, exactness: a liked model beats a closer name."""
        places = [self._postings.get(word, {}).get(model, []) for word in words]
        attribute = sum(min((place.attribute for place in found), default=_NAME) for found in places)
        exact = sum(bool(found) for found in places)
        distance = 0
        for first, second in itertools.pairwise(places):
            steps = [
                abs(later.position - earlier.position)
                for earlier in first
                for later in second
                if earlier.attribute == later.attribute
            ]
            distance += min(steps, default=8)
        return (attribute, -self._likes[model], distance, -exact, model)


def _adjacent(left: list[_Place], right: list[_Place]) -> bool:
    return any(
        one.attribute == other.attribute and one.position + 1 == other.position for one in left for other in right
    )


def _is_typo_of(word: str, other: str, most: int) -> bool:
    if abs(len(other) - len(word)) > most:
        return False
    third = len(word) // 3
    # of three parts, two typos leave at least one as it is
    parts = (word[:third], word[third : 2 * third], word[2 * third :])
    return any(part in other for part in parts) and _distance(word, other, most) <= most


def _distance(one: str, other: str, most: int) -> int:
    """Edits between two words, given up above *most*; a wrong first letter counts twice."""
    penalty = int(one[:1] != other[:1])
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, opposite in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (letter != opposite))
        if min(row) > most:
            return most + 1
    return row[-1] + penalty
