"""One run: what is named is read, looked up on disk, and what is missing is fetched, several files at a time."""

from __future__ import annotations

import fnmatch
import heapq
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from .addresses import printable, redact, redact_text
from .backends import Backends
from .config import Config, Rules
from .conversation import Surroundings
from .delivery import Delivery, is_wanted, stopped
from .errors import BackendError, Cancelled, ErrorCode, Failure, UsageError
from .events import Event, FileSettled, Queued, Surveyed, Warned
from .folders import ModelFolders
from .http import ApiClient
from .intake import Intake, installed_workflows, take_in
from .job import Job
from .leftovers import tidy
from .merging import digest_conflicts
from .models import Candidate, Digest, ModelRequest
from .report import Entry, Problem, Report, Status
from .reservation import Reservations
from .staging import Staging, staging_place
from .standing import Standing
from .state import Memory
from .steps import Orders, Settled, Step, carry_out
from .telling import Telling
from .wording import advice

if TYPE_CHECKING:
    from .planfile import Plan
    from .server import Installation

logger = logging.getLogger(__name__)

What = str | os.PathLike[str]

_IS_THERE = (Status.PRESENT, Status.ELSEWHERE)

_UNDER_WAY = 256
"""Files that are handed to somebody else's executor at a time: more than its workers, so that none is idle."""
_LOOK = 0.2
"""Seconds after which a thread that waits for an executor looks whether the caller asked to stop."""


