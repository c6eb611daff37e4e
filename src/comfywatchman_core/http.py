"""HTTP as both the transfers and the JSON clients use it: pools, redirects, address rules, errors.

What a library does behind one's back is switched off here, once: ``netrc``
(requests lets it replace an explicit token), cookies, decoding of bodies,
redirects that carry headers to another host (custom ones survive in requests).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from attrs import define, field, frozen

from . import addresses
from ._version import __version__
from .errors import AuthRequired, BackendError, Cancelled, ErrorCode
from .pacing import LONGEST_WAIT, HostGates, backoff, retry_after

if TYPE_CHECKING:
    import requests

USER_AGENT = f"comfywatchman/{__version__}"
"""Plain on purpose: servers answer browser-like agents with login pages."""

MAX_REDIRECTS = 10
MAX_JSON_BYTES = 16 << 20
CONNECT_TIMEOUT = 10.0
SILENCE_TIMEOUT = 30.0
"""Seconds without a byte after which a connection is given up."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class TransportError(BackendError):
    """No answer came. ``retryable`` says whether another attempt could end differently."""

    def __init__(self, message: str, *, hint: str | None = None, retryable: bool = True) -> None:
        super().__init__(message, hint=hint, code=ErrorCode.NETWORK)
        self.retryable = retryable


@frozen(kw_only=True)
class HttpAnswer:
    """An answer read whole; bounded in size."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    """Where the answer came from, after redirects. May hold a signature: never print it."""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Parse the body. :raises BackendError: It is not JSON, whatever the status and the type say."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("content-type", "no content type").partition(";")[0]
            raise BackendError(
                f"{addresses.redact(self.url)} answered {self.status} with {addresses.printable(kind)} instead of JSON",
                code=ErrorCode.UNAVAILABLE,
                http_status=self.status,
                hint="The service may be down for maintenance, or a proxy answers in its place; try again later.",
                response=self,
            ) from error

    def error(self, message: str = "", *, hint: str | None = None) -> BackendError:
        """The error that this answer stands for, by its status."""
        message = message or f"{addresses.redact(self.url)} answered {self.status}"
        kind: type[BackendError] = AuthRequired if self.status in (401, 403) else BackendError
        return kind(
            message,
            hint=hint,
            code=code_of_status(self.status),
            http_status=self.status,
            retry_after=retry_after(self.headers),
            response=self,
        )


def code_of_status(status: int) -> ErrorCode:
    """Map an HTTP status onto the report's vocabulary, for a source that says nothing more exact."""
    if status in (401, 403):
        return ErrorCode.AUTH_REQUIRED
    if status in (404, 410):
        return ErrorCode.NOT_FOUND
    if status == 429:
        return ErrorCode.RATE_LIMITED
    return ErrorCode.UNAVAILABLE


@define
class Exchange:
    """One answered request whose body is still to be read. Close it."""

    response: requests.Response
    url: str
    """Where the answer came from. May hold a signature: never print it."""
    hops: tuple[str, ...]
    """Every address asked, the first and the last included."""

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self.response.headers.items()}

    def answer(self, limit: int) -> HttpAnswer:
        """Read at most *limit* bytes of the body, and close."""
        try:
            # decode_content: an API may compress although it was not asked to; a bounded read keeps bombs out.
            body = self.response.raw.read(limit + 1, decode_content=True) if self.response.raw else b""
        except Exception as error:  # urllib3's read errors share no public base with requests'
            raise as_transport_error(error, self.url) from error
        finally:
            self.close()
        return HttpAnswer(status=self.status, headers=self.headers, body=body, url=self.url)

    def close(self) -> None:
        self.response.close()


