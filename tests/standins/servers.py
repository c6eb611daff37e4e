"""Real servers on this machine that a mirror can lie on: nginx, OpenSSH's sftp, an S3 of moto's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

_SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
_NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def web(root: Path, place: Path, *, more: str = "") -> Iterator[str]:
    """nginx over *root*, as a studio would set it up.

    :param more: Directives for the location.
    """
    if not Path(_NGINX).exists():
        pytest.skip("nginx is not installed")
    port = free_port()
    place.mkdir()
    (place / "logs").mkdir()
    (place / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;
{"user root;" if os.geteuid() == 0 else ""}
events {{}}
http {{
    access_log {place}/access.log; sendfile on; default_type application/octet-stream;
    client_body_temp_path {place}/1; proxy_temp_path {place}/2; fastcgi_temp_path {place}/3;
    uwsgi_temp_path {place}/4; scgi_temp_path {place}/5;
    server {{ listen 127.0.0.1:{port}; location / {{ root {root}; {more} }} }}
}}
""")
    with running([_NGINX, "-p", str(place), "-c", str(place / "nginx.conf")], port, place):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def sftp(place: Path, home: Path, *, read_only: bool = False) -> Iterator[str]:
    """OpenSSH's server with a key that ``ssh`` finds in *home*, and a host that is known there."""
    keygen = shutil.which("ssh-keygen")
    if not Path(_SSHD).exists() or keygen is None:
        pytest.skip("OpenSSH's server is not installed")
    port = free_port()
    place.mkdir()
    ssh = home / ".ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    for key in (place / "host", ssh / "id_ed25519"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    host_key = (place / "host.pub").read_text().split()
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
    shutil.copy(ssh / "id_ed25519.pub", place / "authorized")
    (place / "sshd_config").write_text(f"""
ListenAddress 127.0.0.1
Port {port}
HostKey {place}/host
PidFile {place}/pid
AuthorizedKeysFile {place}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp {"-R" if read_only else ""}
""")
    Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None  # it refuses to start without
    with running([_SSHD, "-D", "-e", "-f", str(place / "sshd_config")], port, place):
        yield f"sftp://127.0.0.1:{port}"


@contextmanager
def running(command: list[str], port: int, place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that answers on *port*; ended with the block."""
    with open(place / "output", "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        for _ in range(500):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (place / "output").read_text()
            time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        process.wait(10)
