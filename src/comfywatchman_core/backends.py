"""Check, order and ask the back ends.

pluggy keeps the contract (names, arguments, wrappers); this module adds what
pluggy leaves to its host: numeric order, isolation, time limits, and a record
of who said what. The core never calls ``manager.hook.resolve_model(...)``: it
asks one plugin at a time through ``subset_hook_caller``.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pluggy
from attrs import define, evolve, field, frozen

from .addresses import is_below, redact_text
from .errors import BackendError, Cancelled, ErrorCode, Failure
from .hooks import PROJECT, SPECIFICATIONS, SUPPORTED_API_VERSIONS, Backend, Context
from .installed import CORE, Listing, State, sources
from .models import Attempt, Outcome
from .timebox import GRACE, TimedOut, within

UNRECOVERABLE = (Cancelled, MemoryError, KeyboardInterrupt)
"""What no record is made of: it is for the run, not for the back end that was at work."""

__all__ = ["CORE", "KNOWS", "UNRECOVERABLE", "Answer", "Backends", "Listing", "State", "TimedOut", "failure_of", "load"]
_LONGEST = 1000
"""Characters of a message: back ends pass on what servers say, and that may be a whole page."""

_IMPORT = 20.0
"""Seconds that a package may take to be imported: an import that waits for something must not hang every command."""

KNOWS = 80
"""Back ends of this priority and above know without searching; those below search."""


@frozen
class Answer:
    """What one back end said to one question."""

    attempt: Attempt
    value: Any
    error: Exception | None = None
    """What it raised, where it failed."""


@define
class Backends:
    """The back ends in use, in the order in which they are asked."""

    names: tuple[str, ...]
    listings: tuple[Listing, ...]
    """Every back end that was found, those in use first and in order."""
    _manager: pluggy.PluginManager = field(repr=False)

    @property
    def problems(self) -> tuple[Listing, ...]:
        """What was refused, or named in the settings and not found. Disabled ones are no problem."""
        return tuple(listing for listing in self.listings if listing.state in (State.REFUSED, State.MISSING))

    def get(self, name: str) -> Backend:
        """The back end of that name. :raises KeyError: It is not in use."""
        if name not in self.names:
            raise KeyError(name)
        backend: Backend | None = self._manager.get_plugin(name)
        if backend is None:
            raise KeyError(name)
        return backend

    def with_core_before_searches(self) -> tuple[str, ...]:
        """The order for a request that brings its own address, which no back end claims.

        Back ends that know (priority 80 and above) still go first. The address is more certain than
        what the others could find by the name, so the core answers for it before they search.
        """
        searches = [one.name for one in self.listings if one.priority is not None and one.priority < KNOWS]
        first = next((name for name in self.names if name in searches), CORE)
        names = [name for name in self.names if name != CORE]
        place = names.index(first) if first != CORE else len(names)
        return (*names[:place], CORE, *names[place:]) if CORE in self.names else self.names

    def keeping_copies(self) -> tuple[str, ...]:
        """Those that keep copies of others' files, by digest."""
        return tuple(name for name in self.names if _attribute(self.get(name), "keeps_copies") is True)

    def with_method(self, method: str) -> Iterator[tuple[str, Callable[..., object]]]:
        """Name and bound *method* of every back end that carries it, in order: the optional parts of the contract."""
        for name in self.names:
            found = _attribute(self.get(name), method)
            if callable(found):
                yield name, found

    def variables(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Back end, one of its settings, and the variables of the environment that it reads before that one."""
        for name in self.names:
            told = _attribute(self.get(name), "variables")
            for setting, names in told.items() if isinstance(told, Mapping) else ():
                yield name, str(setting), (names,) if isinstance(names, str) else tuple(map(str, names))

    def owner_of(self, url: str, settings: Mapping[str, Mapping[str, Any]] | None = None) -> str | None:
        """The back end that *url* belongs to: by the hosts it names, or by an endpoint in its settings.

        :param settings: Back end → its own table.
        """
        try:
            parts = urlsplit(url)
            host, place = parts.hostname or "", f"{parts.hostname}:{parts.port}"
        except ValueError:
            return None
        for name in self.names if host else ():
            hosts = _attribute(self.get(name), "hosts")
            if isinstance(hosts, Collection) and not isinstance(hosts, str) and (host in hosts or place in hosts):
                return name
            endpoints = [one for one in (settings or {}).get(name, {}).values() if isinstance(one, str)]
            if any(one.startswith(("http://", "https://")) and is_below(url, one) for one in endpoints):
                return name
        return None

    def ask(
        self,
        hook: str,
        lend: Callable[[str], Context],
        *,
        first: str = "",
        only: Collection[str] | None = None,
        skip: Collection[str] = (),
        seconds: float | None = None,
        grace: float = GRACE,
        progress: Callable[[], object] = lambda: None,
        check: Callable[[Any], Any] = lambda value: value,
        **values: object,
    ) -> Iterator[Answer]:
        """Ask one back end after the other; the consumer stops when satisfied.

        A plugin that only wraps *hook* takes part in every single call, so that
        a cache or a tracer sees each back end's answer.

        :param lend: Makes the context for the back end of that name.
        :param first: The back end that goes before all others, if it is there.
        :param only: Ask these, if given, and no other.
        :param skip: Back ends that are not asked this time.
        :param seconds: Give up on a back end that has not answered by then; ``None`` waits. The built-in back
            end watches its own time.
        :param grace: Seconds that one at work may go on once its context says that it is cancelled.
        :param progress: Whenever its value has changed, the seconds count anew.
        :param check: Reads an answer, or raises what is wrong with it; wrong answers count as failures.
        :raises Cancelled: A back end, or the core on its behalf, was told to stop.
        """
        asked = {
            impl.plugin_name: impl.plugin
            for impl in getattr(self._manager.hook, hook).get_hookimpls()
            if not (impl.wrapper or impl.hookwrapper)
        }
        for name in sorted(self.names, key=lambda name: name != first):  # stable: the rest keep their order
            if name not in asked or name in skip or (only is not None and name not in only):
                continue
            others = [plugin for other, plugin in asked.items() if other != name]
            call = self._manager.subset_hook_caller(hook, others)
            context = lend(name)
            started = time.perf_counter()
            failure, value, raised = None, None, None
            try:
                run = partial(call, **values, context=context)
                if name == CORE or seconds is None:
                    value = run()
                else:
                    value = within(seconds, run, name, context.cancelled, grace=grace, progress=progress)
                if call.spec and not call.spec.opts["firstresult"] and isinstance(value, list):
                    value = value[0] if value else None  # one back end was asked: at most one result
                if value is not None:
                    value = check(value)
            except UNRECOVERABLE:
                raise
            except BaseException as error:  # one back end must not stop the others, not even by SystemExit
                failure, value = failure_of(error, name), None
                raised = error if isinstance(error, Exception) else BackendError(failure.message, hint=failure.hint)
            outcome = Outcome.FAILED if failure else Outcome.DECLINED if value is None else Outcome.ANSWERED
            offers = len(value) if isinstance(value, Sequence) else int(value is not None)
            yield Answer(
                Attempt(
                    hook=hook,
                    backend=name,
                    outcome=outcome,
                    seconds=time.perf_counter() - started,
                    offers=offers,
                    failure=failure,
                ),
                value,
                raised,
            )


def failure_of(error: BaseException, backend: str) -> Failure:
    """Turn what back end *backend* raised into a value for the report, without secrets."""
    if isinstance(error, BackendError):
        failure = error.failure
        hint = redact_text(failure.hint)[:_LONGEST] if failure.hint else None
        return Failure(
            code=failure.code,
            message=redact_text(failure.message)[:_LONGEST],
            hint=hint,
            http_status=failure.http_status,
            retry_after=_finite(failure.retry_after),
        )
    return Failure(
        code=ErrorCode.BACKEND_FAILED,
        message=redact_text(f"{backend} failed: {type(error).__name__}: {error}")[:_LONGEST],
        hint=f"This is a fault of the back end; `--disable {backend}` leaves it out.",
    )


def _finite(seconds: object) -> float | None:
    """A number that JSON can hold, or nothing: back ends pass on what servers say."""
    return seconds if isinstance(seconds, (int, float)) and math.isfinite(seconds) else None


def load(
    *,
    order: Iterable[str] = (),
    disabled: Iterable[str] = (),
    builtin: Mapping[str, Backend] | None = None,
    discover: bool = True,
    distributions: Mapping[str, str] | None = None,
) -> Backends:
    """Load every installed back end that is not disabled.

    :param order: Names that go first, in this order; the rest follow by
        descending priority, then by name.
    :param disabled: Names that are not even imported.
    :param builtin: Back ends that need no discovery. Their names are taken.
    :param discover: False looks at no entry point at all.
    :param distributions: Back end name → distribution that may claim it, where several do.
    """
    manager = pluggy.PluginManager(PROJECT)
    for specification in SPECIFICATIONS:
        manager.add_hookspecs(specification)
    disabled = set(disabled)
    order = tuple(order)
    for name in disabled:
        manager.set_blocked(name)

    found: dict[str, Backend] = {}
    priorities: dict[str, int] = {}
    listings: dict[str, Listing] = {}
    for source in sources(builtin or {}, distributions or {}, discover=discover):
        name = source.name
        if name in disabled:
            listings[name] = source.listing(State.DISABLED, "disabled by the settings")
            continue
        if source.refusal:
            listings[name] = source.listing(State.REFUSED, source.refusal)
            continue
        try:
            backend = within(_IMPORT, source.obtain, name, lambda: False)
            priorities[name] = _checked_priority(backend, found)
        except TimedOut:
            listings[name] = source.listing(State.REFUSED, f"its import did not end within {_IMPORT:g} seconds")
        except BaseException as error:  # a broken plugin must not break the host, not even by SystemExit at import
            if isinstance(error, (KeyboardInterrupt, MemoryError)):
                raise
            listings[name] = source.listing(State.REFUSED, redact_text(f"{type(error).__name__}: {error}")[:500])
        else:
            found[name] = backend
            listings[name] = source.listing(State.READY, "")

    for name in sorted(disabled - set(listings)):
        listings[name] = Listing(name=name, state=State.DISABLED, reason="disabled by the settings; not installed")
    for name in order:
        if name not in listings:
            listings[name] = Listing(name=name, state=State.MISSING, reason="named in the order, but not installed")

    wanted = {name: place for place, name in reversed(tuple(enumerate(order)))}
    names = sorted(found, key=lambda name: (wanted.get(name, len(wanted)), -priorities[name], name))
    for name in reversed(tuple(names)):  # pluggy calls last-registered first
        refusal = _register(manager, found[name], name)
        hooks = tuple(
            hook
            for hook in ("resolve_model", "download_artifact", "verify_artifact")
            if any(impl.plugin_name == name for impl in getattr(manager.hook, hook).get_hookimpls())
        )
        if not refusal and not hooks:
            refusal = "implements none of the hooks; each method needs the mark @hookimpl"
            manager.unregister(name=name)
        if refusal:
            listings[name] = evolve(listings[name], state=State.REFUSED, reason=refusal)
            names.remove(name)
        else:
            listings[name] = evolve(listings[name], priority=priorities[name], hooks=hooks)
    rest = sorted(set(listings) - set(names))
    return Backends(tuple(names), tuple(listings[name] for name in (*names, *rest)), manager)


def _attribute(backend: Backend, name: str) -> Any:
    """An optional attribute of a back end; one that raises counts as absent."""
    try:
        return getattr(backend, name, None)
    except Exception:  # a property of somebody else's object: whatever it raises, the run goes on without it
        return None


def _register(manager: pluggy.PluginManager, backend: Backend, name: str) -> str:
    """Register, and say why that is refused; empty when it is not."""
    try:
        manager.register(backend, name=name)
        manager.check_pending()
    except Exception as error:  # pluggy reads every attribute of a plugin: its properties may raise anything
        if manager.has_plugin(name):  # pluggy < 1.7, or a misspelt hook
            manager.unregister(name=name)
        return redact_text(str(error))[:500] or type(error).__name__
    return ""


def _checked_priority(backend: Any, found: Mapping[str, Backend]) -> int:
    """Read the priority of an object that can serve as a back end, or raise what keeps it from being one."""
    if inspect.isclass(backend):
        raise TypeError(f"the entry point names the class {backend.__name__}; name an instance of it")
    version = getattr(backend, "api_version", None)
    if not isinstance(version, int) or version not in SUPPORTED_API_VERSIONS:
        raise ValueError(f"speaks API version {version}; this core speaks {sorted(SUPPORTED_API_VERSIONS)}")
    priority = getattr(backend, "priority", None)
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise TypeError("has no integer `priority`")
    try:
        hash(backend)
    except TypeError:
        raise TypeError("is not hashable, which pluggy needs (for attrs classes: `@define(eq=False)`)") from None
    for name, other in found.items():
        if other is backend:
            raise ValueError(f"is the same object as the back end {name}")
    return priority
