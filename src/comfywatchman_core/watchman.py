"""The library's entry: scan, plan and get what workflows need."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from .backends import CORE, Backends, load
from .config import Config, Rules
from .conversation import Conversation, Surroundings
from .errors import UsageError
from .events import Event, StateChanged, TransferState
from .http import ApiClient, Transport
from .pacing import HostGates
from .report import Report
from .reservation import Reservations
from .run import Run, model_folders
from .transfer import Engine, TransferSettings

if TYPE_CHECKING:
    from .audited import AuditReport, Verified
    from .planfile import Plan

What = str | os.PathLike[str]


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
        self.gates = HostGates()
        """Which origins want to be left alone, for all runs."""
        self._reservations = Reservations()

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
        :param on_event: Called with the events, in order, in a thread of its own; all is told when this returns.
        :param cancel: A function or an event that turns true when the caller wants to stop.
        :raises UsageError: Something named does not exist, or nothing says where models are.
        """
        with self._run(on_event, cancel) as run:
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
        with self._run(on_event, cancel) as run:
            return run.carry_out(*run.look(what), transfer=False, pin_present=pin_present)

    def ensure_models(
        self,
        what: What | Iterable[What] = (),
        *,
        executor: Executor | None = None,
        on_event: Callable[[Event], None] | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> Report:
        """Make every model that *what* names present, verified, under the name and in the folder it is asked for.

        The other parameters are those of :meth:`scan`.

        :param executor: Transfers the files that are missing, in the place of threads of this run: of processes,
            or of machines that see the same folders. What it carries out holds no secret, and takes tokens from
            the environment and the settings of where it is carried out. Events of a file are told when it is
            over; what is under way when the caller stops goes on to its end, and is not waited for.
        :returns: One entry for each file; look at it, or call its ``raise_if_failed``.
        :raises UsageError: Back ends were given as objects, which an executor cannot have.
        """
        with self._run(on_event, cancel, executor) as run:
            return run.carry_out(*run.look(what), transfer=self.config.download.auto_download)

    def get_plan(
        self,
        plan: Plan,
        *,
        executor: Executor | None = None,
        on_event: Callable[[Event], None] | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> Report:
        """Carry out *plan*: exactly its bytes, from exactly its sources, searched for nowhere else.

        :param executor: As of :meth:`ensure_models`, and so is what is returned and raised.
        """
        with self._run(on_event, cancel, executor) as run:
            return run.carry_out(*run.look_at(plan), transfer=self.config.download.auto_download)

    def verify(
        self,
        paths: Iterable[str | os.PathLike[str]] = (),
        *,
        plan: Plan | None = None,
        full: bool = False,
        quarantine: bool = False,
        accept: bool = False,
        on_verified: Callable[[Verified], None] = lambda verified: None,
        on_reading: Callable[[int, int], None] = lambda files, size: None,
        on_event: Callable[[Event], None] | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> AuditReport:
        """Hash model files and compare them with plan, history, known tables and, unless offline, publishers.

        :param paths: Files, or directories of them; by default those of *plan*, or every model there is.
        :param full: Read every file again; otherwise one that did not change is judged by what it was.
        :param quarantine: Rename what is corrupt to ``NAME.bad-…``.
        :param accept: From now on hold files that were changed to what they are.
        :param on_verified: Called with each file as soon as it is known what it is.
        :param on_reading: Called before files are read, with their number and bytes.
        :raises UsageError: A path does not exist, or nothing says where models are.
        """
        from .audit import Audit

        named = [Path(path) for path in paths]
        with self._run(on_event, cancel) as run:
            try:
                folders = model_folders(self.config)
            except UsageError:
                if not named:
                    raise
                folders = None  # files that are named need no ComfyUI around them
            return Audit(
                memory=run.memory,
                surroundings=run.surroundings,
                folders=folders,
                plan=plan,
                online=not self.config.offline,
                full=full,
                quarantine=quarantine,
                accept=accept,
                on_verified=on_verified,
                on_reading=on_reading,
                cancelled=run.cancelled,
            ).carry_out(named)

    def conversation(self, label: str) -> Conversation:
        """What lends the back ends a context outside of a run, for commands that ask them something else."""
        around = self.surroundings(lambda event: None, lambda: False)
        return Conversation(label=label, around=around)

    def close(self) -> None:
        """Give connections back."""
        self._transport.close()

    def __enter__(self) -> Watchman:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self,
        on_event: Callable[[Event], None] | None,
        cancel: Callable[[], bool] | threading.Event | None,
        executor: Executor | None = None,
    ) -> Run:
        if executor is not None and self._given is not None:
            raise UsageError(
                "back ends that are given as objects cannot be handed to an executor",
                hint="Install them: each worker loads its own.",
            )
        return Run(self.config, self.surroundings, self._client, on_event, cancel, executor)

    def _load(self) -> Backends:
        config = self.config
        settings = TransferSettings(
            connections=config.download.connections,
            jobs=config.download.jobs,
            limit_rate=config.download.limit_rate,
            max_retries=config.download.max_retries,
            timeout=config.download.timeout_seconds,
        )
        engine = Engine(settings, transport=self._transport, gates=self.gates, reservations=self._reservations)
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

    def _client(
        self, cancelled: Callable[[], bool], on_wait: Callable[[str, float], None] = lambda origin, seconds: None
    ) -> ApiClient:
        download = self.config.download
        return ApiClient(
            self._transport,
            gates=self.gates,
            retries=download.max_retries,
            timeout=download.timeout_seconds,
            cancelled=cancelled,
            on_wait=on_wait,
        )

    def surroundings(self, emit: Callable[[Event], None], cancelled: Callable[[], bool]) -> Surroundings:
        """What searches and transfers need, given a way of telling and of being stopped; loads the back ends."""

        def tell(origin: str, seconds: float) -> None:
            reason = f"before asking {origin} again"
            emit(StateChanged(label="", state=TransferState.WAITING, seconds=seconds, reason=reason))

        client = self._client(cancelled, tell)
        return Surroundings(
            backends=self.backends,
            config=self.config,
            http=client,
            emit=emit,
            cancelled=cancelled,
            reservations=self._reservations,
        )


def _by_name(backends: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    if isinstance(backends, Mapping):
        return dict(backends)
    named: dict[str, Any] = {}
    for one in backends:
        name = str(getattr(one, "name", "") or type(one).__name__.lower().removesuffix("backend"))
        if name in named:
            raise UsageError(f"two back ends are called {name}", hint="Pass them by name, as a mapping.")
        named[name] = one
    return named


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

    :param options: ``models_dir=`` or ``comfyui=``; ``on_event=`` and ``cancel=``; ``executor=``, see
        :meth:`Watchman.ensure_models`; ``config=`` a :class:`Config` to start from (by default the settings of the
        environment and the user's file); any field of the rules, such as ``min_match=`` or ``require_checksum=``.
    :returns: One entry for each file; look at it, or call its ``raise_if_failed``.
    :raises UsageError: Something named does not exist, or an option is unknown.
    """
    return _once("ensure_models", what, options)


def _once(method: str, what: What | Iterable[What], options: dict[str, Any]) -> Report:
    import attrs

    call = {name: options.pop(name) for name in ("on_event", "cancel", "executor") if name in options}
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
