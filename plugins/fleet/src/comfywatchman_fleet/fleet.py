"""The run as whoever started it sees it: steps go out, events and entries come back, until each file is settled."""

from __future__ import annotations

import enum
import itertools
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from attrs import define, evolve, field, frozen
from distributed import Client, Future, KilledWorker

from comfywatchman_core import __version__ as core_version
from comfywatchman_core.addresses import redact_text
from comfywatchman_core.config import Config
from comfywatchman_core.delivery import stopped
from comfywatchman_core.errors import BackendError, Cancelled, ErrorCode, Failure, UsageError
from comfywatchman_core.events import Event, FileSettled, Queued, Surveyed
from comfywatchman_core.planfile import Plan
from comfywatchman_core.report import Entry, Report, Status
from comfywatchman_core.steps import Orders, Step

from .turns import Limits
from .work import Done, Failed, Message, Wish, carry_out, leave_alone, read_message, stop_run, topic_of

Tell = Callable[[Event, str, str], None]
"""Told an event, the name of the worker that it comes from (empty: from none), and the machine that it concerns
(empty: from any)."""

_TRIES = 2
"""Further tries that Dask gives a step which failed in a way that may pass."""
_PULSE = 0.25
_LOOK = 1.0
"""Seconds between two looks at the scheduler and its workers."""
_SCHEDULER_SILENT = 5.0
"""Seconds without a scheduler after which the run ends."""
_STOPPING = 15.0
"""Seconds that workers get to put away what they are at when the run is stopped."""


class Mode(enum.StrEnum):
    """Whose disk the models are for."""

    SHARED = "shared"
    """All machines see one tree: each file is fetched by one of them."""
    EACH = "each"
    """Every machine has a disk of its own, and gets every file."""


@frozen
class _Errand:
    """One file that one machine, or any, is to get."""

    place: int
    """In the report."""
    step: Step
    machine: str = ""
    """Host of the workers that may do it; empty for any."""


