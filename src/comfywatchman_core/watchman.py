"""The library's entry: scan, plan and get what workflows need."""

from __future__ import annotations

import fnmatch
import heapq
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attrs import evolve

from .backends import CORE, Backends, load
from .config import Config, Rules
from .conversation import Conversation, Surroundings
from .delivery import Delivery, Job
from .errors import Cancelled, ErrorCode, Failure, UsageError
from .events import Event, FileSettled, Warned
from .folders import ModelFolders
from .http import ApiClient, Transport
from .intake import Intake, installed_workflows, take_in
from .models import Candidate, Digest, ModelRequest
from .pacing import HostGates
from .plan import Plan
from .report import Entry, Problem, Report, Status
from .staging import Staging
from .standing import Standing
from .transfer import Engine, TransferSettings

logger = logging.getLogger(__name__)

What = str | os.PathLike[str]

_IS_THERE = (Status.PRESENT, Status.ELSEWHERE)


class Watchman:
    """Knows one configuration and its back ends; use it for as many runs as you like.

    Two of them with different settings live side by side. Runs may happen in
    several threads; each run uses threads of its own and ends them.

    :param config: Where things are and what is allowed; :meth:`Config.load` reads it as the command does.
    :param backends: Back ends to use instead of the installed ones: objects by name, or objects that
        carry their name as ``name``. The core's own engine is always there.
    """

    def __init__(
        self, config: Config | None = None, *, backends: Mapping[str, Any] | Sequence[Any] | None = None
    ) -> None:
        self.config = config or Config.load()
        self._given = _by_name(backends) if backends is not None else None
        self._lock = threading.Lock()
        self._loaded: Backends | None = None
        self._transport = Transport(allow_private=self.config.download.allow_private_urls, offline=self.config.offline)
        self._gates = HostGates()

    @property
    def backends(self) -> Backends:
        """The back ends in use; found and imported when first asked for."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def scan(
        self,
        what: What | Iterable[What] = (),
        *,
        on_event: Callable[[Event], None] | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> Report:
        """Say what *what* needs and whether it is there. Opens no socket and loads no back end.

        :param what: One or more workflows, directories of them, ``-``, or model references; by default the
            workflows of the ComfyUI installation.
        :param on_event: Called with every event, from one thread at a time.
        :param cancel: A function or an event that turns true when the caller wants to stop.
        :raises UsageError: Something named does not exist, or nothing says where models are.
        """
        run = _Run(self, on_event, cancel)
        intake, entries = run.look(what)
        for entry in entries:
            run.settle(entry)
        return run.report(intake)

    def plan(
        self,
        what: What | Iterable[What] = (),
        *,
        pin_present: bool = False,
        on_event: Callable[[Event], None] | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> Report:
        """As :meth:`ensure_models`, up to the point where bytes would be transferred.

        :param pin_present: Also hash the files that are there, and find out where their bytes can be had again.
        :returns: ``planned`` entries carry the candidate that would be taken.
        """
        run = _Run(self, on_event, cancel)
        return run.carry_out(*run.look(what), transfer=False, pin_present=pin_present)

    def ensure_models(
        self,
        what: What | Iterable[What] = (),
        *,
        on_event: Callable[[Event], None] | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> Report:
        """Make every model that *what* names present, verified, under the name and in the folder it is asked for.

        The parameters are those of :meth:`scan`.

        :returns: One entry for each file; look at it, or call its ``raise_if_failed``.
        """
        run = _Run(self, on_event, cancel)
        return run.carry_out(*run.look(what), transfer=self.config.download.auto_download)

    def get_plan(
        self,
        plan: Plan,
        *,
        on_event: Callable[[Event], None] | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> Report:
        """Carry out *plan*: exactly its bytes, from exactly its sources, searched for nowhere else.

        :returns: As :meth:`ensure_models`.
        """
        run = _Run(self, on_event, cancel)
        return run.carry_out(*run.look_at(plan), transfer=self.config.download.auto_download)

    def conversation(self, label: str) -> Conversation:
        """What lends the back ends a context outside of a run, for commands that ask them something else."""
        around = Surroundings(
            backends=self.backends,
            config=self.config,
            http=self._client(lambda: False),
            emit=lambda event: None,
            cancelled=lambda: False,
        )
        return Conversation(label=label, around=around)

    def close(self) -> None:
        """Give connections back."""
        self._transport.close()

    def __enter__(self) -> Watchman:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> Backends:
        config = self.config
        settings = TransferSettings(
            connections=config.download.connections,
            jobs=config.download.jobs,
            limit_rate=config.download.limit_rate,
            max_retries=config.download.max_retries,
            timeout=config.download.timeout_seconds,
        )
        engine = Engine(settings, transport=self._transport, gates=self._gates)
        return load(
            order=config.rules.backends or config.backends.order,
            disabled=config.backends.disabled,
            builtin={CORE: engine, **(self._given or {})},
            discover=config.plugins and self._given is None,
            distributions={
                name: str(table["distribution"])
                for name, table in config.backends.settings.items()
                if "distribution" in table
            },
        )

    def _client(self, cancelled: Callable[[], bool]) -> ApiClient:
        return ApiClient(
            self._transport,
            gates=self._gates,
            retries=self.config.download.max_retries,
            timeout=self.config.download.timeout_seconds,
            cancelled=cancelled,
        )


class _Run:
    """One run: its listener, its entries in the making, its threads."""

    def __init__(
        self,
        watchman: Watchman,
        on_event: Callable[[Event], None] | None,
        cancel: Callable[[], bool] | threading.Event | None,
    ) -> None:
        self._watchman = watchman
        self._config = watchman.config
        self._listener = on_event
        self._cancel = cancel.is_set if isinstance(cancel, threading.Event) else cancel or (lambda: False)
        self._stop = threading.Event()
        self._telling = threading.Lock()
        self._entries: dict[int, Entry] = {}
        self._place: dict[int, int] = {}
        self._problems: list[Problem] = []
        self._offers: dict[int, Candidate | None] = {}
        self._transferred = 0

    @property
    def _rules(self) -> Rules:
        return self._config.rules

    def cancelled(self) -> bool:
        return self._stop.is_set() or self._cancel()

    def emit(self, event: Event) -> None:
        """Tell the listener; one that raises is dropped, because nobody's display may stop a transfer."""
        with self._telling:
            if isinstance(event, FileSettled):
                self._count(event.entry)
            if self._listener is None:
                return
            try:
                self._listener(event)
            except Exception as error:  # somebody else's code, called from a thread that must go on
                self._listener = None
                logger.warning("the listener raised %s: %s; it is told nothing more", type(error).__name__, error)

    def _count(self, entry: Entry) -> None:
        if entry.status is Status.DOWNLOADED:
            self._transferred += entry.size or 0

    def carry_out(
        self, intake: Intake, entries: Sequence[Entry], *, transfer: bool, pin_present: bool = False
    ) -> Report:
        """Get, or plan, what is not there."""
        pinned = {id(entry.request) for entry in entries if pin_present and entry.status in _IS_THERE}
        wanted = [entry for entry in entries if self.is_wanted(entry) or id(entry.request) in pinned]
        open_ends = {id(entry.request) for entry in wanted}
        for entry in entries:
            if id(entry.request) not in open_ends:
                self.settle(entry)
        if wanted:
            self.fetch(wanted, transfer=transfer)
        return self.report(intake)

    def look_at(self, plan: Plan) -> tuple[Intake, list[Entry]]:
        """Find out what of *plan* is there."""
        self.standing = Standing.of(model_folders(self._config))
        entries = []
        for one in plan.files:
            entry = self.standing.entry(one.request, cancelled=self.cancelled)
            self._offers[id(entry.request)] = one.offer
            entries.append(entry)
        self._place = {id(entry.request): index for index, entry in enumerate(entries)}
        return Intake(), entries

    def look(self, what: What | Iterable[What]) -> tuple[Intake, list[Entry]]:
        """Read what is wanted and find out what is there."""
        folders = model_folders(self._config)
        named = [what] if isinstance(what, (str, os.PathLike)) else list(what)
        if not named:
            named = [self._default_workflows()]
        intake = take_in(named, folders, folder=self._rules.folder, emit=self.emit, cancelled=self.cancelled)
        self.standing = Standing.of(folders)
        requests = intake.merged()
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

    def is_wanted(self, entry: Entry) -> bool:
        """Say whether *entry* calls for a download."""
        if entry.error is not None and entry.error.code is ErrorCode.CONFLICT:
            return self._rules.force
        return entry.status in (Status.MISSING, Status.CORRUPT)

    def settle(self, entry: Entry, *, place: int | None = None) -> None:
        """Enter what became of a file."""
        self._entries[self._place[id(entry.request)] if place is None else place] = entry
        label = entry.request.label
        self.emit(FileSettled(label=label, entry=entry))
        if entry.error is not None and self._rules.fail_fast:
            self._stop.set()

    def fetch(self, wanted: Sequence[Entry], *, transfer: bool) -> None:
        """Search and transfer, several files at a time, the largest of those that were found first."""
        around = Surroundings(
            backends=self._watchman.backends,
            config=self._config,
            http=self._watchman._client(self.cancelled),
            emit=self.emit,
            cancelled=self.cancelled,
        )
        self._problems += [
            Problem(about=one.name, message=f"back end {one.name} is not used: {one.reason}", code="backend")
            for one in around.backends.problems
        ]
        staging = Staging()
        delivery = Delivery(around=around, rules=self._rules, standing=self.standing, staging=staging)
        self._prepare(delivery, [entry.request for entry in wanted])
        found: list[tuple[int, int, Job]] = []
        lock = threading.Lock()
        transfers: list[Future[None]] = []
        jobs = self._config.download.jobs

        def search(entry: Entry) -> None:
            place = self._place[id(entry.request)]
            job = self._job(delivery, entry)
            if not self._guarded(place, job, lambda: self._first_offer(job)):
                return
            with lock:
                size = job.offer.size if job.offer and job.offer.size else 0
                heapq.heappush(found, (-size, place, job))
                transfers.append(carriers.submit(carry))

        def carry() -> None:
            with lock:
                _, place, job = heapq.heappop(found)
            step = delivery.deliver if transfer else delivery.plan
            if job.entry.status in _IS_THERE:
                step = delivery.sourced
            self._guarded(place, job, lambda: self.settle(step(job), place=place))

        try:
            with (
                ThreadPoolExecutor(jobs, thread_name_prefix="transfer") as carriers,
                ThreadPoolExecutor(jobs, thread_name_prefix="search") as seekers,
            ):
                for one in [seekers.submit(search, entry) for entry in wanted]:
                    one.result()
                for one in tuple(transfers):
                    one.result()
        finally:
            staging.close()

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

    def _first_offer(self, job: Job) -> None:
        job.advance()

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
                message=f"{job.request.label}: unexpected {type(error).__name__}: {error}",
                hint="Please report this, with the output of -v.",
            )
            self.settle(job.failed(failure), place=place)
        return False

    def _interrupted(self, place: int, job: Job) -> None:
        if self._stop.is_set() and not self._cancel():
            entry = job.settled(Status.SKIPPED)
        else:
            failure = Failure(
                code=ErrorCode.CANCELLED,
                message=f"{job.request.label}: stopped before it was complete",
                hint="Run the same command again; what has arrived is kept.",
            )
            entry = job.failed(failure)
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
    if config.models_dir is not None:
        if config.models_dir.exists() and not config.models_dir.is_dir():
            raise UsageError(f"{config.models_dir} is not a directory", hint="Pass a directory as --models-dir.")
        return ModelFolders.for_models_dir(config.models_dir, extra=config.extra_model_paths)
    if config.comfyui is not None:
        if not config.comfyui.is_dir():
            raise UsageError(f"there is no ComfyUI at {config.comfyui}", hint="Pass its base directory as --comfyui.")
        return ModelFolders.for_comfyui(config.comfyui, extra=config.extra_model_paths)
    raise UsageError(
        "nothing says where models are",
        hint="Pass --comfyui DIR or --models-dir DIR, or set COMFYWATCHMAN_COMFYUI.",
    )


