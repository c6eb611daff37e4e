"""Look for a model by the file name that a workflow gives, with few questions and no guessing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import Factory, define, field, frozen

from comfywatchman_core import Candidate, Match, errors

from .choosing import PICKLES, suffix_of
from .folders import fits, searched_types
from .likelihood import likelihood
from .naming import COMPOSED, REDUCED, Wanted, evidence, keeps_uploaded_name, names_of
from .offers import Offers, reference_of
from .queries import queries
from .records import Listed, ModelRecord, listed
from .service import Service

_MISFIT = 30
_OTHER_SIZE = 40
_SAME_SIZE = 10
_WORTH_TELLING = 30
"""Points from which a name is near enough to be reported."""
_MOST_REPORTED = 5
_WORTH_A_LOOK = 0.75
"""Likelihood from which the uploaded name of a file is asked for before the next search."""


@frozen
class Judged:
    """A file, and what speaks for it."""

    found: Listed
    evidence: int
    """How well its names agree with the wanted one; see :func:`naming.evidence`."""
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
    _models: dict[int, ModelRecord] = Factory(dict)
    _uploaded: dict[int, str] = Factory(dict)
    """File id → its uploaded name, as far as asked."""
    _started: int = field(init=False, default=0)

    def candidates(self) -> tuple[Candidate, ...]:
        """What bears the wanted name, best first; then what comes near, as proposals. Empty: nothing of either."""
        self._started = self.service.asked
        for _ in self._questions():
            if any(one.is_accepted for one in self._judged()):
                break
        return self._concluded()

    @property
    def _left(self) -> int:
        return self.budget - (self.service.asked - self._started)

    def _questions(self) -> Iterator[None]:
        """Ask one question after the other; the caller stops when one brought what is wanted."""
        folder = self.offers.request.folder
        types = searched_types(folder)
        ladder = queries(self.wanted, folder)
        for index, query in enumerate(ladder):
            if self._left <= 0:
                return
            self._search(query, types, mature=True)
            yield
            if index == 0:
                yield from self._look_closer(2, _WORTH_A_LOOK)
        for mature, kinds in ((False, types), (True, ())):
            if ladder and self._left > 0:
                self._search(ladder[0], kinds, mature=mature)
                yield
        yield from self._look_closer(self._left, 0.3)

    def _search(self, query: str, types: Sequence[str], *, mature: bool) -> None:
        page = self.service.search(query, types, mature=mature)
        for model in page.models:
            if model.id is not None:
                self._models.setdefault(model.id, model)

    def _look_closer(self, most: int, least: float) -> Iterator[None]:
        """Ask for the uploaded names of the files that are likeliest to have been uploaded under the wanted one."""
        rated = [
            (likelihood(self.wanted, one), one)
            for one in listed(self._models.values())
            if one.file.id is not None
            and one.file.id not in self._uploaded
            and not keeps_uploaded_name(one.model, one.file)
            and suffix_of(one.file) == self.wanted.suffix
            and fits(one.model, one.file, self.offers.request.folder)
        ]
        rated.sort(key=lambda pair: -pair[0])
        for chance, one in rated[: max(0, most)]:
            if chance < least or self._left <= 0:
                return
            mini = self.service.mini(one.version.id, one.file.id)
            self._uploaded[one.file.id or 0] = mini.uploaded_name if mini else ""
            yield

    def _judged(self) -> list[Judged]:
        """Every file seen so far, the best first."""
        judged = [self._judge(one) for one in listed(self._models.values())]
        return sorted(judged, key=lambda one: (-one.score, one.found.version.published_at, one.found.version.id))

    def _judge(self, found: Listed) -> Judged:
        points = evidence(self.wanted, names_of(found, self._uploaded.get(found.file.id or 0, "")))
        score = points
        if not fits(found.model, found.file, self.offers.request.folder):
            score -= _MISFIT
        size = self.offers.request.size
        if size is not None and found.file.size is not None:
            score += _SAME_SIZE if found.file.size == size else -_OTHER_SIZE
        return Judged(found, points, score)

    def _concluded(self) -> tuple[Candidate, ...]:
        judged = [one for one in self._judged() if one.score >= _WORTH_TELLING]
        accepted = _surest([one for one in judged if one.is_accepted], self.wanted)
        near = [one for one in judged if one not in accepted][:_MOST_REPORTED]
        return (*self._accepted(accepted), *(self.offers.of(one.found, Match.FUZZY) for one in near))

    def _accepted(self, accepted: Sequence[Judged]) -> list[Candidate]:
        identities = {one.identity for one in accepted}
        obstacle = None
        if len(identities) > 1 and any(one.found.file.sha256 is None for one in accepted):
            # Without all checksums nobody else can see that these are different files.
            ways = " or ".join(reference_of(one.found) for one in accepted[:_MOST_REPORTED])
            obstacle = errors.Failure(
                code=errors.ErrorCode.AMBIGUOUS,
                message=f"{len(identities)} files on Civitai have the name {self.wanted.name}",
                hint=f"Choose one: {ways}.",
            )
        return [self.offers.of(one.found, Match.FILENAME, obstacle=obstacle) for one in accepted]


def _surest(accepted: list[Judged], wanted: Wanted) -> list[Judged]:
    """Those that count: names that a file has or had go before names that had to be reduced to be equal."""
    exact = [one for one in accepted if one.evidence >= COMPOSED] or accepted
    if not wanted.suffix:  # where any format would do, none that can run code
        exact = [one for one in exact if suffix_of(one.found.file) not in PICKLES] or exact
    return exact
