"""From a request to a verified file under its final name: search, transfer, verify, place.

Nothing is written under a final name before the verdict, and no file that is
there is touched unless nothing can load it or the user says so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from attrs import Factory, define, evolve, field

from .addresses import redact
from .backends import failure_of
from .config import Rules
from .conversation import Conversation, Surroundings
from .errors import BackendError, Cancelled, ErrorCode, Failure, UnsafeName
from .events import StateChanged, TransferState, Warned
from .models import (
    Artifact,
    Candidate,
    Check,
    Digest,
    ModelRequest,
    Verdict,
    VerificationReport,
)
from .names import MODEL_EXTENSIONS, has_model_extension, safe_basename
from .pacing import HostGates
from .report import EXIT_CODE_OF, PRECEDENCE, Entry, Status
from .search import Search, confirmed, error_of
from .staging import Stage, Staging
from .standing import Standing
from .verify import built_in_checks

_ENDS_THE_FILE = frozenset(
    {ErrorCode.DISK_FULL, ErrorCode.READ_ONLY, ErrorCode.BUSY, ErrorCode.CONFLICT, ErrorCode.UNSAFE_NAME}
)
"""Failures that another candidate would meet as well."""


@define(kw_only=True)
class Job:
    """One missing file on its way: its search, and the offer that is next."""

    entry: Entry
    """What the inventory said."""
    conversation: Conversation
    search: Search
    _offers: Iterator[Candidate] = field(init=False)
    offer: Candidate | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._offers = iter(self.search)

    @property
    def request(self) -> ModelRequest:
        return self.entry.request

    def advance(self) -> Candidate | None:
        """Search on; ``None`` when nobody offers anything more."""
        self.offer = next(self._offers, None)
        return self.offer

    def settled(self, status: Status, **changes: object) -> Entry:
        """The entry of this job's end."""
        known: dict[str, object] = {
            "status": status,
            "attempts": tuple(self.conversation.attempts),
            "candidates": tuple(self.search.reported),
        }
        return evolve(self.entry, **{**known, **changes})  # type: ignore[arg-type]

    def failed(self, failure: Failure, **changes: object) -> Entry:
        """The entry of a job that came to nothing. What is present or corrupt stays what it was on disk."""
        return self.settled(Status.FAILED, error=failure, **changes)


