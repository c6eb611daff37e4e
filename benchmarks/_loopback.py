"""Servers on loopback for the transfer benchmark: nginx where it is installed, a hub in front, a long way between."""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from attrs import frozen

CAP = 20 << 20
"""Bytes a second that each connection below ``/capped/`` gets."""


@frozen(kw_only=True)
class Site:
    """Where the files of a folder are served."""

    http: str
    https: str = ""
    """Empty where it cannot be had."""
    certificate: Path | None = None
    server: str


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def site(root: Path, work: Path, *, logged: bool = False, cap: int = CAP) -> Iterator[Site]:
    """Serve *root*; what the server writes goes to *work*.

    :param cap: Bytes a second that each connection below ``/capped/`` gets.
    :param logged: Write the Unix time of every request into ``access.log`` there.
    """
    certificate = _certificate(work)
    nginx = shutil.which("nginx")
    if nginx is None:
        with _fallback(root) as url:
            yield Site(http=url, server="http.server (nginx is not installed)")
        return
    plain, secure = free_port(), free_port()
    capped = f"location /capped/ {{ alias {root}/; limit_rate {cap}; }}"
    log = f"log_format times '$msec'; access_log {work}/access.log times" if logged else "access_log off"
    tls = (
        f"server {{ listen 127.0.0.1:{secure} ssl; root {root}; {capped}"
        f" ssl_certificate {certificate}; ssl_certificate_key {work}/key.pem; }}"
    )
    configuration = work / "nginx.conf"
    configuration.write_text(
        f"""worker_processes 1; daemon off; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 512; }}
http {{
  {log}; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  {" ".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))}
  server {{ listen 127.0.0.1:{plain}; root {root}; {capped} }}
  {tls if certificate else ""}
}}
"""
    )
    if os.geteuid() == 0:
        configuration.write_text("user root;\n" + configuration.read_text())
    process = subprocess.Popen([nginx, "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        _await(plain)
        version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr.strip()
        yield Site(
            http=f"http://127.0.0.1:{plain}",
            https=f"https://127.0.0.1:{secure}" if certificate else "",
            certificate=certificate,
            server=version.rpartition(" ")[2],
        )
    finally:
        process.terminate()
        process.wait(10)


def _certificate(work: Path) -> Path | None:
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    files = ["-keyout", str(work / "key.pem"), "-out", str(work / "cert.pem")]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    made = subprocess.run([openssl, "req", "-x509", *kind, *names, *files], capture_output=True, check=False)
    return work / "cert.pem" if made.returncode == 0 else None


def _await(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("the server did not start")


@contextmanager
def _fallback(root: Path) -> Iterator[str]:
    """The standard library's server, in a process of its own; it knows no ranges and no limits."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def hub(file: Path, address: str) -> Iterator[str]:
    """An endpoint that redirects huggingface_hub's client to *address*, where *file* is served."""
    digest = hashlib.file_digest(file.open("rb"), "sha256").hexdigest()

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            if "/resolve/" not in self.path:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(302)
            for name, text in {
                "Location": address.replace("127.0.0.1", "localhost"),  # another origin, as the Hub's storage is
                "X-Repo-Commit": "0" * 40,
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(file.stat().st_size),
                "ETag": f'"{digest}"',
                "Content-Length": "0",
            }.items():
                self.send_header(name, text)
            return self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


_WINDOW = 2 << 20
"""Bytes that are on the long way at once, for each connection and direction, as TCP's window would have it."""


@contextmanager
def long_way(address: str, seconds: float) -> Iterator[str]:
    """A relay to *address* that hands everything on *seconds* later, in a process of its own."""
    port = free_port()
    command = [sys.executable, __file__, str(port), address.rpartition(":")[2], str(seconds)]
    process = subprocess.Popen(command)
    try:
        _await(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def relay(port: int, to: int, seconds: float) -> None:
    """Run the relay until the process ends."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", to))
        for one, other in ((near, far), (far, near)):
            pieces: queue.Queue[tuple[float, bytes]] = queue.Queue(_WINDOW // (64 << 10))
            threading.Thread(target=_receive, args=(one, pieces, seconds / 2), daemon=True).start()
            threading.Thread(target=_hand_on, args=(other, pieces), daemon=True).start()


def _receive(source: socket.socket, pieces: queue.Queue[tuple[float, bytes]], seconds: float) -> None:
    with suppress(OSError):
        while piece := source.recv(64 << 10):
            pieces.put((time.monotonic() + seconds, piece))
    pieces.put((time.monotonic() + seconds, b""))


def _hand_on(target: socket.socket, pieces: queue.Queue[tuple[float, bytes]]) -> None:
    with suppress(OSError):
        while True:
            due, piece = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                return target.shutdown(socket.SHUT_WR)
            target.sendall(piece)
    while pieces.get()[1]:
        """Whoever sends must not wait for a place in the queue."""


if __name__ == "__main__":
    relay(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
