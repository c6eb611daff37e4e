"""The contract between the core and a back end.

Each protocol below is at once the pluggy hook specification and the type that
a static checker holds a back end to. A back end is any object (usually an
instance of a class) that carries ``api_version`` and ``priority`` and
implements one or more of the hooks, marked with :data:`hookimpl`.

A hook implementation may name fewer arguments than the specification: pluggy
passes only those it names, so arguments can be added here without breaking
back ends that exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pluggy
from attrs import Factory, field, frozen

if TYPE_CHECKING:
    from .events import Event
    from .http import ApiClient
    from .models import Artifact, Candidate, Check, ModelRequest

PROJECT = "comfywatchman"
GROUP = "comfywatchman.backends"

API_VERSION = 1
"""Raised when an existing hook changes meaning or loses an argument; never for an addition."""
SUPPORTED_API_VERSIONS = frozenset({1})

_hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Fetch(Protocol):
    """Hands a transfer on to the engines: the other back ends, highest priority first."""

    def __call__(self, candidate: Candidate, target: Path, *, headers: Mapping[str, str] = ...) -> Artifact:
        """Bring *candidate* to *target*.

        :param headers: Sent to the origin of ``candidate.url`` and to no other.
        :raises BackendError: No engine could; ``response`` holds the refusing answer where there was one.
        """


def _no_client() -> ApiClient:
    from .http import ApiClient

    return ApiClient()


@frozen(kw_only=True)
class Context:
    """What the core lends a back end for one call."""

    name: str
    """The name under which the back end is installed; ``candidate.backend`` is compared with it."""
    settings: Mapping[str, object] = field(repr=False)  # may hold a token
    """The back end's own table of the configuration, as read from the file and the environment."""
    emit: Callable[[Event], None]
    """Tells whoever listens; never blocks and never raises."""
    fetch: Fetch
    """For a back end that has headers to add and no engine of its own."""
    cancelled: Callable[[], bool] = lambda: False
    """True once the caller has asked to stop; look between steps of long work."""
    http: ApiClient = Factory(_no_client)
    """A polite client for JSON APIs: time limits, retries, size bounds, redirects that drop credentials."""
    cache_dir: Path | None = None
    """A directory of the back end's own for answers worth keeping; ``None`` where nothing may be kept."""
    offline: bool = False
    """No socket may be opened. ``http`` and ``fetch`` see to that by themselves; a back end with a way of its own to
    a network looks here."""


class Backend(Protocol):
    """What every back end carries, whichever hooks it implements.

    It may also carry, each optional:

    * ``hosts``, a collection of host names, ``host:port`` where the port matters: addresses on those belong
      to this source, and the core's own engine does not answer for them while the back end is in use;
    * ``variables``, a mapping of its settings to the variables of the environment that it reads before them, the
      first that is set counts: ``comfywatchman config`` shows them, and of a secret only that it is set;
    * ``keeps_copies``, true for one that keeps copies of others' files by digest: it is asked for the very bytes
      before the source that a plan names, and after all sources where a plan is made;
    * ``prepare(requests, context)``, called once a run before the first question, with every
      :class:`ModelRequest` that is missing: the place for one batched request instead of many;
    * ``learn(request, candidate, sha256, size, context)``, called after each verified download;
    * ``diagnose(context)``, an iterable of :class:`Check` for ``comfywatchman doctor``: is the token
      accepted, does the source answer;
    * ``known(arguments, context, ask, write)``, which carries out ``comfywatchman known …`` and returns its exit
      code; ``write(text, facts)`` takes one line of output for people, and the same for programs.
    """

    @property
    def api_version(self) -> int: ...
    @property
    def priority(self) -> int:
        """Higher is asked earlier. From 80 on: knows without searching; 50: searches; below 0: last resort."""


class Resolver(Backend, Protocol):
    """A back end that knows, or can find out, where models are."""

    @_hookspec(firstresult=True)
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        """Say where *request* can be had.

        Asked back end by back end, highest priority first, until one offers a
        candidate that is sure enough for the caller.

        :returns: Candidates, best first; an empty sequence after a search that
            found nothing; ``None`` to decline without having searched.
        :raises BackendError: The search could not be made (no network, no
            token). It is recorded and the next back end is asked.
        """


class Downloader(Backend, Protocol):
    """A back end that can transfer."""

    @_hookspec(firstresult=True)
    def download_artifact(
        self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context
    ) -> Artifact | None:
        """Bring *candidate* to *target*, a path in a staging directory on the destination's file system.

        The back end that offered the candidate is asked first. If it declines,
        or hands the transfer on with ``context.fetch``, the others follow in
        priority order; the core's own engine is the last of them.

        :param headers: What the offering back end wants sent, its token for
            one. Never stored, never logged.
        :returns: The artifact, its digests computed on the way; ``None`` to decline.
        :raises BackendError: The bytes could not be had. What is at *target*
            may stay: the next attempt may resume from it.
        """


class Verifier(Backend, Protocol):
    """A back end that can say something about bytes on disk."""

    @_hookspec
    def verify_artifact(self, artifact: Artifact, candidate: Candidate, context: Context) -> Sequence[Check] | None:
        """State what is known about *artifact*.

        Every back end is asked; one failed check is enough to refuse the file.

        :returns: Checks that were made; ``None`` when there was nothing to check.
        """


SPECIFICATIONS = (Resolver, Downloader, Verifier)
