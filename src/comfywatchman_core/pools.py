"""Pools of connections: through which proxy, under which certificates, to which peers.

What a library does behind one's back stays out: no ``netrc`` (it would replace
an explicit token), no cookies, no retries and no redirects of its own.
"""

from __future__ import annotations

import ipaddress
import os
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from .addresses import split
from .peers import guard

if TYPE_CHECKING:
    import ssl

    from urllib3 import PoolManager

_HOSTS = 16
_CONNECTIONS = 64


class Pools:
    """Connections kept for the next request. Safe to share between threads.

    The environment is read once for each origin, and the certificates once:
    loading them costs more than a connection does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, bool, bool], PoolManager] = {}
        self._proxies: dict[tuple[str, str], str] = {}
        self._certificates: ssl.SSLContext | None = None

    def proxy_of(self, url: str) -> str:
        """The address of the proxy that the environment names for *url*; empty for none."""
        parts = split(url)
        key = (parts.scheme, parts.netloc.rpartition("@")[2])
        proxy = self._proxies.get(key)
        if proxy is None:
            proxy = self._proxies[key] = _proxy_of(*key, parts.hostname or "")
        return proxy

    def manager(self, proxy: str, *, secure: bool, guarded: bool) -> PoolManager:
        """The pools for one way out.

        :param secure: For https.
        :param guarded: Refuse peers in the user's own network.
        :raises OSError: The certificates that the environment names cannot be read.
        """
        with self._lock:
            key = (proxy, secure, guarded)
            if key not in self._managers:
                if self._certificates is None and (secure or proxy):
                    self._certificates = _certificates()
                self._managers[key] = _new_manager(proxy, self._certificates)
                if guarded:
                    guard(self._managers[key])
            return self._managers[key]

    def drop_idle(self) -> None:
        """Close every connection that waits for its next request."""
        with self._lock:
            for manager in self._managers.values():
                for key in manager.pools.keys():  # noqa: SIM118  it is no dict, and cannot be iterated over
                    if (pool := manager.pools.get(key)) is not None:
                        pool.close()  # clear() leaves that to the garbage collector
                manager.clear()


def _new_manager(proxy: str, certificates: ssl.SSLContext | None) -> PoolManager:
    import urllib3  # heavy: only when something is transferred

    if not proxy:
        return urllib3.PoolManager(num_pools=_HOSTS, maxsize=_CONNECTIONS, ssl_context=certificates)
    parts = urlsplit(proxy)
    headers = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=user)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return urllib3.ProxyManager(
        address, num_pools=_HOSTS, maxsize=_CONNECTIONS, proxy_headers=headers, ssl_context=certificates
    )


def _certificates() -> ssl.SSLContext:
    import certifi
    from urllib3.util import create_urllib3_context

    context = create_urllib3_context()
    # All that are named count: one may be the company's, the other the one of a single server.
    named = {os.environ.get(name, "") for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")} - {""}
    for path in named or {certifi.where()}:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    return context


def _proxy_of(scheme: str, netloc: str, host: str) -> str:
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(netloc) or _in_excepted_network(host, proxies.get("no", "")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _in_excepted_network(host: str, exceptions: str) -> bool:
    """``NO_PROXY`` may hold networks, such as ``10.0.0.0/8``; the standard library knows names only."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in exceptions.split(","):
        try:
            if address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
