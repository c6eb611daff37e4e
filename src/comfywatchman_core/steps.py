"""The work for one file as a value, which another process or machine can carry out.

A step says what is wanted and how, and holds nothing that belongs to one
machine: no secret, no open file, no back end. Whoever carries it out reads
tokens from its own settings and environment, and loads its own back ends.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import Factory, define, evolve, field, frozen

from .addresses import redact
from .config import Config
from .delivery import Delivery, Turns, is_wanted, paced, stopped
from .errors import Cancelled, ErrorCode, Failure, UsageError
from .events import BytesReceived, DownloadFinished, DownloadStarted, Event, Queued
from .folders import ModelFolders
from .leftovers import tidy
from .models import Candidate, ModelRequest
from .pacing import HostGates
from .report import Entry, Status
from .settings import is_secret
from .staging import Staging
from .standing import Standing
from .state import Memory

if TYPE_CHECKING:
    from .planfile import PlannedFile

logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class Orders:
    """What all steps of one run share; make it with :meth:`of`."""

    config: Config = field(eq=False)
    folders: ModelFolders | None = field(default=None, eq=False)
    """Where files go; ``None``: whoever carries a step out reads that from ``config``, on its own disk."""
    run: str = Factory(lambda: os.urandom(8).hex())
    """Tells one run from another: what a process has loaded and listed for one, it keeps for that one."""

    @classmethod
    def of(cls, config: Config, folders: ModelFolders | None = None) -> Orders:
        """Take from *config* what may travel: secrets of back ends, and addresses that hold one, stay here."""
        tables = {
            name: {key: value for key, value in table.items() if not _is_private(key, value)}
            for name, table in config.backends.settings.items()
        }
        sent = evolve(config, backends=evolve(config.backends, settings=tables), origins={}, warnings=())
        return cls(config=sent, folders=folders)


@frozen(kw_only=True)
class Step:
    """The work for one file; pickles, and is carried out by :func:`carry_out`."""

    orders: Orders
    request: ModelRequest
    offer: Candidate | None = None
    """The offer that is tried first."""
    planned: bool = False
    """A plan says what is taken: ``offer`` and no other, and the bytes that the request states and no others."""

    @classmethod
    def of_plan(cls, orders: Orders, planned: PlannedFile) -> Step:
        """The work for one file of a plan."""
        return cls(orders=orders, request=planned.request, offer=planned.offer, planned=True)

    @classmethod
    def of_search(cls, orders: Orders, request: ModelRequest, offer: Candidate, *, planned: bool) -> Step | None:
        """The work for a file that was found; ``None`` where its address holds what may be a secret."""
        if not all(map(_is_public, (offer.url, offer.reference, offer.endpoint, *offer.details.values()))):
            return None
        # The addresses that a workflow gave have led to the offer, and are needed no more.
        request = evolve(request, url=None, hints=(), reference=request.reference and redact(request.reference))
        return cls(orders=orders, request=request, offer=offer, planned=planned)


@frozen(kw_only=True)
class Settled:
    """What a step came to."""

    entry: Entry
    events: tuple[Event, ...] = ()
    """What happened meanwhile, unless it was told at once. Progress is left out: it is over."""


def carry_out(
    step: Step,
    *,
    emit: Callable[[Event], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    turns: Turns | None = None,
) -> Settled:
    """Make the file of *step* present, verified, under its name. Whatever becomes of it is an entry.

    :param emit: Is told every event at once; without it they are returned.
    :param cancelled: Turns true when the step is to stop; what has arrived is kept.
    :param turns: Gives a source's turns to those who want them; by default, the delay between downloads is kept
        between the steps of this process.
    """
    kept: list[Event] = []

    def keep(event: Event) -> None:
        if not isinstance(event, BytesReceived):
            kept.append(event)

    listen = emit or keep
    try:
        bench = _bench_of(step.orders)
    except UsageError as error:
        message = f"{step.request.label}: the settings of the worker cannot be used: {error}"
        failure = Failure(code=ErrorCode.BACKEND_FAILED, message=message, hint=error.hint)
        return Settled(entry=Entry(request=step.request, status=Status.FAILED, error=failure))
    entry = bench.carry_out(step, lambda event: listen(_shown(event)), cancelled, turns or bench.turns)
    return Settled(entry=_shown_entry(entry), events=tuple(kept))


def gates_of(orders: Orders) -> HostGates:
    """Which origins want to be left alone, for all steps of a run that this process carries out.

    :raises UsageError: The settings of this process cannot be used.
    """
    return _bench_of(orders).gates


@define(eq=False, weakref_slot=True)
class _Bench:
    """What a process keeps between the steps of one run: back ends, connections, a listing of the folders."""

    config: Config
    around: Callable[..., Any]
    memory: Memory
    standing: Standing
    staging: Staging
    turns: Turns
    gates: HostGates

    @classmethod
    def set_up(cls, orders: Orders) -> _Bench:
        # Above this module: a watchman hands steps to an executor.
        from .run import model_folders
        from .watchman import Watchman

        config = _with_own_secrets(orders.config)
        folders = orders.folders or model_folders(config)
        watchman = Watchman(config)
        memory = Memory(config.state, tell=lambda message: logger.warning("%s", message))
        staging = Staging()
        bench = cls(
            config,
            watchman.surroundings,
            memory,
            Standing.of(folders, memory, config.rules.accept_digests),
            staging,
            paced(config.download.delay_between_downloads),
            watchman.gates,
        )
        for each in (watchman.close, memory.close, staging.close):
            weakref.finalize(bench, each)
        return bench

    def carry_out(
        self, step: Step, emit: Callable[[Event], None], cancelled: Callable[[], bool], turns: Turns
    ) -> Entry:
        rules = self.config.rules
        try:
            entry = self.standing.entry(step.request, cancelled=cancelled)
        except Cancelled:
            return Entry(request=step.request, status=Status.FAILED, error=stopped(step.request))
        if not is_wanted(entry, rules):
            if entry.status is Status.PRESENT and entry.path is not None:
                tidy(entry.path)
            return entry
        delivery = Delivery(
            around=evolve(self.around(emit, cancelled), memory=self.memory),
            rules=rules,
            standing=self.standing,
            staging=self.staging,
            turns=turns,
        )
        pinned_to, first = (step.offer, None) if step.planned else (None, step.offer)
        job = delivery.job(entry, pinned_to, first=first, only_the_same_bytes=step.planned)
        try:
            return delivery.deliver(job)
        except Cancelled:
            return job.failed(stopped(step.request))
        finally:
            delivery.room.give_back(job)


_SETTING_UP = threading.Lock()


def _bench_of(orders: Orders) -> _Bench:
    with _SETTING_UP:
        return _latest_bench(orders)


@lru_cache(4)  # of the latest runs; a step that is under way holds on to its own
def _latest_bench(orders: Orders) -> _Bench:
    return _Bench.set_up(orders)


def _with_own_secrets(config: Config) -> Config:
    """Complete what was sent by what this machine's own settings say: what *config* states goes first."""
    own = Config.load()
    names = {*own.backends.settings, *config.backends.settings}
    tables = {name: {**own.settings_of(name), **config.settings_of(name)} for name in names}
    return evolve(
        config,
        backends=evolve(config.backends, settings=tables),
        state_dir=config.state_dir or own.state_dir,
    )


