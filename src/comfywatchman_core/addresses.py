"""Which addresses may be asked, and how an address is shown.

Addresses in workflows and in redirects are written by strangers: they must
not reach into the user's own network. The one exception is explicit: an
endpoint that the user configured, and the storage host that it redirects to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from .errors import BackendError, ErrorCode

_DEFAULT_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=512)
def split(url: str) -> SplitResult:
    """Take *url* apart. :raises BackendError: It is not an absolute http(s) address."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (the property raises for a port that is no number)
    except ValueError as error:
        raise BackendError(f"not an address: {redact(url)}", code=ErrorCode.UNAVAILABLE) from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise BackendError(
            f"not an http address: {redact(url)}",
            code=ErrorCode.UNAVAILABLE,
            hint="Only https addresses are followed.",
        )
    # The library that connects takes the host before a backslash, the one that splits takes the one behind it; and
    # the latter drops tabs and newlines: a token for the one host would be sent to the other.
    if _CONTROL.search(url) or re.search(r"[\\\s]", parts.netloc):
        raise BackendError(f"not an address: {redact(url)}", code=ErrorCode.UNAVAILABLE)
    return parts


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@lru_cache(maxsize=512)
def origin(url: str) -> str:
    """Reduce *url* to scheme, host and port, spelled so that equal origins compare equal.

    :raises BackendError: It is not an absolute http(s) address.
    """
    parts = split(url)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"


def is_below(url: str, endpoint: str) -> bool:
    """Say whether *url* has the origin of *endpoint* and lies below its path. What is no address lies nowhere."""
    try:
        if not endpoint or origin(url) != origin(endpoint):
            return False
        base = unquote(split(endpoint).path).rstrip("/")
        path = unquote(split(url).path)
    except BackendError:
        return False
    if ".." in path.split("/"):  # servers resolve the dots, and leave the base
        return False
    return not base or path == base or path.startswith(base + "/")


def is_private(address: str) -> bool:
    """Say whether the IP *address* is anything but a public unicast address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if embedded is None and any(ip in network for network in _IPV4_AT_THE_END):
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_private(str(embedded))
        if ip.is_site_local or ip in _LOCAL_TRANSLATORS:
            return True
    return not ip.is_global or ip.is_multicast


# NAT64 (RFC 6052), and IPv4-compatible addresses (RFC 4291 2.5.5.1, deprecated).
_IPV4_AT_THE_END = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_LOCAL_TRANSLATORS = ipaddress.ip_network("64:ff9b:1::/48")  # RFC 8215; public to Python before 3.12.4


def addresses_of(host: str, port: int) -> list[str]:
    """Look up the IP addresses of *host*; numbers in any spelling (``0x7f.1``) count as what they mean.

    :raises BackendError: The name has no address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BackendError(
            f"{host} has no address: {error}", code=ErrorCode.NETWORK, hint="Check the network and the name."
        ) from error
    return [str(entry[4][0]) for entry in found]


def leads_inside(url: str) -> bool:
    """Say whether the host of *url* has an address in a private, loopback or link-local range."""
    parts = split(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return any(is_private(address) for address in addresses_of(parts.hostname or "", port))


def spells_private(url: str) -> bool:
    """Say whether the host of *url* is private by its spelling, without a look-up: a number, or ``localhost``.

    For addresses that a proxy would look up.
    """
    host = (split(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return is_private(host)
    except ValueError:
        pass
    try:
        return is_private(socket.inet_ntoa(socket.inet_aton(host)))
    except (OSError, UnicodeError):
        return False


def check_scheme(url: str, *, endpoint: str = "", previous: str = "") -> None:
    """Refuse plain ``http``, except below *endpoint* and where it redirects to.

    :param endpoint: The base URL that the user configured, or empty.
    :param previous: The address that redirected here, or empty for a first request.
    :raises BackendError: The address must not be asked.
    """
    if split(url).scheme == "https":
        return
    plain_allowed = (
        split(previous).scheme == "http" if previous else bool(endpoint) and is_below(url, endpoint)
    ) and bool(endpoint)
    if not plain_allowed:
        raise BackendError(
            f"{redact(url)} is refused: it is not https",
            code=ErrorCode.UNAVAILABLE,
            hint="Plain http is used only below an endpoint that you configured with http.",
        )


def refused_as_private(url: str) -> BackendError:
    """The error for an address that leads into the user's own network."""
    return BackendError(
        f"{redact(url)} is refused: it leads to a private address",
        code=ErrorCode.UNAVAILABLE,
        hint="If you trust it, pass the address on the command line, or set allow_private_urls = true in [download].",
    )


@lru_cache(maxsize=512)
def redact(url: str) -> str:
    """Show *url* without user, query and fragment; whatever it is, never raise."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if ":" in host:
            host = f"[{host}]"
        port = f":{parts.port}" if parts.port else ""
        if parts.scheme not in _DEFAULT_PORTS:
            return printable(url.partition("?")[0].partition("#")[0])
        return printable(urlunsplit((parts.scheme, host + port, parts.path, "", "")))
    except ValueError:
        return "(an address that cannot be read)"


_URL = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
_SECRET = re.compile(
    # headers, as they are sent and as a dictionary shows them
    r"(?i)(\b(?:(?:proxy-)?authorization|(?:set-)?cookie|x-(?:api-key|[a-z-]*token))[\"']?\s*[:=]\s*[\"']?"
    r"(?:(?:bearer|basic)\s+)?)[^\s\"',;]+"
    # parameters and settings; a colon and a blank alone may be prose
    r"|((?:token|api[_-]?key|x-amz-[a-z-]+|signature|\bsig|password|secret)(?:[\"']\s*:\s*[\"']?|=[\"']?|:(?=\S)))"
    r"[^\s&\"',;]+"
    r"|(\bbearer\s+)(?!token\b)[^\s\"',;]+"
    r"|\bhf_[A-Za-z0-9]{8,}"
)


def redact_text(text: str) -> str:
    """Show a message of a library or a server: its URLs redacted, token shapes removed, one printable line."""
    text = _URL.sub(lambda found: redact(found.group()), text)
    text = _SECRET.sub(lambda found: f"{found[1] or found[2] or found[3] or ''}***", text)
    return printable(text)


def printable(text: str) -> str:
    """Spell *text* in one line that a terminal takes literally.

    Names and server errors are an attack on a terminal: control characters, escape sequences, marks that
    change the direction of writing, and characters that nobody sees are spelled out.
    """
    if text.isprintable():
        return text
    return "".join(_spelled(character) for character in text)


def _spelled(character: str) -> str:
    if character in "\r\n\t":
        return " "
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    return f"\\u{ord(character):04x}" if character <= "\uffff" else f"\\U{ord(character):08x}"
