"""One HTTP request with its body unread: redirects by hand, address rules, credentials that stay at home."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin

from . import addresses
from ._version import __version__
from .answer import HttpAnswer
from .errors import BackendError, ErrorCode
from .pools import Pools

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

USER_AGENT = f"comfywatchman/{__version__}"
"""Plain on purpose: servers answer browser-like agents with login pages."""

MAX_REDIRECTS = 10
CONNECT_TIMEOUT = 10.0
SILENCE_TIMEOUT = 30.0
"""Seconds without a byte after which a connection is given up."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DRAINED = 64 << 10
"""Bytes of a redirect's body that are read, so that its connection can be used again."""


class TransportError(BackendError):
    """No answer came, or not all of it. ``retryable`` says whether another attempt could end differently."""

    def __init__(self, message: str, *, hint: str | None = None, retryable: bool = True) -> None:
        super().__init__(message, hint=hint, code=ErrorCode.NETWORK)
        self.retryable = retryable


class Exchange:
    """One answered request whose body is still to be read. Close it."""

    def __init__(self, response: BaseHTTPResponse, url: str, hops: tuple[str, ...], latency: float) -> None:
        self._response = response
        self.url = url
        """Where the answer came from. May hold a signature: never print it."""
        self.hops = hops
        """Every address asked, the first and the last included."""
        self.latency = latency
        """Seconds from the last of these requests to its answer, a new connection included."""
        self.status: int = response.status

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; what came more than once is joined with commas."""
        return {name.lower(): value for name, value in self._response.headers.items()}

    def read(self, amount: int) -> bytes:
        """Read *amount* bytes of the body as they are on the wire; fewer at its end, none after it.

        :raises TransportError: The connection broke, was silent for too long (``stalled``), or ended before its time.
        """
        return self._read(self._response.read, amount)

    def read_some(self, amount: int) -> bytes:
        """Read what has arrived, or is the next to arrive; otherwise as :meth:`read`."""
        return self._read(self._response.read1, amount)

    def _read(self, read: Callable[..., bytes], amount: int) -> bytes:
        try:
            return read(amount, decode_content=False)
        except Exception as error:  # urllib3, http.client and ssl share no public base
            from urllib3.exceptions import ReadTimeoutError

            failure = as_transport_error(error, self.url)
            if isinstance(error, (TimeoutError, ReadTimeoutError)):
                failure.code = ErrorCode.STALLED
            raise failure from error

    def answer(self, limit: int) -> HttpAnswer:
        """Read at most *limit* bytes of the body and one more, and close."""
        try:
            # decode_content: an API may compress although it was not asked to; a bounded read keeps bombs out.
            body = self._response.read(limit + 1, decode_content=True)
        except Exception as error:  # as above
            raise as_transport_error(error, self.url) from error
        finally:
            self.close()
        return HttpAnswer(status=self.status, headers=self.headers, body=body, url=self.url)

    def abort(self) -> None:
        """End the exchange from another thread: whoever reads from it stops waiting.

        What is read from then on must not be used: Python's TLS sockets, once shut down, hand out what is left
        in the buffer without decrypting it.
        """
        with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
            self._response.shutdown()

    def close(self) -> None:
        """Give the connection back if the body was read to its end, and end it otherwise."""
        self._response.close()


class Transport:
    """Opens exchanges, and holds the rule which addresses they may be opened with.

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
        self._pools = Pools()

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
        via: str = "",
    ) -> Exchange:
        """Ask, follow redirects by hand, and return the answer with its body unread.

        :param headers: Sent at every hop.
        :param credentials: Sent to the origin of *url* only, and dropped for good at the first other one.
        :param endpoint: The base URL that the user configured; see :class:`~.models.Candidate`.
        :param silence: Seconds without a byte after which the connection is given up.
        :param follow: False returns a redirect as it is.
        :param via: The address that redirected to *url* in an earlier exchange, with the same *endpoint*.
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
        previous, lend = via, dict(credentials or {})
        while True:
            addresses.check_scheme(url, endpoint=endpoint, previous=previous)
            if lend and addresses.origin(url) != addresses.origin(hops[0] if hops else url):
                lend = {}
            hops.append(url)
            response, latency = self._send(method, url, {**(headers or {}), **lend}, endpoint, body, silence)
            location = response.headers.get("Location")
            if not follow or response.status not in _REDIRECTS or location is None:
                return Exchange(response, url, tuple(hops), latency)
            _finish(response)
            if len(hops) > MAX_REDIRECTS:
                raise BackendError(
                    f"{addresses.redact(hops[0])} redirects more than {MAX_REDIRECTS} times", code=ErrorCode.UNAVAILABLE
                )
            previous = url
            # http.client hands headers over as latin-1; a Location in raw UTF-8 is put back together.
            try:
                url = urljoin(url, location.encode("latin-1", "replace").decode("utf-8", "replace"))
            except ValueError:
                url = ""
            addresses.split(url)
            if addresses.split(previous).scheme == "https" and addresses.split(url).scheme != "https":
                raise BackendError(
                    f"{addresses.redact(previous)} redirects from https to http, which is refused",
                    code=ErrorCode.UNAVAILABLE,
                )
            if response.status == 303 and method != "HEAD":
                method, body = "GET", None

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], endpoint: str, body: bytes | None, silence: float
    ) -> tuple[BaseHTTPResponse, float]:
        import urllib3  # heavy: only when something is transferred

        proxy = self._pools.proxy_of(url)
        inside = self._allow_private or self._may_lead_inside(url, endpoint)
        # Behind a proxy the peer is the proxy, which does the look-up: only a spelling can be judged here.
        if not inside and (addresses.spells_private(url) if proxy else addresses.leads_inside(url)):
            raise addresses.refused_as_private(url)
        try:
            secure = addresses.split(url).scheme == "https"
            manager = self._pools.manager(proxy, secure=secure, guarded=not inside and not proxy)
            began = time.monotonic()
            response: BaseHTTPResponse = manager.urlopen(
                method,
                url,
                body=body,
                headers=_with_defaults(headers, url),
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=self._connect_timeout, read=silence),
            )
        except BackendError:
            raise
        except urllib3.exceptions.ClosedPoolError:  # another thread let resting connections go; nothing was sent yet
            return self._send(method, url, headers, endpoint, body, silence)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # What died is likely not alone, and a server that takes only so many waits for one that rests to go.
            self._pools.drop_idle()
            raise as_transport_error(error, url) from error
        return response, time.monotonic() - began

    def _may_lead_inside(self, url: str, endpoint: str) -> bool:
        """An endpoint may be anywhere; the storage host it redirects to may be where the endpoint is."""
        if not endpoint:
            return False
        return addresses.origin(url) == addresses.origin(endpoint) or addresses.leads_inside(endpoint)

    def close(self) -> None:
        """Close every connection that waits for its next request."""
        self._pools.drop_idle()


def _with_defaults(headers: Mapping[str, str], url: str) -> dict[str, str]:
    """Add what every request says, and the login of an address that holds one (``https://me:secret@nas/``)."""
    given = {name.lower() for name in headers}
    defaults = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    parts = addresses.split(url)
    if parts.username is not None:
        from urllib3 import make_headers

        login = make_headers(basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")
        defaults["Authorization"] = login["authorization"]
    return {**{name: text for name, text in defaults.items() if name.lower() not in given}, **headers}


def _finish(response: BaseHTTPResponse) -> None:
    """Make the connection usable again where that is cheap."""
    with suppress(Exception):  # a redirect without its body is as good
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) <= _DRAINED:
            response.read(_DRAINED, decode_content=False)
    response.close()


def as_transport_error(error: BaseException, url: str) -> TransportError:
    """Say in one sentence what kept *url* from answering."""
    import socket
    import ssl

    from urllib3 import exceptions

    where = addresses.redact(url)
    chain = tuple(_chain(error))
    root = addresses.redact_text(str(chain[-1]))[:200]
    for link in chain:
        if isinstance(link, TransportError):
            return link
        if isinstance(link, BackendError):
            return TransportError(str(link), hint=link.hint, retryable=False)
    if isinstance(error, exceptions.ProxyError):
        return TransportError(
            f"the proxy did not let {where} through: {root}", hint="Check HTTPS_PROXY and NO_PROXY.", retryable=False
        )
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        return TransportError(
            f"the certificate of {where} is not accepted: {root}",
            hint="Check the clock; behind a company proxy, set SSL_CERT_FILE to its certificate.",
            retryable=False,
        )
    if any(isinstance(link, socket.gaierror) for link in chain):  # urllib3 counts it among the time-outs, too
        return TransportError(
            f"no address is known of {addresses.printable(addresses.split(url).hostname or '')}: {root}",
            hint="Check the network; behind a proxy, set HTTPS_PROXY.",
        )
    refused = any(isinstance(link, ConnectionError) for link in chain)  # urllib3 counts a refusal among the time-outs
    if not refused and any(isinstance(link, (exceptions.TimeoutError, TimeoutError)) for link in chain):
        return TransportError(
            f"{where} was silent for too long", hint="Check the network and run again; what has arrived is kept."
        )
    if isinstance(error, (ValueError, exceptions.LocationValueError, exceptions.InvalidHeader)):
        return TransportError(f"{where} cannot be asked: {root}", retryable=False)
    if isinstance(error, FileNotFoundError):
        return TransportError(
            f"the certificates cannot be read: {root}",
            hint="Check REQUESTS_CA_BUNDLE and SSL_CERT_FILE.",
            retryable=False,
        )
    return TransportError(f"the connection to {where} failed: {root}", hint="Check the network.")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """*error* and what it was raised from; libraries hide that in several places."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen and len(seen) < 10:
        seen.append(link)
        yield link
        reason = getattr(link, "reason", None)
        inner = link.args[-1] if link.args else None
        link = next(
            (one for one in (reason, link.__cause__, link.__context__, inner) if isinstance(one, BaseException)), None
        )