@define(kw_only=True)
class Delivery:
    """One run's means of getting files. Safe to use from several threads."""

    around: Surroundings
    rules: Rules
    standing: Standing
    staging: Staging = Factory(Staging)
    _starts: HostGates = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._starts = HostGates(delay=self.around.config.download.delay_between_downloads)

    def job(self, entry: Entry) -> Job:
        """Begin with one file that the inventory does not have."""
        conversation = Conversation(label=entry.request.label, around=self.around)
        search = Search(request=entry.request, conversation=conversation, rules=self.rules)
        return Job(entry=entry, conversation=conversation, search=search)

    def prepare(self, name: str, prepare: Callable[..., object], requests: Sequence[ModelRequest]) -> str:
        """Let one back end look at all requests at once; returns why it could not, or nothing."""
        conversation = Conversation(label="", around=self.around)
        try:
            prepare(tuple(requests), conversation.lend(name))
        except Cancelled:
            raise
        except Exception as error:  # what could not be prepared is asked one by one
            return failure_of(error, name).message
        return ""

    def plan(self, job: Job) -> Entry:
        """Find out what would be downloaded, from where, with which digest; transfer nothing."""
        while (offer := job.offer or job.advance()) is not None:
            job.offer = None
            try:
                offer = self._confirmed_for_plan(job, offer)
                request = self._placed(job.request, offer)
                path = self._destination(request)
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
                backend=offer.backend,
                candidate=offer,
                size=offer.size,
                sha256=offer.sha256 or job.request.sha256,
            )
        return job.failed(job.search.failure)

    def deliver(self, job: Job) -> Entry:
        """Get the file, from the next offer or the one after it, until one is verified and in its place.

        :raises Cancelled: The caller asked to stop; what has arrived is kept.
        """
        while (offer := job.offer or job.advance()) is not None:
            job.offer = None
            try:
                return self._take(job, offer)
            except (BackendError, UnsafeName) as error:
                failure = (
                    failure_of(error, offer.backend)
                    if isinstance(error, BackendError)
                    else Failure(code=ErrorCode.UNSAFE_NAME, message=str(error), hint=error.hint)
                )
                if failure.code in _ENDS_THE_FILE:
                    return job.failed(failure)
                job.search.failed(offer, failure)
        return job.failed(job.search.failure)

    def _take(self, job: Job, offer: Candidate) -> Entry:
        found_by = offer.backend
        if self._has_delegate(offer):
            offer = confirmed(offer, job.request, job.conversation)
        request = self._placed(job.request, offer)
        final = self._destination(request)
        entry = evolve(job.entry, request=request, path=final)
        standing = self._what_stands(entry, offer)
        if standing is not None:
            return job.settled(standing.status, request=request, path=standing.path, size=standing.size)
        self._starts.pass_through(found_by, self.around.cancelled)
        started = time.monotonic()
        with self.staging.claim(
            final, cancelled=self.around.cancelled, on_wait=lambda reason: self._tell_waiting(job, reason)
        ) as stage:
            if stage.waited or os.path.lexists(final):
                self.standing.refresh(final)
                standing = self._what_stands(entry, offer)
                if standing is not None:
                    return job.settled(standing.status, request=request, path=standing.path, size=standing.size)
            artifact, verification = self._transferred(job, request, offer, stage)
            stage.publish(replace=os.path.lexists(final))
        self.standing.refresh(final)
        self._teach(job, request, offer, artifact, verification)
        return job.settled(
            Status.DOWNLOADED,
            request=request,
            path=final,
            backend=found_by,
            candidate=offer,
            size=artifact.size,
            sha256=artifact.digests[0].value,
            verification=verification,
            seconds=time.monotonic() - started,
        )

    def _transferred(
        self, job: Job, request: ModelRequest, offer: Candidate, stage: Stage
    ) -> tuple[Artifact, VerificationReport]:
        """Bring the bytes into the stage and judge them. :raises BackendError: They are refused."""
        conversation = job.conversation
        held_to = evolve(
            offer,
            digests=tuple(dict.fromkeys((*request.digests, *offer.digests))),
            size=offer.size if offer.size is not None else request.size,
        )
        conversation.transfer(held_to, stage.target)
        conversation.emit(StateChanged(label=conversation.label, state=TransferState.VERIFYING))
        sha256 = conversation.witnessed_sha256(stage.target)
        artifact = Artifact(path=stage.target, size=stage.target.stat().st_size, digests=(Digest("sha256", sha256),))
        verification = self._judged(artifact, offer, request, conversation)
        if verification.verdict is Verdict.REFUSED:
            raise self._refused(verification, artifact, offer, stage)
        return artifact, verification

    def _judged(
        self, artifact: Artifact, offer: Candidate, request: ModelRequest, conversation: Conversation
    ) -> VerificationReport:
        accepted = artifact.digests[0].value in self.rules.accept_digests
        compare = self.around.config.download.verify_hashes
        checks = built_in_checks(
            artifact,
            offer,
            request,
            name=str(request.name),
            compare=compare,
            accepted=self.rules.accept_digests,
            cancelled=self.around.cancelled,
        )
        checks += [
            check
            for check in conversation.verify(artifact, offer)
            if not (check.cryptographic and (accepted or not compare))
        ]
        report = VerificationReport(tuple(checks))
        if self.rules.require_checksum and report.verdict is Verdict.UNVERIFIED:
            missing = Check(
                name="checksum", passed=False, code=ErrorCode.NO_CHECKSUM, note="no published checksum speaks for it"
            )
            report = VerificationReport((*checks, missing))
        return report

    def _refused(
        self, verification: VerificationReport, artifact: Artifact, offer: Candidate, stage: Stage
    ) -> BackendError:
        """Put the bytes aside, or drop them where they are no model at all, and say what speaks against them."""
        failed = [check for check in verification.checks if not check.passed]
        code, worst = min(((_code_of(check), check) for check in failed), key=lambda pair: _rank(pair[0]))
        sha256 = artifact.digests[0].value
        message = f"what {redact(offer.url)} sent is refused: {worst.note or worst.name}"
        if code in (ErrorCode.CHECKSUM_MISMATCH, ErrorCode.SIZE_MISMATCH):
            kept = stage.quarantine(sha256)
            hint = (
                f"It is kept as {kept.name}; if these are the bytes you want, run again with --accept-digest {sha256}."
            )
        else:
            stage.discard()
            hint = {
                ErrorCode.NO_CHECKSUM: "Leave out --require-checksum to take it unverified.",
                ErrorCode.NOT_A_MODEL: "The source may want a token, or the address leads to a web page.",
            }.get(code, "Another source may have it.")
        return BackendError(message, code=code, hint=hint)

    def _confirmed_for_plan(self, job: Job, offer: Candidate) -> Candidate:
        """As :func:`~.search.confirmed`, but a source that cannot be asked now leaves the offer as it was."""
        if not self._has_delegate(offer):
            return offer
        try:
            return evolve(confirmed(offer, job.request, job.conversation), backend=offer.backend)
        except BackendError as error:
            if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.NETWORK):
                return evolve(offer, notes=(*offer.notes, f"not confirmed: {error}"))
            raise

    def _has_delegate(self, offer: Candidate) -> bool:
        return offer.delegate in self.around.backends.names and offer.delegate != offer.backend

    def _placed(self, request: ModelRequest, offer: Candidate) -> ModelRequest:
        """Give the request the name and folder that only its source knew.

        :raises BackendError: Nothing says which folder, or no model file would result.
        """
        name = request.name
        if name is None:
            if not offer.name:
                raise BackendError(
                    f"{request.label} does not say a file name",
                    code=ErrorCode.NOT_FOUND,
                    hint="Pass an address that ends in the file's name.",
                )
            name = safe_basename(offer.name)
        suffix = PurePosixPath(offer.name).suffix.lower()
        if not has_model_extension(name) and suffix in MODEL_EXTENSIONS:
            name = name.with_name(name.name + suffix)
        if not has_model_extension(name):
            raise BackendError(
                f"{name} is not written: it does not end like a model file",
                code=ErrorCode.UNSAFE_NAME,
                hint=f"Model files end in {', '.join(sorted(MODEL_EXTENSIONS))}.",
            )
        folder = request.folder or self.rules.folder or offer.folder
        if not folder:
            raise BackendError(
                f"nothing says which folder {name} belongs to",
                code=ErrorCode.CONFLICT,
                hint="Run again with --folder, for example `--folder loras`.",
            )
        return evolve(request, name=name, folder=self.standing.folders.canonical(folder))

    def _destination(self, request: ModelRequest) -> Path:
        assert request.name is not None
        try:
            return self.standing.folders.destination(request.folder, request.name)
        except UnsafeName as error:
            raise BackendError(str(error), code=ErrorCode.UNSAFE_NAME, hint=error.hint) from error

    def _what_stands(self, entry: Entry, offer: Candidate) -> Entry | None:
        """What stands where the file belongs, if that settles the matter.

        :raises BackendError: ``conflict``: an intact file with other bytes is in the way.
        """
        asked = evolve(entry.request, digests=tuple(dict.fromkeys((*entry.request.digests, *offer.digests))))
        found = self.standing.entry(asked, cancelled=self.around.cancelled)
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
            try:
                learn(request, offer, artifact.digests[0].value, artifact.size, job.conversation.lend(name))
            except Cancelled:
                raise
            except Exception as error:  # the file is in its place: what a back end makes of it is a warning
                message = f"{name} could not note what was downloaded: {failure_of(error, name).message}"
                job.conversation.emit(Warned(message=message))

    def _tell_waiting(self, job: Job, reason: str) -> None:
        job.conversation.emit(StateChanged(label=job.conversation.label, state=TransferState.WAITING, reason=reason))


def _code_of(check: Check) -> ErrorCode:
    try:
        return ErrorCode(check.code)
    except ValueError:
        return ErrorCode.CHECKSUM_MISMATCH if check.cryptographic else ErrorCode.NOT_A_MODEL


def _rank(code: ErrorCode) -> tuple[int, int]:
    """The order in which failed checks are told: what says most about the bytes first."""
    telling = (ErrorCode.NOT_A_MODEL, ErrorCode.CHECKSUM_MISMATCH, ErrorCode.SIZE_MISMATCH)
    return (telling.index(code) if code in telling else len(telling), PRECEDENCE.index(EXIT_CODE_OF[code]))
