"""Certificates, proxies, clocks and very large files."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from standins.faulty import Faulty, Scene, faulty
from transfer.commands import Ended, environment, run, tree
from transfer.engines import Run
from urllib3 import PoolManager

from comfywatchman_core.errors import BackendError
from comfywatchman_core.models import Digest
from comfywatchman_core.testing import safetensors
from comfywatchman_core.transfer import download, ramp
from comfywatchman_core.transfer.journal import Identity, Journal
from comfywatchman_core.transport import Transport

PATH = "/model.safetensors"
SIZE = 4 << 20
CONTENT = safetensors("model", SIZE)


AUTHORITY = """
[ca]
default_ca = here
[here]
database = {0}/index.txt
serial = {0}/serial
new_certs_dir = {0}
default_md = sha256
policy = anything
copy_extensions = copy
[anything]
commonName = supplied
"""


def certificate(folder: Path, *, address: str = "127.0.0.1", expired: bool = False) -> ssl.SSLContext:
    """A self-signed certificate for *address*, as a server uses it; ``folder/cert.pem`` is the public half."""
    if not shutil.which("openssl"):
        pytest.skip("needs the command openssl")
    key, request, cert, config = (folder / name for name in ("key.pem", "request.pem", "cert.pem", "ca.conf"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    asked = ["-new", "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{address}", "-out", str(request)]
    subprocess.run(["openssl", "req", *curve, *asked], capture_output=True, check=True)
    config.write_text(AUTHORITY.format(folder))
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01")
    until = "20200102000000Z" if expired else "20991231000000Z"
    dates = ["-startdate", "20200101000000Z", "-enddate", until]
    signed = ["-batch", "-notext", "-config", str(config), "-in", str(request), "-out", str(cert)]
    command = ["openssl", "ca", "-selfsign", "-keyfile", str(key), *dates, *signed]
    subprocess.run(command, capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Faulty]:
    with faulty(tls=certificate(tmp_path)) as server:
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
            pytest.param({"address": "127.0.0.9"}, id="of another host"),
            pytest.param({"expired": True}, id="that has expired"),
        ],
    )
    @pytest.mark.usefixtures("trusted")
    def test_one_that_is_wrong_is_refused_even_if_the_user_named_it(
        self, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        context = certificate(tmp_path, **options)
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


class TestTheCommand:
    """The same, in a child process: one attempt, its exit code, and nothing on the disk."""

    @staticmethod
    def refused(tmp_path: Path, url: str, **variables: str) -> Ended:
        models = tmp_path / "models"
        done = run(models, url, "--retries", "5", env=environment(tmp_path / "home", **variables))
        assert (done.code, tree(models)) == (5, {})
        assert "Traceback" not in done.err
        return done

    @pytest.mark.parametrize(
        ("options", "trusts"),
        [
            pytest.param({}, False, id="that nobody vouches for"),
            pytest.param({"address": "127.0.0.9"}, True, id="of another host"),
            pytest.param({"expired": True}, True, id="that has expired"),
        ],
    )
    def test_a_certificate_that_is_wrong_is_refused_once_and_never_bypassed(
        self, tmp_path: Path, options: dict[str, Any], trusts: bool
    ) -> None:
        context = certificate(tmp_path, **options)
        variables = {"SSL_CERT_FILE": str(tmp_path / "cert.pem")} if trusts else {}
        with faulty(tls=context) as server:
            server.files[PATH] = CONTENT
            done = self.refused(tmp_path, server.url + PATH, **variables)

        assert "certificate" in done.error["message"]
        assert server.heard == []
        assert not [line for line in done.lines if line.get("state") == "waiting"]

    def test_no_redirect_leads_from_https_to_http(self, tmp_path: Path) -> None:
        context = certificate(tmp_path)
        with faulty(tls=context) as server, faulty() as plain:
            plain.files[PATH] = CONTENT
            server.play(PATH, Scene(status=302, body=b"", headers={"Location": plain.url + PATH}))
            done = self.refused(tmp_path, server.url + PATH, SSL_CERT_FILE=str(tmp_path / "cert.pem"))

        assert "https to http" in done.error["message"]
        assert (len(server.heard), plain.heard) == (1, [])

    def test_a_proxy_that_wants_a_login_is_asked_once(self, tmp_path: Path) -> None:
        with faulty() as proxy:
            proxy.play("example.test:443", Scene(status=407, body=b"", headers={"Proxy-Authenticate": "Basic"}))
            done = self.refused(tmp_path, "https://example.test/x.safetensors", HTTPS_PROXY=proxy.url)

        assert "proxy" in done.error["message"]
        assert len(proxy.heard) == 1

    def test_a_name_that_no_host_has_is_a_matter_of_the_network(self, tmp_path: Path) -> None:
        done = run(tmp_path / "models", "https://no-such-host.invalid/x.safetensors", "--retries", "0")

        assert (done.code, done.error["code"]) == (5, "network")
        assert "no-such-host.invalid" in done.error["message"]


def test_an_address_that_swallows_everything_costs_one_time_limit_and_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where IPv6 is announced and leads nowhere: packets are neither answered nor refused."""
    with faulty(host="localhost") as server, ExitStack() as held:
        server.files[PATH] = CONTENT
        port = int(server.url.rpartition(":")[2])
        try:
            held.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6, backlog=0))
        except OSError:
            pytest.skip("needs IPv6 on this machine")
        for _ in range(4):  # nobody accepts: once the queue is full, the system drops what knocks
            client = held.enter_context(socket.socket(socket.AF_INET6))
            client.setblocking(False)
            client.connect_ex(("::1", port))
        addresses = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        run = Run(server, tmp_path, transport=Transport(connect_timeout=0.3), settings={"max_retries": 0})
        began = time.monotonic()

        run.fetch(PATH)

    assert run.final.read_bytes() == CONTENT
    assert time.monotonic() - began >= 0.3


