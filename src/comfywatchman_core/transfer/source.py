"""Where one candidate's bytes are asked for: its address, or the storage that this redirected to."""

from __future__ import annotations

from collections.abc import Mapping

from comfywatchman_core.addresses import origin
from comfywatchman_core.models import Candidate
from comfywatchman_core.pacing import HostGates
from comfywatchman_core.transport import Exchange, Transport

RUN_OUT = frozenset({400, 401, 403, 404, 410})
"""What a storage host says of a signed address whose time is over."""


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

    def rest(self) -> float:
        """Seconds for which the source wants to be left alone, by whomever it was told; 0 if it may be asked."""
        return self._gates.remaining(self.origin)

    def leave_alone(self, seconds: float) -> None:
        """Note what the source asked for. It holds for every file."""
        self._gates.close(self.origin, seconds)

    @property
    def is_storage_known(self) -> bool:
        return self._storage is not None

    def forget_storage(self) -> None:
        """Ask the source itself next time."""
        self._storage = None

    def open(self, headers: Mapping[str, str]) -> Exchange:
        """Ask for the bytes, once more at a fresh address of the storage where the first one is refused.

        :raises BackendError: as :meth:`~.Transport.open`.
        """
        used = self._storage
        exchange = self._ask(used, headers)
        used = used or self._storage
        if exchange.status not in RUN_OUT or used is None:
            return exchange
        exchange.close()
        # The fresh address may be another host's, which does not know this one's validators.
        headers = {name: text for name, text in headers.items() if name != "If-Range"}
        fresh = self._storage  # another connection may have been quicker
        return self._ask(None if fresh is used else fresh, headers)

    def _ask(self, storage: tuple[str, str] | None, headers: Mapping[str, str]) -> Exchange:
        url, via = storage or (self.url, "")
        exchange = self._transport.open(
            "GET",
            url,
            headers=headers,
            credentials={} if storage else self._credentials,
            endpoint=self._endpoint,
            silence=self._silence,
            via=via,
        )
        if storage is None:
            is_elsewhere = origin(exchange.url) != self.origin
            self._storage = (exchange.url, exchange.hops[-2]) if is_elsewhere else None
        return exchange