class Transport:
    """Pools of connections, and the rule which addresses they may be used for.

    Safe to share between threads.

    :param allow_private: Accept private addresses for every URL (``allow_private_urls``).
    :param offline: Open no socket; every request fails with ``unavailable``.
    """

    def __init__(
        self, *, allow_private: bool = False, offline: bool = False, connect_timeout: float = CONNECT_TIMEOUT
    ) -> None:
        self._allow_private = allow_private
        self._offline = offline
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._sessions: dict[bool, requests.Session] = {}

    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        credentials: Mapping[str, str] | None = None,
        endpoint: str = "",
        body: bytes | None = None,
        silence: float = SILENCE_TIMEOUT,
        follow: bool = True,
    ) -> Exchange:
        """Ask, follow redirects by hand, and return the answer with its body unread.

        :param headers: Sent at every hop.
        :param credentials: Sent to the origin of *url* only, and dropped for good at the first other one.
        :param endpoint: The base URL that the user configured; see :class:`~.models.Candidate`.
        :param silence: Seconds without a byte after which the connection is given up.
        :param follow: False returns a redirect as it is.
        :raises BackendError: The address is refused, or a redirect leads nowhere.
        :raises TransportError: No answer came.
        """
        if self._offline:
            raise BackendError(
                f"{addresses.redact(url)} was not asked: offline",
                code=ErrorCode.UNAVAILABLE,
                hint="Run again without --offline.",
            )
        hops: list[str] = []
        previous, lend = "", dict(credentials or {})
        while True:
            addresses.check_scheme(url, endpoint=endpoint, previous=previous)
            if lend and addresses.origin(url) != addresses.origin(hops[0] if hops else url):
                lend = {}
            hops.append(url)
            response = self._send(method, url, {**(headers or {}), **lend}, endpoint, body, silence)
            location = response.headers.get("Location")
            if not follow or response.status_code not in _REDIRECTS or location is None:
                return Exchange(response, url, tuple(hops))
            response.close()
            if len(hops) > MAX_REDIRECTS:
                raise BackendError(
                    f"{addresses.redact(hops[0])} redirects more than {MAX_REDIRECTS} times", code=ErrorCode.UNAVAILABLE
                )
            previous = url
            # requests hands headers over as latin-1; a Location in raw UTF-8 is put back together.
            url = urljoin(url, location.encode("latin-1", "replace").decode("utf-8", "replace"))
            addresses.split(url)
            if addresses.split(previous).scheme == "https" and addresses.split(url).scheme != "https":
                raise BackendError(
                    f"{addresses.redact(previous)} redirects from https to http, which is refused",
                    code=ErrorCode.UNAVAILABLE,
                )
            if response.status_code == 303 and method != "HEAD":
                method, body = "GET", None

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], endpoint: str, body: bytes | None, silence: float
    ) -> requests.Response:
        import requests  # heavy: only when something is transferred

        inside = self._allow_private or self._may_lead_inside(url, endpoint)
        proxies = requests.utils.get_environ_proxies(url, no_proxy=None)
        if not inside and not proxies and addresses.leads_inside(url):
            raise addresses.refused_as_private(url)
        request = requests.Request(method, url, headers=dict(headers), data=body).prepare()
        request.headers.setdefault("User-Agent", USER_AGENT)
        request.headers.setdefault("Accept-Encoding", "identity")
        try:
            return self._session(inside=inside or bool(proxies)).send(
                request,
                stream=True,
                timeout=(self._connect_timeout, silence),
                allow_redirects=False,
                verify=_authorities(),
                proxies=proxies,
            )
        except BackendError:
            raise
        except (requests.RequestException, OSError, ValueError) as error:
            raise as_transport_error(error, url) from error

    def _may_lead_inside(self, url: str, endpoint: str) -> bool:
        """An endpoint may be anywhere; the storage host it redirects to may be where the endpoint is."""
        if not endpoint:
            return False
        return addresses.origin(url) == addresses.origin(endpoint) or addresses.leads_inside(endpoint)

    def _session(self, *, inside: bool) -> requests.Session:
        with self._lock:
            if inside not in self._sessions:
                self._sessions[inside] = _new_session(guarded=not inside)
            return self._sessions[inside]

    def close(self) -> None:
        with self._lock:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()


def _new_session(*, guarded: bool) -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter

    from .peers import guard

    session = requests.Session()
    session.trust_env = False  # netrc would replace an explicit bearer token; proxies are read by hand
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=16, pool_maxsize=64)
    if guarded:
        guard(adapter.poolmanager)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.headers.clear()
    return session


def _authorities() -> str | bool:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := os.environ.get(name):
            return path
    return True


