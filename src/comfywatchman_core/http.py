"""HTTP as back ends use it: questions to JSON APIs, asked politely and answered within bounds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from . import addresses
from .answer import TRANSIENT
from .answer import HttpAnswer as HttpAnswer
from .errors import BackendError, Cancelled, ErrorCode
from .pacing import LONGEST_WAIT, HostGates, backoff, retry_after
from .transport import SILENCE_TIMEOUT
from .transport import Transport as Transport
from .transport import TransportError as TransportError

MAX_JSON_BYTES = 16 << 20


class ApiClient:
    """A polite client for JSON APIs. Safe to share between threads.

    Retries what is worth it (no answer, 408, 425, 429, 5xx) with growing random
    pauses, honours ``Retry-After`` for all workers of an origin at once, bounds
    every body, and follows redirects without handing credentials on.

    :param retries: Attempts after the first.
    :param timeout: Seconds that one call may wait. Silence ends an attempt after 30 of them at the latest; a
        source that wants to be left alone for longer is not waited for.
    :param on_wait: Told the origin and the seconds whenever a call waits for its turn, from a second on.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        gates: HostGates | None = None,
        retries: int = 3,
        timeout: float = SILENCE_TIMEOUT,
        cancelled: Callable[[], bool] = lambda: False,
        on_wait: Callable[[str, float], None] = lambda origin, seconds: None,
    ) -> None:
        self._transport = transport or Transport()
        self._gates = gates or HostGates()
        self._retries = retries
        self._silence = min(timeout, SILENCE_TIMEOUT)
        self._patience = min(timeout, LONGEST_WAIT)
        self._cancelled = cancelled
        self._on_wait = on_wait

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        endpoint: str | None = None,
        limit: int = MAX_JSON_BYTES,
        follow: bool = True,
        retries: int | None = None,
        shared: Mapping[str, str] | None = None,
        final: Collection[int] = (),
    ) -> HttpAnswer:
        """Ask once, or as often as it is worth, and read the answer whole.

        :param params: Added to the query; a sequence repeats the key; ``None`` values are left out.
        :param headers: Sent to the origin of *url* only.
        :param endpoint: The base URL that the user configured. Installed code vouches for the address it
            asks: without one, the origin of *url* itself counts as configured.
        :param limit: Bytes the body may have.
        :param shared: Headers without secrets (``Range``, ``Accept``), sent at every hop of a redirect.
        :param final: Statuses that the caller deals with itself; they are returned at once.
        :returns: The answer, whatever its status below 500, and 429 once retrying is pointless.
        :raises BackendError: No answer; 5xx to the last; a body over *limit*; a refused redirect;
            ``rate_limited``: the source wants to be left alone for longer than this client waits.
        :raises Cancelled: The caller asked to stop.
        """
        url = with_query(url, params)
        home = addresses.origin(url)
        attempts = 1 + (self._retries if retries is None else retries)
        for attempt in range(attempts):
            last = attempt == attempts - 1
            self._check_cancelled()
            self._check_patience(home)
            if (wait := self._gates.remaining(home)) >= 1:
                self._on_wait(home, wait)
            self._gates.pass_through(home, self._cancelled)
            try:
                answer = self._transport.open(
                    method,
                    url,
                    headers=shared,
                    credentials=headers,
                    endpoint=home if endpoint is None else endpoint,
                    body=body,
                    silence=self._silence,
                    follow=follow,
                ).answer(limit)
            except TransportError as error:
                if last or not error.retryable:
                    raise
                self._gates.sleep(backoff(attempt), self._cancelled)
                continue
            if len(answer.body) > limit:
                raise BackendError(
                    f"{addresses.redact(url)} answered with more than {limit} bytes", code=ErrorCode.UNAVAILABLE
                )
            if answer.status not in TRANSIENT or answer.status in final:
                return answer
            told = retry_after(answer.headers)
            pause = max(told or 0.0, backoff(attempt))
            if not last and pause <= self._patience:
                self._gates.close(home, pause)
                continue
            if told is not None:
                self._gates.close(home, told)
            if answer.status == 429:
                return answer
            raise answer.error(hint="The service has trouble; try again later.")
        raise AssertionError("unreachable")

    def get(self, url: str, **options: Any) -> HttpAnswer:
        """:meth:`request` with ``GET``."""
        return self.request("GET", url, **options)

    def get_json(self, url: str, **options: Any) -> Any:
        """:meth:`get`, parsed. :raises BackendError: Also for every status but 2xx."""
        answer = self.get(url, **options)
        if not 200 <= answer.status < 300:
            raise answer.error()
        return answer.json()

    def _check_patience(self, home: str) -> None:
        wait = self._gates.remaining(home)
        if wait > self._patience:
            raise BackendError(
                f"{home} wants to be left alone for {wait:.0f} seconds more",
                code=ErrorCode.RATE_LIMITED,
                http_status=429,
                retry_after=wait,
                hint="Run again after that time; what has arrived is kept.",
            )

    def _check_cancelled(self) -> None:
        if self._cancelled():
            raise Cancelled("stopped before a request")


def with_query(url: str, params: Mapping[str, Any] | None) -> str:
    """Add *params* to the query of *url*; sequences repeat their key, ``None`` is left out, booleans are lower case."""
    if not params:
        return url
    pairs: list[tuple[str, str]] = []
    for key, value in params.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(key, str(one).lower() if isinstance(one, bool) else str(one)) for one in values if one is not None]
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(pairs))))
    return urlunsplit(parts._replace(query=query))