def _by_name(backends: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    if isinstance(backends, Mapping):
        return dict(backends)
    return {
        str(getattr(one, "name", "") or type(one).__name__.lower().removesuffix("backend")): one for one in backends
    }


def scan(what: What | Iterable[What] = (), **options: Any) -> Report:
    """Say what *what* needs and whether it is there; no network. See :meth:`Watchman.scan`.

    :param options: As of :func:`ensure_models`.
    """
    return _once("scan", what, options)


def plan(what: What | Iterable[What] = (), **options: Any) -> Report:
    """Find out where missing models can be had; download nothing. See :meth:`Watchman.plan`.

    :param options: As of :func:`ensure_models`.
    """
    return _once("plan", what, options)


def ensure_models(what: What | Iterable[What] = (), **options: Any) -> Report:
    """Make every model that *what* names present and verified. See :meth:`Watchman.ensure_models`.

    :param options: ``models_dir=`` or ``comfyui=``; ``on_event=`` and ``cancel=``; ``config=`` a
        :class:`Config` to start from (by default the settings of the environment and the user's file);
        any field of the rules, such as ``min_match=`` or ``require_checksum=``.
    :returns: One entry for each file; look at it, or call its ``raise_if_failed``.
    :raises UsageError: Something named does not exist, or an option is unknown.
    """
    return _once("ensure_models", what, options)


def _once(method: str, what: What | Iterable[What], options: dict[str, Any]) -> Report:
    import attrs

    call = {name: options.pop(name) for name in ("on_event", "cancel") if name in options}
    places: dict[str, Any] = {name: options.pop(name) for name in ("comfyui", "models_dir") if name in options}
    backends = options.pop("backends", None)
    config: Config | None = options.pop("config", None)
    unknown = set(options) - {one.name for one in attrs.fields(Rules)}
    if unknown:
        raise UsageError(f"no such option: {', '.join(sorted(unknown))}", hint="See the reference of ensure_models.")
    if config is None:
        config = Config.load(arguments=places)
    elif places:
        config = evolve(config, **places)
    if options:
        config = evolve(config, rules=evolve(config.rules, **options))
    with Watchman(config, backends=backends) as watchman:
        report: Report = getattr(watchman, method)(what, **call)
        return report
