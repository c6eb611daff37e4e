"""Everything that is asked about one file, and the record of it.

A conversation lends each back end its context, hands transfers on to the
engines, and writes down every question as an attempt and as an event.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import Factory, define, evolve, field, frozen

from .addresses import origin, redact
from .backends import CORE, UNRECOVERABLE, Answer, Backends, TimedOut, failure_of
from .config import Config
from .errors import BackendError, Cancelled, ErrorCode, Failure, error_of
from .events import BackendAsked, Event, Surveyed, Warned, WorkflowRead
from .hooks import Context
from .http import ApiClient
from .models import Artifact, Attempt, Candidate, Check, ModelRequest, Outcome
from .offers import checked_offers
from .reservation import Reservations
from .staging import regular_file
from .state import Memory
from .timebox import within
from .verify import sha256_of_file


@frozen(kw_only=True)
class Surroundings:
    """What all conversations of a run share."""

    backends: Backends
    config: Config
    http: ApiClient
    emit: Callable[[Event], None]
    cancelled: Callable[[], bool]
    memory: Memory = Factory(lambda: Memory(None))
    """What earlier runs knew."""
    reservations: Reservations = Factory(Reservations)
    """Disk space that is spoken for; the core's engine shares it."""
    caches: Path = Factory(lambda self: self.config.state / "backends", takes_self=True)
    """Where each back end has a directory of its own."""


