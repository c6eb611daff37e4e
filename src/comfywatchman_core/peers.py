"""Refuse connections whose other end is in the user's own network.

A name is looked up twice, once to check it and once to connect; between the
two it may change (DNS re-binding). So the address that was really connected
to is looked at, before a request is sent over it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .addresses import is_private, refused_as_private

if TYPE_CHECKING:
    from urllib3 import PoolManager


def guard(manager: PoolManager) -> None:
    """Make every connection of *manager* check its peer."""
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class GuardedConnection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _check(self)

    class GuardedTlsConnection(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _check(self)

    class GuardedPool(HTTPConnectionPool):
        ConnectionCls = GuardedConnection

    class GuardedTlsPool(HTTPSConnectionPool):
        ConnectionCls = GuardedTlsConnection

    manager.pool_classes_by_scheme = {"http": GuardedPool, "https": GuardedTlsPool}


def _check(connection: Any) -> None:
    peer = connection.sock.getpeername()
    if isinstance(peer, tuple) and is_private(str(peer[0])):
        url = f"https://{connection.host}:{connection.port}/"
        connection.close()
        raise refused_as_private(url)
