"""A small HTTP server on 127.0.0.1 whose answers are a function, and which remembers what it was asked.

For stand-ins of JSON APIs and their storage. What must break the rules of HTTP
(cuts, lies about lengths, silence) belongs to a raw socket server instead.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import Factory, field, frozen

from .payloads import range_of


@frozen(kw_only=True)
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    """Path and query, as sent."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


@frozen(kw_only=True)
class Reply:
    """One answer. ``Content-Length`` and ``Connection`` are added where missing."""

    status: int = 200
    headers: Mapping[str, str] = Factory(dict)
    body: bytes = field(default=b"", repr=False)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        """A JSON body; underscores in *headers* become dashes."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status=status, headers={"Content-Type": "application/json", **named}, body=dumps(value).encode())

    @classmethod
    def html(cls, text: str, status: int = 200) -> Reply:
        return cls(status=status, headers={"Content-Type": "text/html; charset=utf-8"}, body=text.encode())

    @classmethod
    def of_bytes(cls, data: bytes, asked: Asked, **headers: str) -> Reply:
        """A file, as storage serves it: ``Range`` is honoured with 206, or 416 past the end."""
        named = {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        wanted = asked.headers.get("range")
        if not wanted:
            return cls(headers=named, body=data)
        span = range_of(wanted, len(data))
        if span is None:
            return cls(status=416, headers={**named, "Content-Range": f"bytes */{len(data)}"})
        start, end = span
        named["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        return cls(status=206, headers=named, body=data[start:end])


class Origin:
    """A running server: its address, and what it was asked so far."""

    def __init__(self, scheme: str, host: str, server: ThreadingHTTPServer) -> None:
        self.url = f"{scheme}://{host}:{server.server_address[1]}"
        """Scheme, host and port."""
        self.asked: list[Asked] = []


@contextmanager
def serve(
    answer: Callable[[Asked], Reply], *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[Origin]:
    """Run a server whose every answer is ``answer(asked)``, until the block ends.

    :param host: How the origin names itself; ``localhost`` makes another origin of the same address.
    :param tls: Makes it an ``https`` origin that shows this context's certificate.
    """
    origin: Origin

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                method=self.command,
                target=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            origin.asked.append(asked)
            reply = answer(asked)
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if not any(name.lower() == "content-length" for name in reply.headers):
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_HEAD = do_POST = do_PUT = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: the requests are kept in ``Origin.asked``."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away in the middle is part of many tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    origin = Origin("http" if tls is None else "https", host, server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