@define
class Fleet:
    """Workers behind one scheduler."""

    client: Client
    tell: Tell
    cancelled: Callable[[], bool]
    patience: float = 60.0
    """Seconds that files wait for a worker to come, or to come back, before they are given up."""
    machines: int = 1
    """How many are waited for before anything is begun."""
    _news: queue.SimpleQueue[Future[Done] | Message | Wish] = field(factory=queue.SimpleQueue, init=False)
    _errands: dict[str, _Errand] = field(factory=dict, init=False)
    """Key of a task → what it is to do, until it is settled."""
    _futures: dict[str, Future[Done]] = field(factory=dict, init=False)
    _entries: dict[int, Entry] = field(factory=dict, init=False)
    _seen: dict[str, float] = field(factory=dict, init=False)
    """Machine → when it was last there; empty name: any machine."""
    _each: bool = field(default=False, init=False)
    _run: str = field(default="", init=False)
    _limits: Limits = field(init=False)
    _stopping: float | None = field(default=None, init=False)
    """When the run was stopped."""

    def get(self, plan: Plan, config: Config, mode: Mode, limits: Limits) -> Report:
        """Have the files of *plan* fetched.

        :param config: Where models go on the workers, and how; its secrets stay here.
        :raises UsageError: A worker cannot do this, or runs another version.
        """
        self._each = mode is Mode.EACH
        orders = Orders.of(config)
        self._run, self._limits = orders.run, limits
        machines = self._machines()
        self._check_versions()
        self.client.subscribe_topic(topic_of(orders.run), lambda event: self._news.put(read_message(event[1])))
        try:
            self._send(_errands(plan, orders, machines if self._each else ("",)))
            self._follow()
        finally:
            self._give_up_on_tasks()
        entries = tuple(self._entries[place] for place in sorted(self._entries))
        transferred = sum(entry.size or 0 for entry in entries if entry.status is Status.DOWNLOADED)
        return Report(entries=entries, transferred=transferred)

    def _machines(self) -> Sequence[str]:
        """Hosts of the workers, once there are enough. :raises BackendError: They do not come."""
        end = time.monotonic() + self.patience
        while len(machines := _hosts(self.client.scheduler_info(n_workers=-1))) < self.machines:
            if self.cancelled():
                raise Cancelled("stopped before there were workers")
            if time.monotonic() > end:
                raise BackendError(
                    f"the scheduler has workers on {len(machines)} machines, where {self.machines} are waited for",
                    code=ErrorCode.UNAVAILABLE,
                    hint="Start some with `dask worker ADDRESS`, or give them more time with --patience.",
                )
            time.sleep(_PULSE)
        return machines

    def _check_versions(self) -> None:
        for worker, version in self.client.run(_version, on_error="return").items():
            if version != core_version:
                raise UsageError(
                    f"the worker {worker} has comfywatchman-core {version}, where {core_version} is asked for"
                    if isinstance(version, str)
                    else f"the worker {worker} cannot carry out plans: {version}",
                    hint="Install the same comfywatchman-fleet and comfywatchman-core on every machine.",
                )

    def _send(self, errands: Sequence[_Errand]) -> None:
        self.tell(Surveyed(needed=len(errands), missing=len(errands)), "", "")
        by_machine: dict[str, list[_Errand]] = {}
        for errand in errands:
            by_machine.setdefault(errand.machine, []).append(errand)
            if errand.step.offer is not None:
                self.tell(Queued(label=errand.step.request.label, candidate=errand.step.offer), "", errand.machine)
        for machine, those in by_machine.items():
            # Tasks of one call are begun in the order of their keys.
            keys = [f"comfywatchman-{self._run}-{len(self._errands) + rank:07}" for rank in range(len(those))]
            self._errands |= dict(zip(keys, those, strict=True))
            futures = self.client.map(
                carry_out,
                [errand.step for errand in those],
                limits=self._limits,
                key=keys,
                retries=_TRIES,
                workers=[machine] if machine else None,
                pure=False,
            )
            self._futures |= dict(zip(keys, futures, strict=True))
            for future in futures:
                future.add_done_callback(self._news.put)

    def _follow(self) -> None:
        looked = silent_since = time.monotonic()
        while self._errands:
            self._take_in(list(self._arrived()))
            now = time.monotonic()
            if self.client.status == "running":
                silent_since = now
            elif now - silent_since > _SCHEDULER_SILENT:
                hint = "Start it anew, and run this again: what has arrived is kept."
                self._fail_rest("the scheduler was lost", hint)
                return
            if self._stopping is None and self.client.status == "running" and now - looked > _LOOK:
                looked = now
                self._look_after_machines(now)
            if self.cancelled() and self._stopping is None:
                self._stop()
            if self._stopping is not None and now - self._stopping > _STOPPING:
                for key in tuple(self._errands):
                    self._settle_stopped(key)

    def _arrived(self) -> Iterator[Future[Done] | Message | Wish]:
        """What there is to hear; waits a moment for the first of it."""
        try:
            yield self._news.get(timeout=_PULSE)
            while True:
                yield self._news.get_nowait()
        except queue.Empty:
            return

    def _take_in(self, news: Sequence[Future[Done] | Message | Wish]) -> None:
        ended: list[Future[Done]] = []
        for one in news:
            if isinstance(one, Future):
                if one.key in self._errands:
                    ended.append(one)
                continue
            if isinstance(one, Wish):
                with suppress(Exception):  # whoever does not hear of it is told by the source
                    self.client.run(leave_alone, self._run, self._limits, one, wait=False)
                continue
            for event in one.events:
                self.tell(event, one.worker, one.machine if self._each else "")
        whole = [future for future in ended if future.status == "finished"]
        with suppress(Exception):  # what is lost on its way is asked for once more below, one by one
            # All at once: one by one, the way there and back would be most of the time that a small file takes.
            for future, done in zip(whole, self.client.gather(whole), strict=True):
                self._settle_done(str(future.key), done)
        for future in ended:
            if str(future.key) in self._errands and self.client.status == "running":
                self._settle_ended(future)

    def _settle_ended(self, future: Future[Done]) -> None:
        """Settle a file whose task came to no result, or whose result did not arrive."""
        try:
            self._settle_done(str(future.key), future.result(timeout=_SCHEDULER_SILENT))
        except Failed as error:
            self._settle_done(str(future.key), error.done)
        except CancelledError:
            if self._stopping is not None:
                self._settle_stopped(str(future.key))
            else:
                self._settle_failed(str(future.key), "somebody else cancelled it", "Run again.")
        except KilledWorker:
            self._settle_failed(
                str(future.key), "every worker that had it died", "See the workers' logs; what has arrived is kept."
            )
        except Exception as error:  # a fault of this program, or of a worker's installation
            self._settle_failed(
                str(future.key),
                redact_text(f"unexpected {type(error).__name__}: {error}")[:500],
                "Please report this, with the worker's log.",
            )

    def _settle_done(self, key: str, done: Done) -> None:
        errand = self._errands[key]
        for event in done.settled.events:
            self.tell(event, done.worker, errand.machine)
        entry = done.settled.entry
        if self._stopping is not None and entry.error is not None and entry.error.code is ErrorCode.CANCELLED:
            self._settle_stopped(key)
        else:
            self._settle(key, evolve(entry, worker=done.worker))

    def _settle_failed(self, key: str, reason: str, hint: str, code: ErrorCode = ErrorCode.BACKEND_FAILED) -> None:
        request = self._errands[key].step.request
        failure = Failure(code=code, message=f"{request.label}: {reason}", hint=hint)
        self._settle(key, Entry(request=request, status=Status.FAILED, error=failure))

    def _settle_stopped(self, key: str) -> None:
        request = self._errands[key].step.request
        if self.cancelled():
            self._settle(key, Entry(request=request, status=Status.FAILED, error=stopped(request)))
        else:  # after the first failure, which was enough
            self._settle(key, Entry(request=request, status=Status.SKIPPED))

    def _settle(self, key: str, entry: Entry) -> None:
        errand = self._errands.pop(key)
        self._futures.pop(key)  # the scheduler forgets what nobody holds
        self._entries[errand.place] = entry
        self.tell(FileSettled(label=errand.step.request.label, entry=entry), entry.worker or "", errand.machine)
        if entry.error is not None and errand.step.orders.config.rules.fail_fast:
            self._stop()

    def _stop(self) -> None:
        """Have workers put away what they are at; what nobody has begun is not begun."""
        if self._stopping is not None:
            return
        self._stopping = time.monotonic()
        with suppress(Exception):  # a scheduler that is gone stops nobody
            at_work = {key for keys in self.client.processing().values() for key in keys}
            self.client.run(stop_run, self._run, self._limits, wait=False)
            waiting = [key for key in self._errands if key not in at_work]
            self.client.cancel([self._futures[key] for key in waiting])
            for key in waiting:
                self._settle_stopped(key)

    def _look_after_machines(self, now: float) -> None:
        """Give up on files whose machine is gone, or on all if no worker is left."""
        hosts = _hosts(self.client.scheduler_info(n_workers=-1))
        self._seen |= dict.fromkeys(hosts, now)
        if hosts:
            self._seen[""] = now
        for key, errand in tuple(self._errands.items()):
            if now - self._seen.setdefault(errand.machine, now) > self.patience:
                gone = f"the machine {errand.machine} is gone" if errand.machine else "there is no worker any more"
                hint = "Start workers, and run this again: what has arrived is kept."
                self._settle_failed(key, gone, hint, ErrorCode.UNAVAILABLE)

    def _fail_rest(self, reason: str, hint: str) -> None:
        for key in tuple(self._errands):
            self._settle_failed(key, reason, hint, ErrorCode.NETWORK)

    def _give_up_on_tasks(self) -> None:
        if self._futures and self.client.status == "running":
            with suppress(Exception):
                self.client.cancel(list(self._futures.values()))


def _errands(plan: Plan, orders: Orders, machines: Sequence[str]) -> list[_Errand]:
    """The largest files first, for every one of *machines*."""
    files = sorted(enumerate(plan.files), key=lambda numbered: -(numbered[1].size or 0))
    return [
        _Errand(before + number, Step.of_plan(orders, planned), machine)
        for before, machine in zip(itertools.count(step=len(files)), machines, strict=False)
        for number, planned in files
    ]


def _hosts(info: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({urlsplit(address).hostname or "" for address in info["workers"]}))


def _version() -> str:
    return core_version
