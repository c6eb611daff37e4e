"""From a request to a verified file under its final name: search, transfer, verify, place.

Nothing is written under a final name before the verdict, and no file that is
there is touched unless nothing can load it or the user says so.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from attrs import Factory, define, evolve, field, frozen

from .backends import failure_of
from .config import Rules
from .conversation import Conversation, Surroundings
from .errors import BackendError, Cancelled, ErrorCode, Failure, UnsafeName, error_of
from .events import StateChanged, TransferState, Warned
from .job import Job
from .models import (
    Artifact,
    Candidate,
    Digest,
    Match,
    ModelRequest,
    Verdict,
    VerificationReport,
)
from .pacing import HostGates
from .placement import destination, placed
from .report import EXIT_CODE_OF, Entry, ExitCode, Status
from .reservation import NoRoom
from .reuse import lend, same_bytes
from .room import Room
from .search import Search, confirmed
from .staging import Stage, Staging
from .standing import Standing
from .verdicts import judged, refusal
from .verify import sha256_of_file

_ENDS_THE_FILE = frozenset(
    {ErrorCode.DISK_FULL, ErrorCode.READ_ONLY, ErrorCode.BUSY, ErrorCode.CONFLICT, ErrorCode.UNSAFE_NAME}
)
"""Failures that another candidate would meet as well, unless it is :class:`NoRoom`."""

Turns = Callable[[str, Callable[[], bool]], AbstractContextManager[object]]
"""Given a source and whether the caller asked to stop: waits for the turn to transfer a file from there, which
lasts as long as the block."""


def paced(seconds: float) -> Turns:
    """Turns that begin *seconds* apart, for each source."""
    starts = HostGates(delay=seconds)

    def turn(source: str, cancelled: Callable[[], bool]) -> AbstractContextManager[object]:
        starts.pass_through(source, cancelled)
        return nullcontext()

    return turn


def is_wanted(entry: Entry, rules: Rules) -> bool:
    """Say whether what the inventory says calls for a download."""
    if entry.error is not None and entry.error.code is ErrorCode.CONFLICT:
        return rules.force
    return entry.status in (Status.MISSING, Status.CORRUPT)


def stopped(request: ModelRequest) -> Failure:
    """Why a file is not there that the caller did not wait for."""
    return Failure(
        code=ErrorCode.CANCELLED,
        message=f"{request.label}: stopped before it was complete",
        hint="Run the same command again; what has arrived is kept.",
    )


@frozen(kw_only=True)
class _Reused:
    """Bytes of this machine in a stage."""

    artifact: Artifact
    verification: VerificationReport
    source: Path
    is_same_file: bool


@define(kw_only=True)
class Delivery:
    """One run's means of getting files. Safe to use from several threads."""

    around: Surroundings
    rules: Rules
    standing: Standing
    staging: Staging = Factory(Staging)
    turns: Turns = field()
    room: Room = field(init=False)
    makes_plan: bool = False
    """Nothing is transferred: what is found is written down for others."""
    _guard: threading.RLock = field(factory=threading.RLock, init=False, repr=False)
    _locks: dict[str, threading.RLock] = field(factory=dict, init=False, repr=False)

    @turns.default
    def _own_turns(self) -> Turns:
        return paced(self.around.config.download.delay_between_downloads)

    @room.default
    def _own_room(self) -> Room:
        return Room(self.around.reservations, shares=self.around.config.download.link != "never")

    def job(
        self,
        entry: Entry,
        pinned_to: Candidate | None = None,
        *,
        first: Candidate | None = None,
        only_the_same_bytes: bool = False,
    ) -> Job:
        """Begin with one file that the inventory does not have.

        :param pinned_to: The only offer that may be taken.
        :param first: An offer that was found to be fit already: it is tried before anybody is asked.
        :param only_the_same_bytes: Take no offer but one whose digest is the one that the request states.
        """
        insists = entry.request.explicit or self.rules.force or bool(self.rules.accept_digests)
        conversation = Conversation(label=entry.request.label, around=self.around, insists=insists)
        rules = evolve(self.rules, min_match=Match.DIGEST) if only_the_same_bytes else self.rules
        search = Search(
            request=entry.request,
            conversation=conversation,
            rules=rules,
            pinned_to=pinned_to,
            first=first,
            names_sources=self.makes_plan,
        )
        return Job(entry=entry, conversation=conversation, search=search)

    def prepare(self, name: str, prepare: Callable[..., object], requests: Sequence[ModelRequest]) -> str:
        """Let one back end look at all requests at once; returns why it could not, or nothing."""
        conversation = Conversation(label="", around=self.around, insists=self.rules.force)
        return conversation.prepare(name, prepare, requests)

    def set_aside(self, job: Job) -> None:
        """Set disk space aside for the next offer while it waits for its turn, if its bytes are sure to be needed.

        Offers for which there is none beside the files that were found before are passed over.
        """
        while (offer := job.offer) is not None and job.size_of(offer) is not None:
            try:
                request = placed(job.request, offer, self.rules.folder)
                final = destination(job.entry, request, self.standing.folders)
                if not self._copies(job, offer):
                    self.room.take_if_needed(job, final, offer)
                return
            except NoRoom as error:
                if job.entry.path is None:
                    return  # nobody has looked yet whether it is there under the name that its source gives it
                self._note_failure(job, offer, error.failure)
                job.search.failed(offer, error.failure)
                job.advance()
            except BackendError:
                return  # what is wrong with it is said in its turn

    def plan(self, job: Job) -> Entry:
        """Find out what would be downloaded, from where, with which digest; transfer nothing."""
        while (offer := job.offer or job.advance()) is not None:
            job.offer = None
            found_by = offer.backend
            try:
                offer = self._confirmed_for_plan(job, offer)
                request = placed(job.request, offer, self.rules.folder)
                path = destination(job.entry, request, self.standing.folders)
                standing = self._what_stands(evolve(job.entry, request=request, path=path), offer)
                if standing is not None:
                    return job.settled(standing.status, request=request, path=standing.path, size=standing.size)
            except BackendError as error:
                failure = failure_of(error, offer.backend)
                if failure.code in _ENDS_THE_FILE:
                    return job.failed(failure)
                job.search.failed(offer, failure)
                continue
            return job.settled(
                Status.PLANNED,
                request=request,
                path=path,
                backend=found_by,
                candidate=offer,
                size=offer.size,
                sha256=offer.sha256 or job.request.sha256,
            )
        return job.failed(job.search.failure)

    def sourced(self, job: Job) -> Entry:
        """Find where the bytes of a file that is there can be had again, so that a plan can pin it."""
        while (offer := job.offer or job.advance()) is not None:
            job.offer = None
            try:
                offer = self._confirmed_for_plan(job, offer)
            except BackendError:
                continue
            return job.settled(job.entry.status, candidate=offer, error=job.entry.error)
        return job.settled(job.entry.status, error=job.entry.error)

    def deliver(self, job: Job) -> Entry:
        """Get the file, from the next offer or the one after it, until one is verified and in its place.

        :raises Cancelled: The caller asked to stop; what has arrived is kept.
        """
        refused: Failure | None = None
        while (offer := job.offer or job.advance()) is not None:
            job.offer = None
            if refused is not None:  # the bytes may lie beside the file, and nobody else speaks of them if this works
                message = f"{refused.message}; the next source is asked. {refused.hint or ''}".rstrip()
                job.conversation.emit(Warned(message=message, label=job.conversation.label))
                refused = None
            try:
                return self._noted(self._take(job, offer))
            except Cancelled:
                self._note_failure(job, offer, Failure(code=ErrorCode.CANCELLED, message="stopped"))
                raise
            except (BackendError, UnsafeName) as error:
                failure = (
                    failure_of(error, offer.backend)
                    if isinstance(error, BackendError)
                    else Failure(code=ErrorCode.UNSAFE_NAME, message=str(error), hint=error.hint)
                )
                self._note_failure(job, offer, failure)
                if failure.code in _ENDS_THE_FILE and not isinstance(error, NoRoom):
                    return job.failed(failure)
                if EXIT_CODE_OF[failure.code] is ExitCode.INTEGRITY:
                    refused = failure
                job.search.failed(offer, failure)
        entry = job.failed(job.search.failure)
        if not job.tried:
            self.around.memory.history.note(entry)
        return entry

    def _noted(self, entry: Entry) -> Entry:
        """Write down what was placed."""
        if entry.status in (Status.DOWNLOADED, Status.LINKED):
            self.around.memory.history.note(entry)
        return entry

    def _note_failure(self, job: Job, offer: Candidate, failure: Failure) -> None:
        job.tried += 1
        self.around.memory.history.note(job.failed(failure, candidate=offer))

    def _take(self, job: Job, offer: Candidate) -> Entry:
        found_by = offer.backend
        if self._has_delegate(offer):
            offer = confirmed(offer, job.request, job.conversation)
        request = placed(job.request, offer, self.rules.folder)
        final = destination(job.entry, request, self.standing.folders)
        entry = evolve(job.entry, request=request, path=final)
        with self._one_at_a_time(str(final)), self._one_at_a_time(offer.sha256 or request.sha256 or str(final)):
            standing = self._what_stands(entry, offer)
            if standing is not None:
                return job.settled(standing.status, request=request, path=standing.path, size=standing.size)
            return self._staged(job, entry, offer, final, found_by)

    def _staged(self, job: Job, entry: Entry, offer: Candidate, final: Path, found_by: str) -> Entry:
        """Claim the place, bring the bytes there, and give them their name."""
        request = entry.request
        started = time.monotonic()
        with self.staging.claim(
            final, cancelled=self.around.cancelled, on_wait=lambda reason: self._tell_waiting(job, reason)
        ) as stage:
            if stage.waited or os.path.lexists(final):  # another process may have been quicker, and be gone again
                self.standing.refresh(final)
                if (standing := self._what_stands(entry, offer)) is not None:
                    return job.settled(standing.status, request=request, path=standing.path, size=standing.size)
            reused = self._reused(job, request, offer, stage)
            if reused is None:
                self.room.take(job, final, offer)
                job.conversation.around = evolve(self.around, cancelled=lambda: stage.lost or self.around.cancelled())
                try:
                    with self.turns(found_by, self.around.cancelled):
                        artifact, verification = self._transferred(job, request, offer, stage)
                except Cancelled:
                    stage.check_owned()
                    raise
            else:
                artifact, verification = reused.artifact, reused.verification
            if os.path.lexists(final):  # another program may have put it there meanwhile
                self.standing.refresh(final)
                if (standing := self._what_stands(entry, offer)) is not None:
                    stage.discard()  # nobody would ever go on with these bytes
                    return job.settled(standing.status, request=request, path=standing.path, size=standing.size)
            self.room.give_back(job)  # all bytes have their place, which is about to get another name
            staged = stage.target.stat()
            # more than one name: the bytes are those of a file in use, whose permissions are not ours to set
            stage.publish(replace=self._replaces(job, final), keep_mode=staged.st_nlink > 1)
        self.standing.refresh(final)
        for path in (final, reused.source) if reused is not None and reused.is_same_file else (final,):
            self.standing.remember(path, staged, artifact.digests[0].value)
        self._teach(job, request, offer, artifact, verification)
        return job.settled(
            Status.DOWNLOADED if reused is None else Status.LINKED,
            request=request,
            path=final,
            backend=found_by,
            candidate=offer,
            size=artifact.size,
            sha256=artifact.digests[0].value,
            verification=verification,
            seconds=time.monotonic() - started,
        )

    def _replaces(self, job: Job, final: Path) -> bool:
        """Say whether what stands at *final* may be replaced: broken, or in the way and the user said so."""
        dangling = final.is_symlink() and not final.exists()
        return job.entry.status is Status.CORRUPT or self.rules.force or dangling

    def _copies(self, job: Job, offer: Candidate) -> list[Path]:
        """Files of this machine that may hold the bytes of *offer*, and may be used for it."""
        sha256, size = job.sha256_of(offer), job.size_of(offer)
        if self.around.config.download.link == "never" or sha256 is None or size is None:
            return []  # without a size every model on the disk would have to be hashed
        return self.standing.may_hold(sha256, size)

    def _reused(self, job: Job, request: ModelRequest, offer: Candidate, stage: Stage) -> _Reused | None:
        """Take the bytes from a file of this machine, where one has them; ``None`` where a transfer is needed."""
        how = self.around.config.download.link
        sha256, size = job.sha256_of(offer) or "", job.size_of(offer) or 0
        for source in same_bytes(self._copies(job, offer), sha256, size, self.standing.sha256_of):
            try:
                is_same_file = lend(source, stage.target, how)
            except OSError:
                continue
            # a copy is hashed again below: the disk is trusted no more than the network
            known = sha256 if is_same_file else sha256_of_file(stage.target, self.around.cancelled)
            artifact = Artifact(path=stage.target, size=stage.target.stat().st_size, digests=(Digest("sha256", known),))
            verification = judged(artifact, offer, request, job.conversation, self.rules)
            if verification.verdict is not Verdict.REFUSED:
                return _Reused(artifact=artifact, verification=verification, source=source, is_same_file=is_same_file)
            stage.target.unlink()
        return None

    @contextmanager
    def _one_at_a_time(self, key: str) -> Iterator[None]:
        """Within this run: one name is written once, and the same bytes are transferred once."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.RLock())
        while not lock.acquire(timeout=0.2):
            if self.around.cancelled():
                raise Cancelled("stopped while another file of the same bytes arrived")
        try:
            yield
        finally:
            lock.release()

    def _transferred(
        self, job: Job, request: ModelRequest, offer: Candidate, stage: Stage
    ) -> tuple[Artifact, VerificationReport]:
        """Bring the bytes into the stage and judge them. :raises BackendError: They are refused."""
        conversation = job.conversation
        held_to = evolve(
            offer,
            digests=tuple(dict.fromkeys((*request.digests, *offer.digests))),
            size=job.size_of(offer),
        )
        conversation.transfer(held_to, stage.target)
        conversation.emit(StateChanged(label=conversation.label, state=TransferState.VERIFYING))
        sha256 = conversation.witnessed_sha256(stage.target)
        artifact = Artifact(path=stage.target, size=stage.target.stat().st_size, digests=(Digest("sha256", sha256),))
        verification = judged(artifact, offer, request, conversation, self.rules)
        if verification.verdict is Verdict.REFUSED:
            error = refusal(verification, artifact, offer, stage)
            conversation.judged(held_to, error.failure)
            raise error
        conversation.judged(held_to, None)
        return artifact, verification

    def _confirmed_for_plan(self, job: Job, offer: Candidate) -> Candidate:
        """As :func:`~.search.confirmed`, but a source that cannot be asked now leaves the offer as it was."""
        if not self._has_delegate(offer):
            return offer
        try:
            return confirmed(offer, job.request, job.conversation)
        except BackendError as error:
            if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.NETWORK):
                return evolve(offer, notes=(*offer.notes, f"not confirmed: {error}"))
            raise

    def _has_delegate(self, offer: Candidate) -> bool:
        return offer.delegate in self.around.backends.names

    def _what_stands(self, entry: Entry, offer: Candidate) -> Entry | None:
        """What stands where the file belongs, if that settles the matter.

        :raises BackendError: ``conflict``: an intact file with other bytes is in the way.
        """
        asked = evolve(entry.request, digests=tuple(dict.fromkeys((*entry.request.digests, *offer.digests))))
        found = self.standing.entry(asked, place=entry.path, cancelled=self.around.cancelled)
        if found.error is not None and found.error.code is ErrorCode.CONFLICT:
            if self.rules.force:
                return None
            raise error_of(found.error)
        if found.status in (Status.PRESENT, Status.ELSEWHERE):
            return evolve(found, request=entry.request)
        return None

    def _teach(
        self,
        job: Job,
        request: ModelRequest,
        offer: Candidate,
        artifact: Artifact,
        verification: VerificationReport,
    ) -> None:
        """Let back ends that remember write down what was verified."""
        if verification.verdict is not Verdict.VERIFIED:
            return
        for name, learn in self.around.backends.with_method("learn"):
            reason = job.conversation.boxed(name, learn, request, offer, artifact.digests[0].value, artifact.size)
            if reason:  # the file is in its place: what a back end makes of it is a warning
                job.conversation.emit(Warned(message=f"{name} could not note what was downloaded: {reason}"))

    def _tell_waiting(self, job: Job, reason: str) -> None:
        job.conversation.emit(StateChanged(label=job.conversation.label, state=TransferState.WAITING, reason=reason))
