"""Download a file: by its id, then by the address that the API prints, then once more after a pause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, evolve

from comfywatchman_core import Artifact, BackendError, Candidate

from .credentials import Key
from .offers import PRINTED
from .pace import rest
from .refusals import is_quota, refused_download

if TYPE_CHECKING:
    from comfywatchman_core import Context

    from .service import Service

SECONDS_TO_HEAL = 3.0
"""The storage behind the service is at times not found for a moment, and told as 404."""


@define(kw_only=True)
class Transfer:
    """One download, with the ways around the service's known faults."""

    service: Service
    context: Context
    key: Key | None
    candidate: Candidate

    def bring(self, target: Path) -> Artifact:
        """Bring the candidate to *target*; the core's engine moves the bytes and leaves the key at the first hop.

        :raises BackendError: It cannot be had; the code and the hint say why.
        """
        self.service.run.check_open()
        for candidate in self._ways():
            try:
                return self.context.fetch(candidate, target, headers=self.key.headers if self.key else {})
            except BackendError as error:
                refusal = self._explained(error)
                if refusal.http_status != 404:
                    raise refusal from error
        raise refusal

    def _ways(self) -> Iterator[Candidate]:
        """The addresses to try while the answer is 404."""
        yield self.candidate
        printed = self.candidate.details.get(PRINTED, "")
        address = self.service.base_url + printed
        if printed.startswith("/api/download/models/") and address != self.candidate.url:
            yield evolve(self.candidate, url=address)
        rest(SECONDS_TO_HEAL, self.context.cancelled)
        yield self.candidate

    def _explained(self, error: BackendError) -> BackendError:
        """What *error* means for this service; *error* itself where the answer says nothing more exact."""
        answer = error.response
        if answer is None:
            return error
        what = self.candidate.reference or "the file"
        refusal = refused_download(answer, what, self.service.base_url, self.key)
        if refusal is None:
            return error
        if is_quota(answer, self.service.base_url):
            self.service.run.close(refusal.failure)
        return refusal
