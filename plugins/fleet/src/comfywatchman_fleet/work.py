"""What a worker does: it carries out steps, tells what happens, and stops when the run is to stop."""

from __future__ import annotations

import pickle
import threading
import time
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

from attrs import evolve, frozen
from distributed import Status, Worker, get_worker

from comfywatchman_core import steps
from comfywatchman_core.errors import ErrorCode, UsageError
from comfywatchman_core.events import BytesReceived, Event
from comfywatchman_core.pacing import HostGates
from comfywatchman_core.steps import Settled, Step

from .turns import Limits, Turns

_PULSE = 0.25
"""Seconds between two messages about one file."""
_AGAIN = frozenset({ErrorCode.BUSY, ErrorCode.CANCELLED, ErrorCode.NETWORK, ErrorCode.STALLED, ErrorCode.UNAVAILABLE})
"""Failures of which another worker, or the same one a little later, may see nothing. Unless the run is stopped,
it is a worker on its way out that cancels."""
_WORTH_TELLING = 1.0
"""Seconds. Shorter waits are over before the others have heard of them."""
_ENDING = (Status.closing, Status.closing_gracefully, Status.closed, Status.failed)


@frozen
class Done:
    """What a worker made of a step."""

    settled: Settled
    worker: str
    """Its name."""


@frozen
class Message:
    """What happened on a worker since its last message about this file."""

    worker: str
    machine: str
    events: tuple[Event, ...]


@frozen
class Wish:
    """A source wants to be left alone."""

    origin: str
    seconds: float


class Failed(Exception):
    """A step that is worth another try; Dask gives it one, until its tries are used up."""

    def __init__(self, done: Done) -> None:
        super().__init__(done)
        self.done = done

    def __str__(self) -> str:
        error = self.done.settled.entry.error
        return error.message if error is not None else ""


def topic_of(run: str) -> str:
    """Under which events of a run are told while they happen."""
    return f"comfywatchman-{run}"


def carry_out(step: Step, limits: Limits) -> Done:
    """Carry out *step* on this worker. :raises Failed: It came to nothing, and another try may come to more."""
    worker = get_worker()
    post = _post_of(step.orders.run, limits)
    telling = Telling(worker, topic_of(step.orders.run))
    with suppress(UsageError):  # the step itself says so
        post.follow(steps.gates_of(step.orders), worker)
    settled = steps.carry_out(
        step,
        emit=telling,
        cancelled=lambda: post.stop.is_set() or worker.status in _ENDING,
        turns=post.turns,
    )
    done = Done(evolve(settled, events=telling.rest()), str(worker.name))
    error = settled.entry.error
    if error is not None and error.code in _AGAIN and not post.stop.is_set():
        raise Failed(done)
    return done


async def stop_run(run: str, limits: Limits) -> None:
    """Let the steps of *run* on this worker come to an end; what has arrived is kept.

    A coroutine: Dask waits for no answer of those, which a worker that sleeps would not give.
    """
    _post_of(run, limits).stop.set()


async def leave_alone(run: str, limits: Limits, wish: Wish) -> None:
    """Heed what a source asked another worker for."""
    post = _post_of(run, limits)
    if post.gates is not None:
        post.gates.keep_closed(wish.origin, wish.seconds)


class Post:
    """What one worker process keeps for one run."""

    def __init__(self, run: str, limits: Limits) -> None:
        self.stop = threading.Event()
        self.turns = Turns(run, limits)
        self.gates: HostGates | None = None
        self._topic = topic_of(run)

    def follow(self, gates: HostGates, worker: Worker) -> None:
        """Let the other workers know when a source wants to be left alone."""

        def pass_on(origin: str, seconds: float) -> None:
            if seconds >= _WORTH_TELLING:
                worker.log_event(self._topic, pickle.dumps(Wish(origin, seconds)))

        if self.gates is not gates:
            self.gates = gates
            gates.on_close = pass_on


class Telling:
    """Sends what happens to one file to whoever follows the run: now and then, not event by event."""

    def __init__(self, worker: Worker, topic: str) -> None:
        self._worker = worker
        self._topic = topic
        self._lock = threading.Lock()
        self._kept: list[Event] = []
        self._sent = time.monotonic()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, BytesReceived) and self._kept and isinstance(self._kept[-1], BytesReceived):
                self._kept.pop()
            self._kept.append(event)
            if time.monotonic() - self._sent < _PULSE:
                return
            kept, self._kept, self._sent = self._kept, [], time.monotonic()
            message = Message(str(self._worker.name), urlsplit(self._worker.address).hostname or "", tuple(kept))
            self._worker.log_event(self._topic, pickle.dumps(message))

    def rest(self) -> tuple[Event, ...]:
        """What is not sent yet, but for progress, which is over."""
        with self._lock:
            kept, self._kept = self._kept, []
        return tuple(event for event in kept if not isinstance(event, BytesReceived))


def read_message(data: bytes) -> Message | Wish:
    """Read what a worker sent."""
    message: Message | Wish = pickle.loads(data)
    return message


_ONE_FOR_ALL = threading.Lock()


def _post_of(run: str, limits: Limits) -> Post:
    with _ONE_FOR_ALL:
        return _latest_post(run, limits)


@lru_cache(16)  # runs
def _latest_post(run: str, limits: Limits) -> Post:
    return Post(run, limits)
