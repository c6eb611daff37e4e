"""The engine as a back end: it answers for addresses that nobody else knows, and transfers any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from comfywatchman_core import addresses
from comfywatchman_core.errors import UnsafeName
from comfywatchman_core.hooks import Context, hookimpl
from comfywatchman_core.models import Artifact, Candidate, Match, ModelRequest
from comfywatchman_core.names import safe_basename
from comfywatchman_core.pacing import HostGates
from comfywatchman_core.reservation import Reservations
from comfywatchman_core.transport import Transport

from .crew import Crew
from .download import Download, Means
from .pace import Pace
from .settings import TransferSettings
from .slots import Slots


class Engine:
    """The back end ``core``. One per run; shared by all worker threads."""

    api_version = 1
    priority = -1000

    def __init__(
        self,
        settings: TransferSettings,
        *,
        transport: Transport,
        gates: HostGates | None = None,
        reservations: Reservations | None = None,
    ) -> None:
        self._means = Means(
            settings=settings,
            transport=transport,
            gates=gates or HostGates(),
            slots=Slots(max(settings.connections, settings.jobs)),
            crew=Crew(),
            pace=Pace(settings.limit_rate),
            reservations=reservations or Reservations(),
        )

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        """Offer the request's own address, as it is."""
        if not request.url:
            return None
        return (
            Candidate(
                match=Match.SOURCE_ID,
                url=request.url,
                size=request.size,
                digests=request.digests,
                name=_name_in(request.url),
                endpoint=addresses.origin(request.url) if request.explicit else "",
            ),
        )

    @hookimpl
    def download_artifact(
        self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context
    ) -> Artifact | None:
        """Bring *candidate* to *target*; declines what is no http address.

        Goes on with what an earlier call left at *target*, if it is of the same file.
        """
        if urlsplit(candidate.url).scheme not in ("http", "https"):
            return None
        return Download(self._means, candidate, target, headers, context).run()


def _name_in(url: str) -> str:
    """The file name that *url* ends in; empty where that is no name for a file."""
    try:
        return str(safe_basename(unquote(urlsplit(url).path)))
    except UnsafeName:
        return ""
