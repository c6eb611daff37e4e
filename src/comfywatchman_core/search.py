"""From a request to the candidates that may be taken, the surest first.

A high-priority guess must not beat a low-priority certainty, one name for two
different files is reported and not decided, and the second back end is only
contacted when what the first one offered did not work out.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from attrs import Factory, define, evolve, field

from .addresses import redact
from .backends import CORE
from .config import Rules
from .conversation import Conversation
from .errors import BackendError, ErrorCode, Failure, error_of
from .models import Candidate, Digest, Match, ModelRequest, Outcome
from .names import PICKLE_EXTENSIONS, has_model_extension
from .report import EXIT_CODE_OF, PRECEDENCE

_LETS_OTHERS_TRY = frozenset(
    {ErrorCode.NOT_FOUND, ErrorCode.CHECKSUM_MISMATCH, ErrorCode.SIZE_MISMATCH, ErrorCode.NOT_A_MODEL}
)
"""Failures after which other bytes under the same name are no contradiction: nothing stands behind the offer."""

_COULD_NOT_ASK = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.NETWORK, ErrorCode.STALLED, ErrorCode.BACKEND_FAILED})

_MOST_ASKED = 12
"""Sources of one ambiguous name that are asked what their file is."""


@define(kw_only=True)
class Search:
    """The offers for one request. Iterate; say :meth:`failed` before going on with the next one."""

    request: ModelRequest
    conversation: Conversation
    rules: Rules
    pinned_to: Candidate | None = None
    """The one offer that may be taken, where a plan says which; nobody is asked for others."""
    first: Candidate | None = None
    """The offer that an earlier search found; others are asked for when it comes to nothing."""
    names_sources: bool = False
    """What is found goes into a plan, which others carry out elsewhere: a source is better than a copy near here."""
    reported: list[Candidate] = Factory(list)
    """Offers that are not taken unasked."""
    ambiguous: bool = False
    asked: int = 0
    """Back ends that looked, or tried to."""
    _failures: list[Failure] = Factory(list)
    _could_not_ask: list[Failure] = Factory(list)
    _denials: list[Failure] = Factory(list)
    """What back ends said that looked, found nothing and know why."""
    _pinned: str | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[Candidate]:
        """Yield what may be taken. The search goes on only while the consumer does.

        :raises Cancelled: The caller asked to stop.
        """
        if self.pinned_to is not None:
            self.asked += 1
            yield from self._copies_of(self.pinned_to)
            if self._may_be_taken(self.pinned_to):
                yield self.pinned_to
            return
        if self.first is not None:
            yield self.first
        only = self.rules.backends or None
        around = self.conversation.around
        backends = around.backends
        owner = backends.owner_of(self.request.url, around.config.backends.settings) if self.request.url else None
        order = backends.with_core_before_searches() if self.request.url and owner is None else ()
        if self.names_sources and (copies := backends.keeping_copies()):
            order = tuple(sorted(order or backends.names, key=lambda name: name in copies))
        skip = () if owner is None else (CORE,)
        for answer in self.conversation.resolve(self.request, only=only, skip=skip, order=order):
            if answer.attempt.outcome is not Outcome.DECLINED:
                self.asked += 1
            failure = answer.attempt.failure
            if failure is not None:
                (self._denials if failure.code is ErrorCode.NOT_FOUND else self._could_not_ask).append(failure)
            for candidate in self._in_order(answer.value or ()):
                if candidate != self.first and self._may_be_taken(candidate):
                    yield candidate

    def _copies_of(self, pinned: Candidate) -> Iterator[Candidate]:
        """The very bytes of *pinned*, from back ends that keep copies; where there are none, its source follows."""
        copies = [name for name in self.conversation.around.backends.keeping_copies() if name != pinned.backend]
        if pinned.sha256 is None or pinned.sha256 != self.request.sha256 or not copies:
            return
        for answer in self.conversation.resolve(self.request, only=copies):
            for offer in map(self._weighed, answer.value or ()):
                copy = evolve(offer, trusted=pinned.trusted)
                if copy.match is Match.DIGEST and self._objection(copy) is None and self._may_be_taken(copy):
                    yield copy

    def failed(self, candidate: Candidate, failure: Failure) -> None:
        """Record that *candidate* was tried in vain."""
        self._failures.append(failure)
        if failure.code in _LETS_OTHERS_TRY:
            return
        # The right file stays the right one where only the disk is too small for it.
        if candidate.match < Match.SOURCE_ID or failure.code is ErrorCode.DISK_FULL:
            self._pinned = self._pinned or candidate.sha256

    @property
    def failure(self) -> Failure:
        """Why nothing was taken, once the offers are used up: the most telling of all reasons."""
        name = self.request.label
        if self._failures:
            worst = _worst(self._failures)
            return self._unasked(name) if worst.code is ErrorCode.NOT_FOUND and self._could_not_ask else worst
        if self.ambiguous:
            return Failure(
                code=ErrorCode.AMBIGUOUS,
                message=f"{name}: different files have this name",
                hint=f"Choose one: {self._ways()}.",
            )
        if self._could_not_ask:
            return self._unasked(name)
        if self.reported:
            return Failure(
                code=ErrorCode.NOT_FOUND,
                message=f"{name}: no source has a file of exactly this name; {len(self.reported)} come near",
                hint=f"If one of them is meant: {self._ways()}.",
            )
        if self._denials:
            return evolve(self._denials[0], message=f"{name}: {self._denials[0].message}")
        if not self.asked:
            return Failure(
                code=ErrorCode.NOT_FOUND,
                message=f"{name}: no back end in use can look for it",
                hint="`comfywatchman backends` shows which are installed; `pip install comfywatchman` brings three.",
            )
        return Failure(
            code=ErrorCode.NOT_FOUND,
            message=f"{name}: no source knows it",
            hint="Check the name; if you know where it is, pass the address: "
            f"`comfywatchman get https://…{self._place() or ' --folder FOLDER'}`.",
        )

    def _unasked(self, name: str) -> Failure:
        """Not found while a source could not be asked is never "not found"."""
        worst = _worst(self._could_not_ask)
        if worst.code not in _COULD_NOT_ASK:
            return evolve(worst, message=f"{name}: {worst.message}")
        return Failure(
            code=ErrorCode.UNAVAILABLE,
            message=f"{name}: nobody who answered knows it, and a source could not be asked: {worst.message}",
            hint=worst.hint or "Nothing says that it does not exist: run again later.",
            http_status=worst.http_status,
            retry_after=worst.retry_after,
        )

    def _ways(self) -> str:
        # quoted: references hold names that strangers chose, and hints are pasted into shells
        ways = [
            f"`comfywatchman get {shlex.quote(redact(one.reference))}{self._place(one)}`"
            for one in self.reported
            if one.reference
        ]
        return " or ".join(dict.fromkeys(ways[:5])) or "pass its address to `comfywatchman get`"

    def _place(self, offer: Candidate | None = None) -> str:
        """The options that put *offer*, or a file that somebody finds, where the workflow looks for it."""
        folder = f" --folder {shlex.quote(self.request.folder)}" if self.request.folder else ""
        wanted = self.request.name
        if wanted is None or self.request.explicit:
            return folder
        if offer is not None:
            own = PurePosixPath(offer.name)
            # A file of another format under this name would be none that the workflow's loader reads.
            if own.name == str(wanted) or (offer.name and own.suffix.lower() != wanted.suffix.lower()):
                return folder
        return f"{folder} --as {shlex.quote(str(wanted))}"

    def _in_order(self, offers: Sequence[Candidate]) -> list[Candidate]:
        """Put the surest first, and mirrors of the same bytes behind it; find out whether the name is ambiguous."""
        weighed = [self._weighed(offer) for offer in offers]
        fit = [offer for offer in weighed if self._objection(offer) is None]
        self.reported += [
            evolve(offer, notes=(*offer.notes, objection))
            for offer in weighed
            if (objection := self._objection(offer)) is not None
        ]
        if not fit:
            return []
        best = max(offer.match for offer in fit)
        if best is Match.FILENAME:
            fit = self._told_apart(fit)
        top = [offer for offer in fit if offer.match is best]
        if best is Match.FILENAME and len({offer.sha256 for offer in top} - {None}) > 1:
            self.ambiguous = True
            self.reported += fit
            return []
        lead = top[0].sha256
        same = [offer for offer in fit if lead is None or offer.sha256 in (lead, None)]
        self.reported += [offer for offer in fit if offer not in same]
        return sorted(same, key=lambda offer: (-offer.match, offer.sha256 != lead))

    def _told_apart(self, offers: list[Candidate]) -> list[Candidate]:
        """Ask the sources of one name's offers for digests that nobody stated: mirrors and namesakes are told apart.

        A source that cannot be asked leaves its offer as it was.
        """
        named = [offer for offer in offers if offer.match is Match.FILENAME]
        unknown = [offer for offer in named if offer.sha256 is None and offer.delegate]
        if len(named) < 2:
            return offers
        stated: dict[str, Candidate] = {}
        for offer in unknown[:_MOST_ASKED]:
            try:
                found = confirmed(offer, self.request, self.conversation)
            except BackendError:
                continue
            stated[offer.reference] = evolve(offer, digests=found.digests, size=found.size)
        return [stated.get(offer.reference, offer) if offer in unknown else offer for offer in offers]

    def _weighed(self, offer: Candidate) -> Candidate:
        """Hold the claimed match to the digests: equal ones are certainty, and nothing else is."""
        common = {digest.algorithm for digest in self.request.digests} & {digest.algorithm for digest in offer.digests}
        if common and contradicting(offer.digests, self.request.digests) is None:
            return evolve(offer, match=Match.DIGEST)
        return evolve(offer, match=Match.SOURCE_ID) if offer.match > Match.SOURCE_ID else offer

    def _objection(self, offer: Candidate) -> str | None:
        """Say why *offer* is reported and not taken; ``None`` when nothing speaks against it."""
        if contradiction := contradicting(offer.digests, self.request.digests):
            stated, wanted = contradiction
            if offer.sha256 not in self.rules.accept_digests and self.request.sha256 not in self.rules.accept_digests:
                return f"it is {stated}, where {wanted} is asked for"
        if offer.match < self.rules.min_match:
            return f"its match is {offer.match.label}, and {self.rules.min_match.label} is asked for"
        if self.ambiguous and offer.match < Match.SOURCE_ID:
            return "the name is ambiguous"
        if self._pinned and offer.match < Match.SOURCE_ID and offer.sha256 not in (self._pinned, None):
            return "another source has different bytes under this name"
        return None

    def _may_be_taken(self, offer: Candidate) -> bool:
        if offer.obstacle is not None:
            self.reported.append(offer)
            self.failed(offer, offer.obstacle)
            return False
        if self._is_unasked_pickle(offer):
            self.reported.append(offer)
            self.failed(offer, _pickle_refused(self.request, offer))
            return False
        return True

    def _is_unasked_pickle(self, offer: Candidate) -> bool:
        name = self.request.name if self.request.name and has_model_extension(self.request.name) else offer.name
        if not str(name).lower().endswith(tuple(PICKLE_EXTENSIONS)) or self.rules.allow_pickle:
            return False
        own_address = self.request.url is not None and offer.match >= Match.SOURCE_ID
        return not (offer.trusted or self.request.explicit or own_address)


def contradicting(one: Sequence[Digest], other: Sequence[Digest]) -> tuple[Digest, Digest] | None:
    """Find two digests of one algorithm that differ; digests cut to different lengths are compared on the shorter."""
    for mine in one:
        for theirs in other:
            if mine.algorithm == theirs.algorithm:
                length = min(len(mine.value), len(theirs.value))
                if mine.value[:length] != theirs.value[:length]:
                    return mine, theirs
    return None


def _pickle_refused(request: ModelRequest, offer: Candidate) -> Failure:
    return Failure(
        code=ErrorCode.PICKLE_REFUSED,
        message=f"{request.label}: a file of this format can run code, and only its name was asked for",
        hint="If you trust the source, run again with --allow-pickle"
        + (f", or pass {shlex.quote(redact(offer.reference))}." if offer.reference else "."),
    )


def _worst(failures: Sequence[Failure]) -> Failure:
    """The failure that decides the exit code."""
    return min(failures, key=lambda failure: PRECEDENCE.index(EXIT_CODE_OF[failure.code]))


def confirmed(offer: Candidate, request: ModelRequest, conversation: Conversation) -> Candidate:
    """Have the back end that *offer* delegates to confirm it, and return that back end's own candidate.

    :raises BackendError: The source does not have the file any more, states other bytes, or cannot be asked.
    """
    asked = evolve(
        request,
        reference=offer.reference,
        url=None,
        hints=(),
        digests=tuple(dict.fromkeys((*request.digests, *offer.digests))),
        size=offer.size if offer.size is not None else request.size,
    )
    for answer in conversation.resolve(asked, only=(offer.delegate,)):
        if answer.attempt.failure is not None:
            raise error_of(answer.attempt.failure)
        offers: tuple[Candidate, ...] = answer.value or ()
        for found in offers:
            if contradiction := contradicting(found.digests, offer.digests):
                stated, wanted = contradiction
                raise BackendError(
                    f"{offer.reference} changed at its source: it is {stated} there, where {wanted} is known",
                    code=ErrorCode.CHECKSUM_MISMATCH,
                    hint=f"If the new file is wanted, pass {shlex.quote(redact(offer.reference))}"
                    + (f" with --accept-digest {found.sha256}." if found.sha256 else "."),
                )
            if found.obstacle is not None:
                raise error_of(found.obstacle)
            return evolve(
                found,
                match=max(offer.match, found.match),
                digests=tuple(dict.fromkeys((*found.digests, *offer.digests))),
                size=found.size if found.size is not None else offer.size,
                trusted=offer.trusted,
                notes=(*offer.notes, *found.notes),
            )
    raise BackendError(
        f"{offer.delegate} does not know {offer.reference}", code=ErrorCode.NOT_FOUND, hint="It may have been removed."
    )
