"""A certificate for 127.0.0.1 and localhost, made on the spot, for servers that speak TLS."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

from attrs import frozen


@frozen
class Certificate:
    """One self-signed certificate."""

    path: Path
    """Whoever is to trust it names this file, for instance in ``SSL_CERT_FILE``."""
    server: ssl.SSLContext
    """What a server shows it with."""


def self_signed(directory: Path) -> Certificate | None:
    """Make a certificate in *directory*; ``None`` where there is no ``openssl`` to make it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return Certificate(certificate, context)