def _is_private(name: str, value: object) -> bool:
    """Say whether a setting of a back end must not leave this machine."""
    if is_secret(name):
        return True
    if isinstance(value, Mapping):
        return any(_is_private(str(key), one) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return any(_is_private(name, one) for one in value)
    return isinstance(value, str) and "://" in value and not _is_public(value)


def _is_public(address: str) -> bool:
    """Say whether *address* holds neither password nor query, where tokens and signatures stand."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    user = parts.username if parts.scheme in ("http", "https") else None  # of the others, it may well be a name
    return not (user or parts.password or parts.query or parts.fragment)


def _shown(event: Event) -> Event:
    """*event* as it may go back: what a back end found out about an address may hold a signature."""
    if isinstance(event, (Queued, DownloadStarted, DownloadFinished)):
        return evolve(event, candidate=_shown_offer(event.candidate))
    return event


def _shown_entry(entry: Entry) -> Entry:
    return evolve(
        entry,
        candidate=entry.candidate and _shown_offer(entry.candidate),
        candidates=tuple(map(_shown_offer, entry.candidates)),
    )


def _shown_offer(offer: Candidate) -> Candidate:
    return evolve(
        offer,
        url=redact(offer.url),
        reference=redact(offer.reference),
        endpoint=redact(offer.endpoint),
        details={},
    )
