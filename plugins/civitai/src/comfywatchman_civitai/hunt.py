"""Look for a model by the file name that a workflow gives, with few questions and no guessing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from attrs import Factory, define, field, frozen

from comfywatchman_core import Candidate, Match, errors

from .choosing import PICKLES, suffix_of
from .folders import fits, searched_types
from .likelihood import likelihood
from .matching import COMPOSED, REDUCED, UPLOADED, Wanted, evidence
from .naming import keeps_uploaded_name, names_of
from .offers import Offers, is_out_of_the_question, reference_of
from .queries import queries
from .records import Listed, listed
from .service import Service
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
_MOST_LAST_LOOKS = 2
_THIN_PAGE = 20
"""A page with fewer models that is not the last one was thinned out by the service after the search."""

_MOST_RIVALS = 3
_RIVAL = 0.7
"""Share of the likelihood of a file that has the wanted name as its maker gave it, from which another may, too."""
_SURE_RIVAL = 0.9
"""The same against a file whose name the service composed."""
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
    _more: list[tuple[str, str]] = Factory(list)
    """Searches that have another page, with its cursor."""
    _started: int = field(init=False, default=0)
    _is_sure: bool = field(init=False, default=True)
    """No file was left unasked that is as likely to have the name as the one that has it."""

    def candidates(self) -> tuple[Candidate, ...]:
        """What bears the wanted name, best first; then what comes near, as proposals. Empty: nothing of either.

        :raises BackendError: The service could not be asked to the end.
        """
        self._started = self.service.asked
        for _ in self._questions():
            if any(one.is_accepted for one in self._judged.values()):
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
        if self._more and self._left > 0:
            query, cursor = self._more[0]
            self._search(query, self._types, mature=True, cursor=cursor)
            yield

    def _search(self, query: str, types: Sequence[str], *, mature: bool, cursor: str = "") -> None:
        page = self.service.search(query, types, mature=mature, cursor=cursor)
        for found in listed(page.models):
            key = (found.version.id, found.file.id or 0)
            if key not in self._judged:
                self._judged[key] = self._judge(found)
        if not page.next_cursor or cursor or not mature:
            return
        if len(page.models) < _THIN_PAGE and self._left > 0:
            self._search(query, types, mature=mature, cursor=page.next_cursor)
        else:
            self._more.append((query, page.next_cursor))

    def _look_closer(self, most: int, least: float) -> Iterator[None]:
        """Ask for the uploaded names of the files that are likeliest to have been uploaded under the wanted one."""
        for key, found in list(self._unseen(least))[: max(0, most)]:
            if self._left <= 0:
                return
            self._looked_at.add(key)
            mini = self.service.mini(found.version.id, found.file.id)
            if mini is not None:
                self._judged[key] = self._judge(found, mini.uploaded_name)
                yield

    def _unseen(self, least: float) -> Iterator[tuple[tuple[int, int], Listed]]:
        """Files whose uploaded name is not known and may be the wanted one, the likeliest first."""
        rated = [
            (likelihood(self.wanted, one.found), key, one.found)
            for key, one in self._judged.items()
            if key not in self._looked_at
            and not keeps_uploaded_name(one.found)
            and self.wanted.suffix in ("", suffix_of(one.found.file))
            and fits(one.found.model, one.found.file, self.offers.request.folder)
        ]
        rated.sort(key=lambda row: -row[0])
        for chance, key, found in rated:
            if chance >= least:
                yield key, found

    def _doubt(self) -> None:
        """One file has the name; look once more where others are likely to have it, too.

        Makers choose their file names without looking at each other: names as they were uploaded, and short ones
        without a number, are where two meet.
        """
        accepted = [one for one in self._judged.values() if one.is_accepted]
        if len({one.identity for one in accepted}) > 1 or is_generic(self.wanted.name):
            return
        given = [
            likelihood(self.wanted, one.found)
            for one in accepted
            if one.evidence == UPLOADED or keeps_uploaded_name(one.found)
        ]
        least = _RIVAL * max(given) if given else _SURE_RIVAL
        for _ in self._look_closer(_MOST_RIVALS, least):
            pass
        is_told_by_mini = any(one.evidence == UPLOADED for one in accepted)
        self._is_sure = not is_told_by_mini or next(self._unseen(least), None) is None
        words = distinctive_words(self.wanted.name)
        if len(words) <= _SHORT and not any(letter.isdigit() for letter in self.wanted.stem) and self._left > 0:
            self._search(max(words, key=len, default=self.wanted.stem), self._types, mature=len(words) > 1)

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
        accepted = _surest([one for one in judged if one.is_accepted], self.wanted)
        bytes_of = {one.identity for one in accepted}
        near = {one.identity: one for one in reversed(judged) if one.identity not in bytes_of}
        proposed = list(reversed(near.values()))[:_MOST_REPORTED]
        return (*self._accepted(accepted), *(self.offers.of(one.found, Match.FUZZY) for one in proposed))

    def _accepted(self, accepted: Sequence[Judged]) -> list[Candidate]:
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
        if not self._is_sure:
            return (
                "a file on Civitai was uploaded under this name; others may have been, and not all could be looked at"
            )
        identities = {one.identity for one in accepted}
        if len(identities) > 1 and any(one.found.file.sha256 is None for one in accepted):
            return f"{len(identities)} files on Civitai have this name"
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