def test_a_process_that_slept_for_ten_minutes_blames_nobody_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty() as server:
        server.files[PATH] = CONTENT
        server.play(PATH, Scene(pace=8 << 20))
        true = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: true() + (600 if server.sent[PATH] > SIZE // 4 else 0))
        run = Run(server, tmp_path, settings={"timeout": 2.0, "max_retries": 0})

        run.fetch(PATH)

    assert run.final.read_bytes() == CONTENT
    assert len(server.heard) == 1


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


def test_an_unanswered_request_lets_go_of_the_connections_that_rest() -> None:
    with faulty() as server:
        server.files[PATH] = CONTENT
        transport = Transport()
        exchanges = [transport.open("GET", server.url + PATH, endpoint=server.url) for _ in range(3)]
        for exchange in exchanges:
            assert len(exchange.read(SIZE * 2)) == len(CONTENT)
        server.play(PATH, Scene(delay=60))

        with pytest.raises(BackendError, match="silent"):
            transport.open("GET", server.url + PATH, endpoint=server.url, silence=0.2)

        until = time.monotonic() + 10
        while server.open_now > 1 and time.monotonic() < until:
            time.sleep(0.01)
        assert (server.most_open, server.open_now) == (3, 1)  # the one is asleep, and does not see that it was left


def test_a_request_whose_connections_are_let_go_before_it_is_sent_is_sent_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread met a server that does not answer, at this very moment."""
    choose, moments = PoolManager.connection_from_host, iter(["between the choice and the request"])
    with faulty() as server:
        server.files[PATH] = CONTENT
        transport = Transport()

        def chosen(*args: Any, **options: Any) -> Any:
            pool = choose(*args, **options)
            if next(moments, ""):
                transport.close()
            return pool

        monkeypatch.setattr(PoolManager, "connection_from_host", chosen)
        exchange = transport.open("GET", server.url + PATH, endpoint=server.url)
        assert len(exchange.read(SIZE * 2)) == len(CONTENT)

    assert len(server.heard) == 1


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
