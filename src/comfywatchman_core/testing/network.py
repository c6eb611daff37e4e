"""A guard: while it stands, no socket of this process reaches past the loopback interface."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class NetworkReached(AssertionError):
    """Something tried to reach past the loopback interface. No ordinary error: nothing may swallow it quietly."""


@contextmanager
def loopback_only() -> Iterator[list[str]]:
    """Refuse connections and look-ups beyond loopback until the block ends.

    Names below ``.invalid`` fail as they do everywhere (RFC 6761), for tests of unreachable hosts.

    :returns: What was refused so far, in words; it grows. A test run fails when it is not empty.
    """
    refused: list[str] = []
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(host: object) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name in ("localhost", "") or _is_loopback(str(name)):
            return
        if str(name).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        refused.append(str(name))
        raise NetworkReached(f"a test tried to reach {name}")

    def check_address(of: socket.socket, address: Any) -> None:
        if of.family in (socket.AF_INET, socket.AF_INET6):
            check(address[0])

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check_address(self, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check_address(self, address)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *rest: Any, **options: Any) -> Any:
        check(host)
        return look_up(host, *rest, **options)

    socket.socket.connect = guarded_connect  # type: ignore[assignment, method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[assignment, method-assign]
    socket.getaddrinfo = guarded_look_up
    try:
        yield refused
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign]
        socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]
        socket.getaddrinfo = look_up


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:  # numbers in other spellings, such as 0x7f.1
        return ipaddress.ip_address(socket.inet_ntoa(socket.inet_aton(host))).is_loopback
    except OSError:
        return False
