"""A storage host on a bare socket: each answer is a scene of a script, true to the rules of HTTP or not.

http.server keeps rules that real servers break. This one sends what the scene
says: wrong lengths, other ranges than asked for, half a body and then nothing.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum

from attrs import Factory, field, frozen

from .payloads import range_of, sha256

_REASONS = {200: "OK", 206: "Partial Content", 302: "Found", 307: "Temporary Redirect", 416: "Range Not Satisfiable"}


class Ending(Enum):
    """What becomes of the connection after the bytes of a scene."""

    KEEP = "it waits for the next request"
    FIN = "it is closed in order"
    RST = "it is reset"
    SILENCE = "it stays open, and nothing comes"


@frozen(kw_only=True)
class Scene:
    """One answer. Without changes it is what a good storage host sends: 200, 206 or 416."""

    status: int | None = None
    headers: Mapping[str, str | None] = Factory(dict)
    """Added or put in the place of what would be sent; ``None`` leaves one out."""
    body: bytes | None = field(default=None, repr=False)
    """Sent instead of the file, or the range of it that was asked for."""
    ranges: bool = True
    """False: the whole file, whatever was asked for."""
    honours_if_range: bool = True
    shift: int = 0
    """Bytes by which a range starts elsewhere than it was asked for, and says so."""
    sends: int | None = None
    """Bytes of the body that are sent before ``then``; all of them by default."""
    then: Ending = Ending.KEEP
    drip: float = 0.0
    """Seconds between single bytes that follow ``sends``, before ``then``."""
    delay: float = 0.0
    """Seconds before the head."""
    pace: float = 0.0
    """Bytes a second; 0 for as fast as it goes."""
    extra: bytes = b""
    """Sent after the body, beyond its announced length."""
    chunked: bool = False
    letters: float = 0.0
    """Seconds between the letters of the head."""
    instead: bytes = field(default=b"", repr=False)
    """Sent as it is, and nothing else."""


GOOD = Scene()


@frozen(kw_only=True)
class Heard:
    """One request that arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    at: float
    """On the monotonic clock."""


class Faulty:
    """A running host. ``files`` are served; ``script`` says how, one scene a request, the last one again and again."""

    def __init__(self, host: str, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.url = f"{'https' if tls else 'http'}://{host}:{listener.getsockname()[1]}"
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        """Instead of an etag made of the bytes."""
        self.script: dict[str, list[Scene]] = {}
        self.otherwise = GOOD
        """Played for every path that has no script."""
        self.heard: list[Heard] = []
        self.sent: Counter[str] = Counter()
        """Bytes of bodies that went out, for each path."""
        self.open_now = 0
        """Connections."""
        self.most_open = 0
        self._listener = listener
        self._tls = tls
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._over = threading.Event()

    def heard_of(self, path: str) -> list[Heard]:
        """The requests for *path*, in order."""
        with self._lock:
            return [heard for heard in self.heard if heard.path == path]

    def play(self, path: str, *scenes: Scene) -> None:
        """Put a new script in place for *path*, and forget what was sent."""
        with self._lock:
            self.script[path] = list(scenes)
            self.sent[path] = 0

    def run(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def stop(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept(), which close() does not
        for connection in tuple(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
                self.open_now += 1
                self.most_open = max(self.most_open, self.open_now)
            try:
                self._converse(connection)
            finally:
                with self._lock:
                    self._connections.discard(connection)
                    self.open_now -= 1
                connection.close()

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while line := stream.readline().decode("latin-1").split():
                method, path, _ = line
                headers = {}
                while (header := stream.readline().strip()) and b":" in header:
                    name, _, text = header.decode("latin-1").partition(":")
                    headers[name.strip().lower()] = text.strip()
                with self._lock:
                    self.heard.append(Heard(method=method, path=path, headers=headers, at=time.monotonic()))
                    scenes = self.script.get(path) or [self.otherwise]
                    scene = scenes.pop(0) if len(scenes) > 1 else scenes[0]
                if self._over.wait(scene.delay) or not self._answer(connection, scene, path, headers):
                    return

    def _answer(self, connection: socket.socket, scene: Scene, path: str, headers: Mapping[str, str]) -> bool:
        """Send one scene; :returns: whether the conversation goes on."""
        if scene.instead:
            connection.sendall(scene.instead)
        else:
            status, named, body = self._planned(scene, path, headers)
            lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Whatever')}"]
            lines += [f"{name}: {text}" for name, text in named]
            head = "\r\n".join([*lines, "", ""]).encode("latin-1")
            for place in range(len(head) if scene.letters else 0):
                connection.sendall(head[place : place + 1])
                if self._over.wait(scene.letters):
                    return False
            connection.sendall(b"" if scene.letters else head)
            self._send_body(connection, scene, path, body)
        if scene.then is Ending.SILENCE:
            self._over.wait()
        if scene.then is Ending.RST:
            # Linger of zero seconds: close() resets.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return scene.then is Ending.KEEP

    def _planned(
        self, scene: Scene, path: str, headers: Mapping[str, str]
    ) -> tuple[int, Sequence[tuple[str, str]], bytes]:
        content = self.files.get(path)
        status = 200 if content is not None or scene.body is not None else 404
        body = content or b""
        etag = self.etags.get(path, f'"{sha256(body)[:20]}"')
        named: dict[str, str | None] = {"ETag": etag, "Accept-Ranges": "bytes"} if content is not None else {}
        wanted = headers.get("range")
        asked_for_this = not scene.honours_if_range or headers.get("if-range", etag) == etag
        if wanted and content is not None and scene.ranges and asked_for_this:
            span = range_of(wanted, len(content))
            if span is None:
                status, body = 416, b""
                named["Content-Range"] = f"bytes */{len(content)}"
            else:
                start, end = (max(0, min(edge + scene.shift, len(content))) for edge in span)
                status, body = 206, content[start:end]
                named["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        body = body if scene.body is None else scene.body
        if scene.chunked:
            named["Transfer-Encoding"] = "chunked"
        else:
            named["Content-Length"] = str(len(body))
        status = scene.status or status
        named |= scene.headers
        return status, [(name, text) for name, text in named.items() if text is not None], body

    def _send_body(self, connection: socket.socket, scene: Scene, path: str, body: bytes) -> None:
        whole = scene.sends is None and not scene.drip
        self._send(connection, scene, path, body if scene.sends is None else body[: scene.sends])
        if scene.drip:
            for place in range(scene.sends or 0, len(body)):
                if self._over.wait(scene.drip):
                    return
                self._send(connection, scene, path, body[place : place + 1])
        if whole and scene.chunked:
            connection.sendall(b"0\r\n\r\n")
        if scene.extra:
            connection.sendall(scene.extra)

    def _send(self, connection: socket.socket, scene: Scene, path: str, body: bytes) -> None:
        step = max(1, int(scene.pace * 0.05)) if scene.pace else 64 << 10
        for place in range(0, len(body), step):
            piece = body[place : place + step]
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if scene.chunked else piece)
            with self._lock:
                self.sent[path] += len(piece)
            if scene.pace and self._over.wait(0.05):
                return


@contextmanager
def faulty(*, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Faulty]:
    """Run such a host until the block ends.

    ::

        with faulty() as host:
            host.files["/ink.safetensors"] = safetensors("ink")
            host.play("/ink.safetensors", Scene(sends=1000, then=Ending.RST), Scene())

    The first request gets a thousand bytes and a reset, every later one what it asks for.

    :param host: How it names itself; ``localhost`` makes another origin of the same address.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        server = Faulty(host, listener, tls)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(10)