class Run:
    """One run: its listener, its entries in the making, its threads.

    :param surroundings: Makes what a search and a transfer need, given this run's way of telling and of
        being stopped. Not called by a scan, which needs no back end.
    :param client: Makes the client that a running ComfyUI is asked through, where the settings name one.
    :param executor: Carries out the steps; without one, threads of this run do.
    """

    def __init__(
        self,
        config: Config,
        surroundings: Callable[[Callable[[Event], None], Callable[[], bool]], Surroundings],
        client: Callable[[Callable[[], bool]], ApiClient],
        on_event: Callable[[Event], None] | None,
        cancel: Callable[[], bool] | threading.Event | None,
        executor: Executor | None = None,
    ) -> None:
        self._executor = executor
        self._config = config
        self._surroundings = surroundings
        self._client = client
        self._telling = Telling(on_event) if on_event is not None else None
        self._cancel = cancel.is_set if isinstance(cancel, threading.Event) else cancel or (lambda: False)
        self._stop = threading.Event()
        self._counting = threading.Lock()
        self._entries: dict[int, Entry] = {}
        self._place: dict[int, int] = {}
        self._problems: list[Problem] = []
        self._offers: dict[int, Candidate | None] = {}
        self._transferred = 0
        self.memory = Memory(config.state, tell=lambda message: self.emit(Warned(message=message)))

    def __enter__(self) -> Run:
        if self._telling is not None:
            self._telling.begin()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.memory.close()  # it may have something to tell
        finally:
            if self._telling is not None:
                self._telling.end()

    def surroundings(self) -> Surroundings:
        """What a search and a transfer need; loads the back ends."""
        return evolve(self._surroundings(self.emit, self.cancelled), memory=self.memory)

    @property
    def _rules(self) -> Rules:
        return self._config.rules

    def cancelled(self) -> bool:
        return self._stop.is_set() or self._cancel()

    def emit(self, event: Event) -> None:
        """Have the listener told."""
        if isinstance(event, FileSettled) and event.entry.status is Status.DOWNLOADED:
            with self._counting:
                self._transferred += event.entry.size or 0
        if self._telling is not None:
            self._telling(event)

    def carry_out(
        self, intake: Intake, entries: Sequence[Entry], *, transfer: bool, pin_present: bool = False
    ) -> Report:
        """Get, or plan, what is not there."""
        pinned = {id(entry.request) for entry in entries if pin_present and entry.status in _IS_THERE}
        wanted = [entry for entry in entries if is_wanted(entry, self._rules) or id(entry.request) in pinned]
        open_ends = {id(entry.request) for entry in wanted}
        needed = sum(entry.status not in (Status.INACTIVE, Status.SKIPPED) for entry in entries)
        self.emit(Surveyed(needed=needed, missing=sum(is_wanted(entry, self._rules) for entry in wanted)))
        for entry in entries:
            if id(entry.request) not in open_ends:
                if transfer and entry.status is Status.PRESENT and entry.path is not None:
                    tidy(entry.path)
                self.settle(entry)
        if wanted:
            self.fetch(wanted, transfer=transfer)
        if not transfer:
            self._warn_of_space()
        return self.report(intake)

    def _warn_of_space(self) -> None:
        """Tell of the planned files for which there is no room beside those before them."""
        reservations, planned = Reservations(), set()
        for place in sorted(self._entries):
            entry = self._entries[place]
            sha256, size = entry.sha256, entry.size
            if entry.status is not Status.PLANNED or entry.path is None or size is None:
                continue
            if sha256 and self._config.download.link != "never":
                if sha256 in planned or self.standing.may_hold(sha256, size):
                    continue  # it would be linked
                planned.add(sha256)
            try:
                reservations.reserve(staging_place(entry.path), size)
            except BackendError as error:
                self.emit(Warned(message=f"it would find no room: {error}", label=entry.request.label))

    def look_at(self, plan: Plan) -> tuple[Intake, list[Entry]]:
        """Find out what of *plan* is there."""
        installation = self._installation()
        self.standing = self._standing(self._folders(installation), installation)
        entries = []
        for one in plan.files:
            entry = self.standing.entry(one.request, cancelled=self.cancelled)
            self._offers[id(entry.request)] = one.offer
            entries.append(entry)
        self._place = {id(entry.request): index for index, entry in enumerate(entries)}
        return Intake(), entries

    def look(self, what: What | Iterable[What]) -> tuple[Intake, list[Entry]]:
        """Read what is wanted and find out what is there."""
        installation = self._installation()
        folders = self._folders(installation)
        named = [what] if isinstance(what, (str, os.PathLike)) else list(what)
        if not named:
            named = [self._default_workflows()]
        intake = take_in(
            named,
            folders,
            folder=self._rules.folder,
            name=self._rules.name,
            loaders=installation.loaders if installation else None,
            emit=self.emit,
            cancelled=self.cancelled,
        )
        self.standing = self._standing(folders, installation)
        requests = intake.merged()
        self._problems += digest_conflicts(requests)
        self.standing.inventory.prepare(requests)
        entries = []
        for request in requests:
            if not request.active and not self._rules.include_inactive:
                status: Status = Status.INACTIVE
            elif not self._is_chosen(request):
                status = Status.SKIPPED
            else:
                entries.append(self.standing.entry(request, cancelled=self.cancelled))
                continue
            path = self.standing.entry(evolve(request, digests=())).path
            entries.append(Entry(request=request, status=status, path=path))
        self._place = {id(entry.request): index for index, entry in enumerate(entries)}
        return intake, entries

    def _installation(self) -> Installation | None:
        """What the running ComfyUI that the user names says of itself; told once where it does not answer."""
        if self._config.server is None:
            return None
        from .server import ask_server

        try:
            return ask_server(self._config.server, self._client(self.cancelled))
        except BackendError as error:
            message = f"the ComfyUI at {redact(self._config.server)} was not asked: {error}"
            hint = "The packaged table of loaders is used in its place."
            self._problems.append(Problem(about="server", message=message, hint=hint, code="server"))
            self.emit(Warned(message=f"{message}; {hint}"))
            return None

    def _folders(self, installation: Installation | None) -> ModelFolders:
        """The running ComfyUI's own folders where they are on this machine, else those of the settings."""
        if installation is not None and installation.folders is not None:
            return installation.folders
        return model_folders(self._config)

    def _standing(self, folders: ModelFolders, installation: Installation | None) -> Standing:
        listed = installation.listed if installation else None
        return Standing.of(folders, self.memory, self._rules.accept_digests, listed=listed)

    def settle(self, entry: Entry, *, place: int | None = None, label: str = "") -> None:
        """Enter what became of a file.

        :param label: What its other events were told under; a reference has got a name by now.
        """
        if entry.error is not None:
            entry = evolve(entry, error=evolve(entry.error, hint=advice(entry.error)))
        self._entries[self._place[id(entry.request)] if place is None else place] = entry
        self.emit(FileSettled(label=label or entry.request.label, entry=entry))
        if entry.error is not None and self._rules.fail_fast:
            self._stop.set()

    def fetch(self, wanted: Sequence[Entry], *, transfer: bool) -> None:
        """Search and transfer, several files at a time, the largest of those that were found first."""
        around = self.surroundings()
        self._check_named(around.backends)
        self._problems += [
            Problem(about=one.name, message=f"back end {one.name} is not used: {one.reason}", code="backend")
            for one in around.backends.problems
        ]
        staging = Staging()
        delivery = Delivery(
            around=around, rules=self._rules, standing=self.standing, staging=staging, makes_plan=not transfer
        )
        self._prepare(delivery, [entry.request for entry in wanted])
        found: list[tuple[int, int, Job]] = []
        lock = threading.Lock()
        transfers: list[Future[None]] = []
        jobs = self._config.download.jobs
        orders = Orders.of(self._config, self.standing.folders)

        def first_offer(job: Job) -> None:
            job.advance()
            if transfer:
                delivery.set_aside(job)

        def search(entry: Entry) -> None:
            place = self._place[id(entry.request)]
            job = self._job(delivery, entry)
            if not self._guarded(place, job, lambda: first_offer(job)):
                return
            if job.offer is None:  # nothing to transfer: a failure is told, and stops a run that wants it, at once
                finish(place, job)
                return
            if job.entry.status not in _IS_THERE:
                self.emit(Queued(label=job.request.label, candidate=job.offer))
            with lock:
                heapq.heappush(found, (-(job.offer.size or 0), place, job))
                transfers.append(carriers.submit(carry))

        def carry() -> None:
            with lock:
                _, place, job = heapq.heappop(found)
            finish(place, job)

        def finish(place: int, job: Job) -> None:
            step = delivery.deliver if transfer else delivery.plan
            if transfer and self._executor is not None:
                step = partial(self._handed_over, self._executor, orders, delivery)
            if job.entry.status in _IS_THERE:
                step = delivery.sourced
            try:
                self._guarded(place, job, lambda: self.settle(step(job), place=place, label=job.request.label))
            finally:
                delivery.room.give_back(job)

        try:
            with (
                ThreadPoolExecutor(_UNDER_WAY if self._executor else jobs, thread_name_prefix="transfer") as carriers,
                ThreadPoolExecutor(jobs, thread_name_prefix="search") as seekers,
            ):
                try:
                    # Not for one after the other: this thread would wake up for each file.
                    for at_work in ([seekers.submit(search, entry) for entry in wanted], transfers):
                        for one in wait(at_work, return_when=FIRST_EXCEPTION).done:
                            one.result()
                except BaseException:  # Ctrl-C in a program that has no handler for it: leave no thread at work
                    self._stop.set()
                    raise
        finally:
            staging.close()

    def _handed_over(self, executor: Executor, orders: Orders, delivery: Delivery, job: Job) -> Entry:
        """Have the step carried out elsewhere; tell what happened there when it is over."""
        planned = id(job.request) in self._offers
        step = Step.of_search(orders, job.request, job.offer, planned=planned) if job.offer else None
        if step is None:
            return delivery.deliver(job)
        try:
            future: Future[Settled] = executor.submit(carry_out, step)
            while not wait([future], _LOOK).done:
                if self.cancelled():
                    future.cancel()
                    raise Cancelled("stopped while it was carried out elsewhere")
            settled = future.result()
        except BrokenExecutor as error:
            failure = Failure(
                code=ErrorCode.BACKEND_FAILED,
                message=f"{job.request.label}: the worker that had it was lost: {error}",
                hint="Run again: what has arrived is kept.",
            )
            return job.failed(failure)
        for event in settled.events:
            self.emit(event)
        attempts = (*job.conversation.attempts, *settled.entry.attempts)
        placed = settled.entry.request
        request = evolve(job.request, name=placed.name, folder=placed.folder)
        return evolve(settled.entry, request=request, attempts=attempts)

    def _check_named(self, backends: Backends) -> None:
        """:raises UsageError: A back end that the user wants asked, and no other, is not in use."""
        for name in self._rules.backends:
            if name not in backends.names:
                reason = next((one.reason for one in backends.listings if one.name == name and one.reason), "")
                raise UsageError(
                    f"back end {printable(name)} cannot be asked: {reason or 'it is not installed'}",
                    hint="`comfywatchman backends` shows which there are.",
                )

    def _job(self, delivery: Delivery, entry: Entry) -> Job:
        if entry.status in _IS_THERE:
            entry = self._hashed(entry)
            return delivery.job(entry, only_the_same_bytes=True)
        if id(entry.request) in self._offers:
            return delivery.job(entry, self._offers[id(entry.request)], only_the_same_bytes=True)
        return delivery.job(entry)

    def _hashed(self, entry: Entry) -> Entry:
        """Hold the search for a file that is there to the bytes that are there."""
        assert entry.path is not None
        try:
            sha256 = entry.sha256 or self.standing.sha256_of(entry.path)
        except OSError:
            return entry
        request = evolve(entry.request, digests=(Digest("sha256", sha256),))
        return evolve(entry, request=request, sha256=sha256)

    def _prepare(self, delivery: Delivery, requests: Sequence[ModelRequest]) -> None:
        """Let back ends that can answer many questions at once do so."""
        for name, prepare in delivery.around.backends.with_method("prepare"):
            if self._rules.backends and name not in self._rules.backends:
                continue
            reason = delivery.prepare(name, prepare, requests)
            if reason:
                self.emit(Warned(message=f"{name} could not prepare: {reason}"))

    def _guarded(self, place: int, job: Job, step: Callable[[], None]) -> bool:
        """Run a step of a job; whatever happens becomes an entry."""
        try:
            if self.cancelled():
                raise Cancelled("stopped")
            step()
            return True
        except Cancelled:
            self._interrupted(place, job)
        except Exception as error:  # a fault of this program: the other files go on, and the report says so
            logger.exception("unexpected failure at %s", job.request.label)
            failure = Failure(
                code=ErrorCode.BACKEND_FAILED,
                message=redact_text(f"{job.request.label}: unexpected {type(error).__name__}: {error}")[:500],
                hint="Please report this, with the output of -v.",
            )
            self.settle(job.failed(failure), place=place)
        return False

    def _interrupted(self, place: int, job: Job) -> None:
        if self._stop.is_set() and not self._cancel():
            entry = job.settled(Status.SKIPPED)
        else:
            entry = job.failed(stopped(job.request))
        self._entries[place] = entry
        self.emit(FileSettled(label=job.request.label, entry=entry))

    def report(self, intake: Intake) -> Report:
        """Put the result together, in the order in which files were named."""
        return Report(
            entries=tuple(self._entries[place] for place in sorted(self._entries)),
            problems=(*intake.problems, *self._problems),
            workflows=intake.workflows,
            transferred=self._transferred,
        )

    def _is_chosen(self, request: ModelRequest) -> bool:
        label = request.label
        if any(fnmatch.fnmatchcase(label, glob) for glob in self._rules.skip):
            return False
        return not self._rules.only or any(fnmatch.fnmatchcase(label, glob) for glob in self._rules.only)

    def _default_workflows(self) -> Path:
        if self._config.comfyui is None:
            raise UsageError("nothing to look at", hint="Name a workflow, or pass --comfyui to take that one's own.")
        place = installed_workflows(self._config.comfyui)
        if not place.is_dir():
            raise UsageError(f"there are no workflows in {place}", hint="Name a workflow.")
        return place


def model_folders(config: Config) -> ModelFolders:
    """Which directories ComfyUI looks in, as *config* says. :raises UsageError: Nothing says where models are."""
    if config.comfyui is not None and not config.comfyui.is_dir():
        raise UsageError(f"there is no ComfyUI at {config.comfyui}", hint="Pass its base directory as --comfyui.")
    if config.models_dir is not None and config.models_dir.exists() and not config.models_dir.is_dir():
        raise UsageError(f"{config.models_dir} is not a directory", hint="Pass a directory as --models-dir.")
    if config.comfyui is not None and config.models_dir is not None:
        return ModelFolders.for_comfyui(config.comfyui, models_dir=config.models_dir, extra=config.extra_model_paths)
    if config.models_dir is not None:
        return ModelFolders.for_models_dir(config.models_dir, extra=config.extra_model_paths)
    if config.comfyui is not None:
        return ModelFolders.for_comfyui(config.comfyui, extra=config.extra_model_paths)
    raise UsageError(
        "nothing says where models are",
        hint="Pass --comfyui DIR or --models-dir DIR, or set COMFYWATCHMAN_COMFYUI.",
    )
