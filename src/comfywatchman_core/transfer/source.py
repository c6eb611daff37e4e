"""Where one candidate's bytes are asked for: its address, or the storage that this redirected to."""

from __future__ import annotations

import time
from collections.abc import Mapping

from comfywatchman_core.addresses import origin
from comfywatchman_core.models import Candidate
from comfywatchman_core.pacing import HostGates
from comfywatchman_core.transport import Exchange, Transport

_YOUNG = 30.0
"""Seconds; no source signs addresses for less."""


class Source:
    """Opens exchanges for one candidate. Safe to share between threads.

    The address of the storage is asked again as long as it answers: a source
    may count, and limit, how often its own address is. A storage address may
    be signed and run out; then the source is asked for a fresh one.

    :param credentials: Sent to the origin of ``candidate.url`` and no other.
    :param silence: Seconds without a byte after which a connection is given up.
    """

    def __init__(
        self,
        transport: Transport,
        gates: HostGates,
        candidate: Candidate,
        credentials: Mapping[str, str],
        silence: float,
    ) -> None:
        self.url = candidate.url
        self.origin = origin(candidate.url)
        self._transport = transport
        self._gates = gates
        self._endpoint = candidate.endpoint
        self._credentials = credentials
        self._silence = silence
        self._storage: tuple[str, str] | None = None
        self._renewed = 0.0

    def rest(self) -> float:
        """Seconds for which the source wants to be left alone, by whomever it was told; 0 if it may be asked."""
        return self._gates.remaining(self.origin)

    def leave_alone(self, seconds: float) -> None:
        """Note what the source asked for. It holds for every file."""
        self._gates.close(self.origin, seconds)

    @property
    def is_storage_known(self) -> bool:
        return self._storage is not None

    def may_have_run_out(self) -> bool:
        """Say whether the storage address has been in use for so long that a refusal may mean its age."""
        return self._storage is not None and time.monotonic() - self._renewed > _YOUNG

    def forget_storage(self) -> None:
        """Ask the source itself next time."""
        self._storage = None

    def open(self, headers: Mapping[str, str]) -> Exchange:
        """Ask for the bytes. :raises BackendError: as :meth:`~.Transport.open`."""
        if self._storage is not None:
            url, via = self._storage
            return self._transport.open(
                "GET", url, headers=headers, endpoint=self._endpoint, silence=self._silence, via=via
            )
        exchange = self._transport.open(
            "GET",
            self.url,
            headers=headers,
            credentials=self._credentials,
            endpoint=self._endpoint,
            silence=self._silence,
        )
        if origin(exchange.url) != self.origin:
            self._storage = (exchange.url, exchange.hops[-2])
            self._renewed = time.monotonic()
        return exchange
