"""Look for a model by the file name that a workflow gives, with few questions and no guessing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from attrs import Factory, define, field, frozen

from comfywatchman_core import Candidate, Match, errors

from .choosing import PICKLES, suffix_of
from .folders import fits, searched_types
from .likelihood import contradicts, coverage, likelihood
from .matching import COMPOSED, REDUCED, Wanted, evidence
from .naming import keeps_uploaded_name, names_of
from .offers import Offers, is_out_of_the_question, reference_of
from .queries import MOST_WORDS, queries
from .records import Listed, listed
from .service import Page, Service
from .words import distinctive_words, is_generic

_MISFIT = 30
_OTHER_SIZE = 40
_SAME_SIZE = 10
_WORTH_TELLING = 30
"""Points from which a name is near enough to be reported."""
_MOST_REPORTED = 5

_WORTH_A_LOOK = 0.5
"""Likelihood from which the uploaded name of a file is asked for before the next search."""
_LAST_LOOK = 0.25
"""The same when there is nothing left to search for."""
_MOST_LOOKS = 4
"""Uploaded names that are asked for after the first search; one less after each further one."""
_MOST_LAST_LOOKS = 1
_THIN_PAGE = 20
"""A page with fewer models that is not the last one was thinned out by the service after the search."""

_SHORT = 2
"""Words up to which a name without a number is one that several makers may hit upon."""


@frozen
class Judged:
    """A file, and what speaks for it."""

    found: Listed
    evidence: int
    """How well its names agree with the wanted one; see :func:`matching.evidence`."""
    score: int
    """The same with what else is known: folder, size."""

    @property
    def is_accepted(self) -> bool:
        return self.evidence >= REDUCED and self.score >= REDUCED

    @property
    def identity(self) -> str:
        """Equal for equal bytes. Without a checksum, a file is only equal to itself."""
        return self.found.file.sha256 or f"file {self.found.file.id}"


@define(kw_only=True)
class Hunt:
    """The search for one name."""

    service: Service
    offers: Offers
    wanted: Wanted
    budget: int
    """Questions, at most."""
    _judged: dict[tuple[int, int], Judged] = Factory(dict)
    """Version and file → what is known of every file seen so far."""
    _looked_at: set[tuple[int, int]] = Factory(set)
    """Files whose uploaded name was asked for."""
    _cut: list[str] = Factory(list)
    """Queries to which more answers than was shown."""
    _started: int = field(init=False, default=0)
    _shown: str = field(init=False, default="")
    """The last query, if everything was shown that answers to it."""
    _is_sure: bool = field(init=False, default=True)
    """Everything was looked at that may have the name as well as the file that has it."""

    def candidates(self) -> tuple[Candidate, ...]:
        """What bears the wanted name, best first; then what comes near, as proposals. Empty: nothing of either.

        :raises BackendError: The service could not be asked to the end.
        """
        self._started = self.service.asked
        for _ in self._questions():
            if self._accepted and not is_generic(self.wanted.name):
                self._doubt()
                break
        return self._concluded()

    @property
    def _left(self) -> int:
        return self.budget - (self.service.asked - self._started)

    @property
    def _types(self) -> tuple[str, ...]:
        return searched_types(self.offers.request.folder)

    def _questions(self) -> Iterator[None]:
        """Ask one question after the other; the caller stops when one brought what is wanted."""
        ladder = queries(self.wanted, self.offers.request.folder)
        for index, query in enumerate(ladder):
            if self._left <= 0:
                return
            self._search(query, self._types, mature=True)
            yield
            yield from self._look_closer(_MOST_LOOKS - index, _WORTH_A_LOOK)
        # What is flagged as showing minors is found only so; and a maker may have chosen an odd type.
        if ladder and self._left > 0:
            self._search(ladder[0], (), mature=False)
            yield
        yield from self._look_closer(_MOST_LAST_LOOKS, _LAST_LOOK)
        if self._cut and self._left > 0:
            self._search(self._cut[0], self._types, mature=True, deep=True)
            yield

    def _search(self, query: str, types: Sequence[str], *, mature: bool, deep: bool = False) -> None:
        """Judge what the service shows.

        :param deep: Ask for a second page as well, where there is one.
        """
        page = self._page(query, types, mature)
        if page.next_cursor and (deep or len(page.models) < _THIN_PAGE) and self._left > 0:
            page = self._page(query, types, mature, page.next_cursor)
        self._shown = "" if page.next_cursor else query
        if page.next_cursor:
            self._cut.append(query)

    def _page(self, query: str, types: Sequence[str], mature: bool, cursor: str = "") -> Page:
        page = self.service.search(query, types, mature=mature, cursor=cursor)
        for found in listed(page.models):
            self._judged.setdefault((found.version.id, found.file.id or 0), self._judge(found))
        return page

    def _look_closer(self, most: int, least: float) -> Iterator[None]:
        """Ask for the uploaded names of the files that are likeliest to have been uploaded under the wanted one."""
        for found in self._unseen()[: max(0, most)]:
            if self._left <= 0 or likelihood(self.wanted, found) < least:
                return
            self._look_at(found)
            yield

    def _look_at(self, found: Listed) -> None:
        key = (found.version.id, found.file.id or 0)
        self._looked_at.add(key)
        mini = self.service.mini(found.version.id, found.file.id)
        if mini is not None:
            self._judged[key] = self._judge(found, mini.uploaded_name)

    def _unseen(self) -> list[Listed]:
        """Files whose uploaded name is not known and may be the wanted one, the likeliest first."""
        unseen = [
            one.found
            for key, one in self._judged.items()
            if key not in self._looked_at
            and not one.is_accepted
            and not keeps_uploaded_name(one.found)
            and self.wanted.suffix in ("", suffix_of(one.found.file))
            and fits(one.found.model, one.found.file, self.offers.request.folder)
        ]
        return sorted(unseen, key=lambda found: -likelihood(self.wanted, found))

    def _doubt(self) -> None:
        """One file has the name; look where others may have it as well, and be sure only where all could be seen.

        Makers choose the names of files and models without looking at each other.
        """
        words = distinctive_words(self.wanted.name)
        least = min(coverage(words, one.found) for one in self._accepted)
        for query, mature in list(self._doubts(words)):
            if self._is_ambiguous:
                return
            self._is_sure = self._left > 0
            if self._is_sure:
                self._search(query, self._types, mature=mature, deep=True)
                self._is_sure = bool(self._shown)
            if not self._is_sure:
                return
        while not self._is_ambiguous and (rivals := self._rivals(words, least)):
            self._is_sure = len(rivals) <= self._left
            if not self._is_sure:
                return
            self._look_at(rivals[0])

    def _rivals(self, words: Sequence[str], least: float) -> list[Listed]:
        """Files that may have been uploaded under the name as well.

        :param least: The share of *words* that stands in the titles of what has the name.
        """
        unseen = self._unseen()
        return [one for one in unseen if coverage(words, one) >= least and not contradicts(self.wanted, one)]

    def _doubts(self, words: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Searches that may show another file of the name, and whether each is for all levels."""
        whole = " ".join(words[:MOST_WORDS]) or self.wanted.stem
        if not self._shown:  # it was asked with fewer words than the name has
            yield whole, True
        yield self._shown or whole, False  # what is flagged as showing minors is found only so
        if len(words) <= _SHORT and not any(letter.isdigit() for letter in self.wanted.stem):
            for word in sorted(words, key=len, reverse=True):
                yield word, True

    @property
    def _accepted(self) -> list[Judged]:
        return _surest([one for one in self._judged.values() if one.is_accepted], self.wanted)

    @property
    def _is_ambiguous(self) -> bool:
        return len({one.identity for one in self._accepted}) > 1

    def _judge(self, found: Listed, uploaded: str = "") -> Judged:
        points = evidence(self.wanted, names_of(found, uploaded))
        score = points
        if not fits(found.model, found.file, self.offers.request.folder):
            score -= _MISFIT
        size = self.offers.request.size
        if size is not None and found.file.size is not None:
            score += _SAME_SIZE if found.file.size == size else -_OTHER_SIZE
        return Judged(found, points, score)

    def _concluded(self) -> tuple[Candidate, ...]:
        judged = [one for one in self._judged.values() if one.score >= _WORTH_TELLING]
        judged.sort(key=lambda one: (-one.score, one.found.version.published_at, one.found.version.id))
        accepted = sorted(self._accepted, key=judged.index)
        bytes_of = {one.identity for one in accepted}
        near = {one.identity: one for one in reversed(judged) if one.identity not in bytes_of}
        proposed = list(reversed(near.values()))[:_MOST_REPORTED]
        return (*self._told(accepted), *(self.offers.of(one.found, Match.FUZZY) for one in proposed))

    def _told(self, accepted: Sequence[Judged]) -> list[Candidate]:
        doubt = self._why_ambiguous(accepted)
        if not doubt:
            return [self.offers.of(one.found, Match.FILENAME) for one in accepted]
        folder = f" --folder {shlex.quote(self.offers.request.folder)}" if self.offers.request.folder else ""
        ways = [f"`comfywatchman get {reference_of(one.found)}{folder}`" for one in accepted[:_MOST_REPORTED]]
        obstacle = errors.Failure(
            code=errors.ErrorCode.AMBIGUOUS,
            message=f"{self.wanted.name}: {doubt}",
            hint=f"{'Choose one' if len(ways) > 1 else 'If it is meant'}: {' or '.join(ways)}.",
        )
        return [self.offers.of(one.found, Match.FILENAME, obstacle=obstacle) for one in accepted]

    def _why_ambiguous(self, accepted: Sequence[Judged]) -> str:
        """Say why the name does not decide, where the core cannot see it in the checksums."""
        if is_generic(self.wanted.name):
            return "many files are called so, and the name does not say which is meant"
        identities = {one.identity for one in accepted}
        if len(identities) > 1:
            unhashed = any(one.found.file.sha256 is None for one in accepted)
            return f"{len(identities)} files on Civitai have this name" if unhashed else ""
        if accepted and not self._is_sure:
            return "a file on Civitai has this name; others may have it as well, and not all could be looked at"
        return ""


def _surest(accepted: list[Judged], wanted: Wanted) -> list[Judged]:
    """Those that count.

    Names that a file has or had go before names that had to be reduced to be equal. What nobody may download was
    never downloaded by the author of a workflow either: it counts only where there is nothing else.
    """
    chosen = [one for one in accepted if not is_out_of_the_question(one.found)] or accepted
    chosen = [one for one in chosen if one.evidence >= COMPOSED] or chosen
    if not wanted.suffix:  # where any format would do, none that can run code
        chosen = [one for one in chosen if suffix_of(one.found.file) not in PICKLES] or chosen
    return chosen