def as_transport_error(error: BaseException, url: str) -> TransportError:
    """Say in one sentence what kept *url* from answering."""
    import requests
    import urllib3

    where = addresses.redact(url)
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(chain) < 10:
        chain.append(link)
        reason = getattr(link, "reason", None)
        link = reason if isinstance(reason, BaseException) else link.__cause__ or link.__context__
        if link is None and chain[-1].args and isinstance(chain[-1].args[0], BaseException):
            link = chain[-1].args[0]
        if link in chain:
            break
    for link in chain:
        if isinstance(link, BackendError):
            return TransportError(str(link), hint=link.hint, retryable=False)
    if any(isinstance(link, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)) for link in chain):
        return TransportError(
            f"the certificate of {where} is not accepted: {addresses.redact_text(str(chain[-1]))}",
            hint="Check the clock; behind a company proxy, set SSL_CERT_FILE to its certificate.",
            retryable=False,
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return TransportError(
            f"the proxy did not let {where} through: {addresses.redact_text(str(chain[-1]))}",
            hint="Check HTTPS_PROXY and NO_PROXY.",
            retryable=False,
        )
    if any(
        isinstance(link, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)) for link in chain
    ):
        return TransportError(f"{where} was silent for too long", hint="Check the network; the next run goes on.")
    if isinstance(
        error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, ValueError)
    ) and not isinstance(error, requests.exceptions.ConnectionError):
        return TransportError(f"{where} cannot be asked: {type(error).__name__}", retryable=False)
    return TransportError(
        f"the connection to {where} failed: {addresses.redact_text(str(chain[-1]))[:200]}", hint="Check the network."
    )


class ApiClient:
    """A polite client for JSON APIs. Safe to share between threads.

    Retries what is worth it (no answer, 408, 425, 429, 5xx) with growing random
    pauses, honours ``Retry-After`` for all workers of an origin at once, bounds
    every body, and follows redirects without handing credentials on.

    :param retries: Attempts after the first.
    :param timeout: Seconds of silence after which an attempt is given up.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        gates: HostGates | None = None,
        retries: int = 3,
        timeout: float = SILENCE_TIMEOUT,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._transport = transport or Transport()
        self._gates = gates or HostGates()
        self._retries = retries
        self._timeout = min(timeout, SILENCE_TIMEOUT)
        self._cancelled = cancelled

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
        :raises BackendError: No answer; 5xx to the last; a body over *limit*; a refused redirect.
        :raises Cancelled: The caller asked to stop.
        """
        url = with_query(url, params)
        home = addresses.origin(url)
        attempts = 1 + (self._retries if retries is None else retries)
        for attempt in range(attempts):
            last = attempt == attempts - 1
            self._check_cancelled()
            self._gates.pass_through(home, self._cancelled)
            try:
                answer = self._transport.open(
                    method,
                    url,
                    headers=shared,
                    credentials=headers,
                    endpoint=home if endpoint is None else endpoint,
                    body=body,
                    silence=self._timeout,
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
            if answer.status not in _TRANSIENT or answer.status in final:
                return answer
            pause = retry_after(answer.headers)
            if pause is not None and pause > LONGEST_WAIT:
                last = True
            if not last:
                self._gates.close(home, pause if pause is not None else backoff(attempt))
            elif answer.status == 429:
                if pause is not None:
                    self._gates.close(home, min(pause, LONGEST_WAIT))
                return answer
            else:
                raise answer.error(hint="The service has trouble; try again later.")
            if last:
                break
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

    def _check_cancelled(self) -> None:
        if self._cancelled():
            raise Cancelled("stopped before a request")


def with_query(url: str, params: Mapping[str, Any] | None) -> str:
    """Add *params* to the query of *url*; sequences repeat their key, ``None`` is left out, booleans are lower case."""
    from urllib.parse import urlencode, urlsplit, urlunsplit

    if not params:
        return url
    pairs: list[tuple[str, str]] = []
    for key, value in params.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(key, str(one).lower() if isinstance(one, bool) else str(one)) for one in values if one is not None]
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(pairs))))
    return urlunsplit(parts._replace(query=query))