@define(kw_only=True)
class Conversation:
    """The questions about one file. Used by one thread, and by those that work on its behalf."""

    label: str
    around: Surroundings
    insists: bool = False
    """The user wants just this file, from just this source: it is asked even if it wanted to be left alone, and
    fetched even if it was refused before."""
    attempts: list[Attempt] = Factory(list)
    _emitted: int = field(default=0, init=False)
    _fetching: int = field(default=0, init=False)
    _witnessed: dict[tuple[object, ...], str] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def emit(self, event: Event) -> None:
        """Tell the listener, with this file's label where the event has none."""
        self._emitted += 1
        if not isinstance(event, (WorkflowRead, Surveyed)) and not event.label:
            event = evolve(event, label=self.label)
        self.around.emit(event)

    def lend(self, name: str, skip: frozenset[str] = frozenset()) -> Context:
        """Make the context for the back end *name*.

        :param skip: Back ends that a transfer must not be handed on to, because they handed it on themselves.
        """

        def fetch(candidate: Candidate, target: Path, *, headers: Mapping[str, str] = {}) -> Artifact:
            with self._lock:
                self._fetching += 1
            try:
                return self.transfer(candidate, target, headers=headers, skip=skip | {name})
            finally:
                with self._lock:
                    self._fetching -= 1

        return Context(
            name=name,
            settings=self.around.config.settings_of(name),
            emit=self.emit,
            fetch=fetch,
            cancelled=self.around.cancelled,
            http=self.around.http,
            cache_dir=self.around.caches / name,
            offline=self.around.config.offline,
        )

    def resolve(
        self,
        request: ModelRequest,
        *,
        only: Collection[str] | None = None,
        skip: Collection[str] = (),
        order: Sequence[str] = (),
    ) -> Iterator[Answer]:
        """Ask who knows where *request* is, one back end at a time; answers hold valid candidates only.

        :param order: Names in the order in which they are asked, where it is not the usual one.
        """
        for name in order or self.around.backends.names:
            if (only is not None and name not in only) or name in skip:
                continue
            refusal = self.resting(name)
            if refusal is not None:
                yield self._not_asked("resolve_model", name, refusal)
                continue
            for answer in self._ask(
                "resolve_model",
                only=(name,),
                seconds=self.around.config.download.timeout_seconds,
                check=lambda value, name=name: self._checked(value, name),
                request=request,
            ):
                self._heed(name, answer.attempt)
                yield answer

    def prepare(self, name: str, prepare: Callable[..., object], requests: Sequence[ModelRequest]) -> str:
        """Let the back end *name* look at all requests at once; returns why it could not, or nothing."""
        if self.resting(name):
            return ""  # each file's own question says so
        return self.boxed(name, prepare, tuple(requests))

    def boxed(self, name: str, method: Callable[..., object], *values: object) -> str:
        """Call an optional method of the back end *name* with *values* and its context, within its time.

        :returns: Why it failed, or nothing.
        :raises Cancelled: The caller asked to stop.
        """
        seconds = self.around.config.download.timeout_seconds
        try:
            within(seconds, partial(method, *values, self.lend(name)), name, self.around.cancelled)
        except UNRECOVERABLE:
            raise
        except BaseException as error:  # what is optional must not stop a run
            return failure_of(error, name).message
        return ""

    def resting(self, source: str) -> Failure | None:
        """Why *source* is left alone for now; ``None`` when it may be asked.

        :param source: A back end that searches, or an origin that transfers.
        """
        return None if self.insists else self.around.memory.rests.refusal(source)

    def judged(self, candidate: Candidate, failure: Failure | None) -> None:
        """Remember how the bytes of *candidate* were judged; ``None``: they are what was asked for.

        A refusal is an attempt that failed: whoever reads the report sees why the next source was asked.
        """
        if failure is None:
            self.around.memory.rests.lift(self._file_of(candidate))
            return
        if failure.code is ErrorCode.CHECKSUM_MISMATCH:
            self.around.memory.rests.note_refused(self._file_of(candidate), failure)
        self._record(
            Attempt(hook="verify_artifact", backend=CORE, outcome=Outcome.FAILED, seconds=0.0, failure=failure)
        )

    def _file_of(self, candidate: Candidate) -> str:
        """What is not fetched again at once when it was refused: this file, from there, held to that digest."""
        return f"{self.label} {redact(candidate.url)} {candidate.sha256 or ''}"

    def _heed(self, source: str, attempt: Attempt) -> None:
        if attempt.failure is not None:
            self.around.memory.rests.note(source, attempt.failure)
        elif attempt.outcome is Outcome.ANSWERED:
            self.around.memory.rests.lift(source)

    def _not_asked(self, hook: str, name: str, refusal: Failure) -> Answer:
        attempt = Attempt(hook=hook, backend=name, outcome=Outcome.FAILED, seconds=0.0, failure=refusal)
        self._record(attempt)
        return Answer(attempt, None, error_of(refusal))

    def _record(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.emit(BackendAsked(label=self.label, attempt=attempt))

    def transfer(
        self,
        candidate: Candidate,
        target: Path,
        *,
        headers: Mapping[str, str] | None = None,
        skip: frozenset[str] = frozenset(),
    ) -> Artifact:
        """Bring *candidate* to *target*; the back end that offered it goes first.

        :raises BackendError: Nobody could. The error is the one of whoever came nearest.
        :raises Cancelled: The caller asked to stop.
        """
        source = _origin(candidate.url)
        if (refusal := self.resting(source) or self.resting(self._file_of(candidate))) is not None:
            self._not_asked("download_artifact", candidate.backend or CORE, refusal)
            raise error_of(refusal)
        nearest: Exception | None = None
        failure: Failure | None = None
        for answer in self._ask(
            "download_artifact",
            first=candidate.backend,
            skip=skip,
            lend=lambda name: self.lend(name, skip),
            seconds=self.around.config.download.timeout_seconds,
            progress=lambda: object() if self._fetching else (self._emitted, _signature(target)),
            check=lambda value: _checked_artifact(value, target),
            candidate=candidate,
            target=target,
            headers=dict(headers or {}),
        ):
            self._heed(source, answer.attempt)
            if answer.attempt.outcome is Outcome.ANSWERED:
                artifact: Artifact = answer.value
                if answer.attempt.backend == CORE and artifact.digests:
                    self._witnessed[_signature(target)] = next(
                        digest.value for digest in artifact.digests if digest.algorithm == "sha256"
                    )
                return artifact
            if answer.error is not None:
                nearest, failure = answer.error, answer.attempt.failure
                if isinstance(nearest, TimedOut):
                    target.unlink(missing_ok=True)  # whatever its thread still writes goes nowhere
                if answer.attempt.backend == candidate.backend:
                    break  # without its headers the others would only fail, or fetch a login page
        if isinstance(nearest, BackendError):
            raise nearest
        if failure is not None:
            raise error_of(failure)
        raise BackendError(
            f"no back end can download {redact(candidate.url)[:200]}",
            hint="`comfywatchman backends` shows which are in use.",
        )

    def witnessed_sha256(self, target: Path) -> str:
        """The SHA256 of the staged file: as the core's own engine computed it, or computed here.

        What a plugin says of its own file is no evidence.
        """
        known = self._witnessed.get(_signature(target))
        return known or sha256_of_file(target, self.around.cancelled)

    def verify(self, artifact: Artifact, candidate: Candidate) -> list[Check]:
        """Ask every back end what it knows about *artifact*; one that fails vetoes."""
        checks: list[Check] = []
        for answer in self._ask(
            "verify_artifact",
            seconds=self.around.config.download.timeout_seconds,
            check=_checked_checks,
            artifact=artifact,
            candidate=candidate,
        ):
            if answer.attempt.failure is not None:
                checks.append(
                    Check(
                        name=f"verifier {answer.attempt.backend}",
                        passed=False,
                        code=ErrorCode.BACKEND_FAILED,
                        note=answer.attempt.failure.message,
                    )
                )
            checks += answer.value or ()
        return checks

    def _ask(self, hook: str, lend: Callable[[str], Context] | None = None, **options: Any) -> Iterator[Answer]:
        for answer in self.around.backends.ask(hook, lend or self.lend, **options):
            self._record(answer.attempt)
            if self.around.cancelled():
                raise Cancelled(f"stopped while looking after {self.label}")
            yield answer

    def _checked(self, value: Any, name: str) -> tuple[Candidate, ...]:
        offers, refused = checked_offers(
            value,
            name,
            settings=self.around.config.settings_of(name),
            transfers=any(
                listing.name == name and "download_artifact" in listing.hooks and name != CORE
                for listing in self.around.backends.listings
            ),
        )
        for reason in refused:
            self.emit(Warned(message=f"{name} made an offer that is not used: {reason}", label=self.label))
        if refused and not offers and name == CORE:
            hint = "If you trust that address, pass it itself: `comfywatchman get ADDRESS --folder FOLDER`."
            raise BackendError(
                f"the address it brings is not used: {refused[0]}", code=ErrorCode.UNAVAILABLE, hint=hint
            )
        if refused and not offers:
            raise BackendError(
                f"{name} made no usable offer: {refused[0]}", hint=f"This is a fault of the back end {name}."
            )
        return offers


def _origin(url: str) -> str:
    """What asks for rest when a transfer is refused: the host, whichever back end leads there."""
    try:
        return origin(url)
    except BackendError:
        return url.partition(":")[0]  # an address that only its own back end understands


def _signature(path: Path) -> tuple[object, ...]:
    """What changes when a file does."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _checked_artifact(value: Any, target: Path) -> Artifact:
    if not isinstance(value, Artifact):
        raise TypeError(f"download_artifact returned {type(value).__name__}, not an Artifact")
    if Path(value.path) != target or regular_file(target) is None:
        raise ValueError("download_artifact returned another file than the one it was asked for")
    return value


def _checked_checks(value: Any) -> Sequence[Check]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(check, Check) for check in value):
        raise TypeError("verify_artifact returned something other than a sequence of Check")
    return value
