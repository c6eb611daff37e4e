"""Certificates, proxies, clocks and very large files."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.faulty import Faulty, Scene, faulty
from transfer.engines import Run

from comfywatchman_core.errors import BackendError
from comfywatchman_core.models import Digest
from comfywatchman_core.testing import safetensors
from comfywatchman_core.transfer import download, ramp
from comfywatchman_core.transfer.journal import Identity, Journal
from comfywatchman_core.transport import Transport

PATH = "/model.safetensors"
SIZE = 4 << 20
CONTENT = safetensors("model", SIZE)


def certificate(folder: Path, *options: str) -> ssl.SSLContext:
    """A self-signed certificate for 127.0.0.1, as a server uses it; ``folder/cert.pem`` is the public half."""
    if not shutil.which("openssl"):
        pytest.skip("needs the command openssl")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=test",
    ]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *files, *options], capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Faulty]:
    with faulty(tls=certificate(tmp_path, "-addext", "subjectAltName=IP:127.0.0.1")) as server:
        server.files[PATH] = CONTENT
        yield server


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))


class TestCertificates:
    @pytest.mark.usefixtures("trusted")
    def test_a_certificate_that_the_user_named_is_accepted(self, secure: Faulty, tmp_path: Path) -> None:
        run = Run(secure, tmp_path / "models")

        run.fetch(PATH)

        assert run.final.read_bytes() == CONTENT

    def test_one_that_nobody_vouches_for_is_refused_once_and_for_all(self, secure: Faulty, tmp_path: Path) -> None:
        run = Run(secure, tmp_path / "models", settings={"max_retries": 5})
        began = time.monotonic()

        with pytest.raises(BackendError) as caught:
            run.fetch(PATH)

        assert caught.value.code == "network"
        assert "certificate" in str(caught.value)
        assert secure.heard == []
        assert time.monotonic() - began < 10

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param(("-addext", "subjectAltName=IP:127.0.0.9"), id="of another host"),
            pytest.param(("-addext", "subjectAltName=IP:127.0.0.1", "-days", "-1"), id="that has expired"),
        ],
    )
    @pytest.mark.usefixtures("trusted")
    def test_one_that_is_wrong_is_refused_even_if_the_user_named_it(
        self, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        try:
            context = certificate(tmp_path, *options)
        except subprocess.CalledProcessError:
            pytest.skip("this openssl makes no expired certificates")
        with faulty(tls=context) as server:
            server.files[PATH] = CONTENT
            with pytest.raises(BackendError) as caught:
                Run(server, tmp_path / "models", settings={"max_retries": 5}).fetch(PATH)

        assert "certificate" in str(caught.value)
        assert server.heard == []

    @pytest.mark.usefixtures("trusted")
    def test_nothing_is_used_that_was_read_from_a_connection_after_it_was_ended(
        self, secure: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What Python's TLS sockets hand out after a shutdown is not decrypted; no digest would tell here."""
        monkeypatch.setattr(ramp, "_WORTH_IT", 0.0)
        monkeypatch.setattr(ramp, "_SETTLE", 0.0)
        monkeypatch.setattr(ramp, "_GAIN", 1e9)  # every attempt with several is given up at once
        monkeypatch.setattr(ramp, "_TRY_AGAIN", 0.0)
        monkeypatch.setattr(download, "_TICK", 0.005)
        run = Run(secure, tmp_path / "models")
        secure.play(PATH, Scene(pace=2 << 20))

        run.fetch(run.candidate(PATH, digest=False))

        assert run.final.read_bytes() == CONTENT
        assert secure.most_open > 1


class TestProxies:
    def test_a_proxy_that_wants_a_login_is_told_of_as_such(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with faulty() as proxy, faulty() as server:
            server.files[PATH] = CONTENT
            refusal = Scene(status=407, body=b"", headers={"Proxy-Authenticate": "Basic"})
            proxy.play("example.test:443", refusal)
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            run = Run(server, tmp_path, settings={"max_retries": 5})

            with pytest.raises(BackendError) as caught:
                run.fetch(run.candidate(PATH, url="https://example.test/x", endpoint=""))

        assert caught.value.code == "network"
        assert "proxy" in str(caught.value)
        assert len(proxy.heard) == 1

    def test_hosts_that_need_no_proxy_are_asked_directly(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with faulty() as proxy, faulty() as server:
            server.files[PATH] = CONTENT
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,127.0.0.0/8")

            Run(server, tmp_path).fetch(PATH)

        assert proxy.heard == []

    def test_a_proxy_is_given_its_login_and_the_server_is_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with faulty() as proxy:
            target = "http://files.test/model.safetensors"
            proxy.files[target] = proxy.files[PATH] = CONTENT
            monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://me:pa%20ss@"))
            run = Run(proxy, tmp_path)

            run.fetch(run.candidate(PATH, url=target, endpoint="http://files.test"))

        assert proxy.heard[0].headers["proxy-authorization"] == "Basic bWU6cGEgc3M="
        assert "authorization" not in proxy.heard[0].headers


@pytest.mark.parametrize("hour", [-3600.0, 3600.0])
def test_a_clock_that_is_set_right_in_the_middle_disturbs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hour: float
) -> None:
    with faulty() as server:
        server.files[PATH] = CONTENT
        server.play(PATH, Scene(pace=8 << 20))
        true = time.time
        monkeypatch.setattr(time, "time", lambda: true() + (hour if server.sent[PATH] > SIZE // 4 else 0))
        run = Run(server, tmp_path, settings={"timeout": 2.0, "max_retries": 0})

        run.fetch(PATH)

    assert run.final.read_bytes() == CONTENT


@pytest.mark.slow
def test_a_file_of_more_than_four_gigabytes_is_completed(tmp_path: Path) -> None:
    zeros, tail = 4 << 30, b"the end of it" * 100_000
    total = zeros + len(tail)
    digest = hashlib.sha256()
    for _ in range(zeros >> 20):
        digest.update(bytes(1 << 20))
    digest.update(tail)
    place = tmp_path / ".model.safetensors.cw"
    place.mkdir()
    (place / "part").touch()
    os.truncate(place / "part", total)
    with faulty() as server:
        server.files[PATH] = b"x"
        server.play(
            PATH,
            Scene(status=206, body=tail, headers={"Content-Range": f"bytes {zeros}-{total - 1}/{total}", "ETag": None}),
        )
        identity = Identity(source=server.url + PATH, sha256=digest.hexdigest(), total=total)
        Journal(place / "journal.json").write(identity, [(0, zeros)], [], sync=False)
        run = Run(server, tmp_path)

        artifact = run.fetch(run.candidate(PATH, digests=(Digest("sha256", digest.hexdigest()),)))

    assert (artifact.size, run.started.resumed_at) == (total, zeros)
    assert artifact.digests[0].value == digest.hexdigest()
    assert server.heard[0].headers["range"] == f"bytes={zeros}-{total - 1}"


def test_the_transport_can_be_closed_and_used_again(tmp_path: Path) -> None:
    with faulty() as server:
        server.files[PATH] = CONTENT
        transport = Transport()
        run = Run(server, tmp_path, transport=transport)
        run.fetch(PATH, publish=False)
        transport.close()
        (tmp_path / ".model.safetensors.cw" / "journal.json").unlink()

        run.fetch(PATH)

    assert run.final.read_bytes() == CONTENT
