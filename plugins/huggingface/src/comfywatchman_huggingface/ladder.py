"""The rungs by which a request is answered: its address, then its name, cheapest and surest first."""

from __future__ import annotations

from attrs import evolve

from comfywatchman_core import BackendError, Candidate, Digest, Match, ModelRequest, errors

from .addressed import GONE, Addresses
from .confirming import agreement
from .filenames import has_model_suffix
from .hub import Hub
from .named import Names
from .publishers import PublisherIndex
from .ranking import Scored, offer
from .references import HubFile, StorageLink, read_reference, read_storage_link


class Ladder:
    """Answers requests by way of one Hub."""

    def __init__(self, hub: Hub, index: PublisherIndex) -> None:
        self._hub = hub
        self._names = Names(hub, index)
        self._addresses = Addresses(hub, self._names)

    def by_reference(self, file: HubFile, request: ModelRequest) -> list[Candidate]:
        """Answer what the user typed: exactly this file, or the list of what there is to choose from.

        :raises BackendError: The Hub could not be asked.
        """
        try:
            if not has_model_suffix(file.path) and (choices := self._addresses.choices(file)):
                return choices
            found = self._addresses.located(file)
        except BackendError as error:
            if error.code not in GONE:
                raise
            return [self._addresses.missing(file, error.failure)]
        match = Match.DIGEST if agreement(request.digests, found.facts) else Match.SOURCE_ID
        candidate = offer(Scored(found=found, match=match, score=1.0), self._hub.settings)
        if not candidate.folder and not request.folder and found.obstacle is None:
            candidate = evolve(candidate, folder=self._names.folder_inside(found.file))
        return [*self._names.mirrors(found, request), candidate]

    def by_workflow(self, request: ModelRequest) -> list[Candidate]:
        """Answer a request that has a file name: its address first, then addresses in notes, then the name.

        :raises BackendError: The Hub could not be asked, or the name alone says nothing.
        """
        name = request.name.name if request.name else ""
        doubtful: list[Candidate] = []
        link = read_storage_link(request.url) if request.url else None
        declared = read_reference(request.url, self._hub.settings) if request.url and not link else None
        if declared is not None:
            try:
                found, sure = self._addresses.find(declared, request, name)
            except BackendError as error:
                if error.code not in GONE:
                    raise
                self._hub.asker.warn(f"The address that a workflow gives for {name} does not work: {error}.")
                doubtful = [self._addresses.missing(declared, error.failure)]
            else:
                if sure:
                    return found
                doubtful = found
        elif link is not None:
            self._hub.asker.warn(
                f"The address that a workflow gives for {name} is a storage link, which works for an hour only."
            )
            request = evolve(request, digests=request.digests or _digest_of(link))
        try:
            found = self._addresses.in_notes(request, name) or self._names.find(request, name)
        except BackendError as error:
            if doubtful and error.code is errors.ErrorCode.AMBIGUOUS:
                return doubtful  # there was an address, and what became of it says more than that the name does not
            raise
        return [*found, *(one for one in doubtful if one.obstacle is None or not found)]


def _digest_of(link: StorageLink) -> tuple[Digest, ...]:
    return (Digest("sha256", link.sha256),) if link.sha256 else ()
