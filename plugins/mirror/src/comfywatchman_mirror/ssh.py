"""Connect to an SFTP server as ssh would: its known hosts, its configuration, its keys and its agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .settings import Settings

_PIECE = 32 << 10
"""Bytes of one answer of OpenSSH's server."""
_AHEAD = 64 << 20
"""Bytes that are asked for at a time."""


def connect(settings: Settings, *, connect_seconds: float, silence: float) -> Any:
    """fsspec's file system over a connection to a host that is known, with a login from ssh's own places.

    fsspec by itself trusts whoever answers; here an unknown host is refused.

    :param silence: Seconds without an answer after which the connection is given up.
    """
    paramiko: Any = import_module("paramiko")
    sftp: Any = import_module("fsspec.implementations.sftp")

    class KnownHost(sftp.SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            self.client.load_system_host_keys()
            self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            try:
                self.client.connect(self.host, **self.ssh_kwargs)
                self.ftp = self.client.open_sftp()
                self.ftp.get_channel().settimeout(silence)
            except BaseException:
                self.client.close()
                raise

    parts = urlsplit(settings.url)
    told = _configured(paramiko, parts.hostname or "")
    login: dict[str, Any] = {
        "port": parts.port or int(told.get("port", 22)),
        "username": unquote(parts.username) if parts.username else told.get("user"),
        "key_filename": told.get("identityfile"),
        "timeout": connect_seconds,
        "banner_timeout": connect_seconds,
        "auth_timeout": connect_seconds,
    }
    return KnownHost(told.get("hostname", parts.hostname), skip_instance_cache=True, **{**login, **settings.options})


def pieces_of(file: Any, start: int) -> Iterator[bytes]:
    """Yield an open *file* from byte *start* on, asking for what lies ahead before it is read.

    :raises EOFError: The connection ended, or the file became shorter. Other errors are paramiko's.

    Otherwise each 32 KiB wait for an answer. (Measured with paramiko 5 over loopback: 150 MiB/s; 4 without asking
    ahead, 7 with its own limit of requests on their way, which it keeps by sleeping, or with larger pieces.)
    """
    size = int(file.stat().st_size)
    file.seek(start)
    _let_die_quietly(file)
    while start < size:
        end = min(size, start + _AHEAD)
        file.prefetch(end)
        while start < end:
            piece = file.read(min(_PIECE, end - start))
            if not piece:  # paramiko takes a connection that ended for the end of the file
                raise EOFError(f"it broke off after {start:,} of {size:,} bytes")
            start += len(piece)
            yield piece


def _let_die_quietly(file: Any) -> None:
    """paramiko asks in a thread that it lets die in the open when the connection breaks; the reader is told anyway."""
    asking = getattr(file, "_prefetch_thread", None)
    if asking is not None:

        def quietly(*ranges: Any) -> None:
            with suppress(Exception):
                asking(*ranges)

        file._prefetch_thread = quietly


def _configured(paramiko: Any, host: str) -> dict[str, Any]:
    """What ``~/.ssh/config`` says of *host*."""
    file = Path("~/.ssh/config").expanduser()
    return dict(paramiko.SSHConfig.from_path(str(file)).lookup(host)) if file.is_file() else {}
