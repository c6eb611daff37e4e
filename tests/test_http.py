"""HTTP as every back end and the transfers use it, against real servers on the loopback interface."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from standins.certificates import Certificate, self_signed

from comfywatchman_core import addresses, peers
from comfywatchman_core.errors import AuthRequired, BackendError, Cancelled, ErrorCode
from comfywatchman_core.http import ApiClient, HttpAnswer, Transport, TransportError, with_query
from comfywatchman_core.pacing import HostGates
from comfywatchman_core.testing import Asked, Origin, Reply, serve

TOKEN = "s3cr3t-token"
BEARER = {"Authorization": f"Bearer {TOKEN}", "X-Api-Key": TOKEN, "Cookie": f"session={TOKEN}"}


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> ApiClient:
    return patient(clock)


def patient(clock: Clock, **options: object) -> ApiClient:
    """A client that never really waits."""
    given = {"retries": 3, "timeout": 60.0, "gates": HostGates(clock=clock, sleep=clock.sleep), **options}
    return ApiClient(**given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    made = self_signed(tmp_path_factory.mktemp("certificate"))
    if made is None:
        pytest.skip("there is no openssl to make a certificate with")
    return made


@pytest.fixture(autouse=True)
def _no_authorities_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    return certificate


def ok(asked: Asked) -> Reply:
    return Reply.json({"ok": True})


def to(location: str, status: int = 302) -> Callable[[Asked], Reply]:
    return lambda asked: Reply(status=status, headers={"Location": location})


def in_turn(*replies: Reply) -> Callable[[Asked], Reply]:
    """Answer with one reply after the other, and with the last for ever."""
    waiting = list(replies)
    return lambda asked: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def _redirecting_to(origin: Origin, certificate: Certificate) -> AbstractContextManager[Origin]:
    return serve(to(f"{origin.url}/x"), tls=certificate.server)


@pytest.fixture
def storage() -> Iterator[Origin]:
    """Another origin on the same machine."""
    with serve(ok, host="localhost") as origin:
        yield origin


class TestCredentials:
    def test_a_token_is_sent_to_the_origin_it_is_for(self, client: ApiClient) -> None:
        with serve(ok) as api:
            client.get(api.url, headers=BEARER)

        assert api.asked[0].headers["authorization"] == f"Bearer {TOKEN}"

    def test_no_credential_of_any_name_follows_a_redirect_to_another_origin(
        self, client: ApiClient, storage: Origin
    ) -> None:
        with serve(to(f"{storage.url}/file")) as api:
            assert client.get(api.url, headers=BEARER).status == 200

        assert TOKEN not in str(storage.asked)

    def test_credentials_stay_dropped_when_a_redirect_leads_back(self, client: ApiClient) -> None:
        with serve(lambda asked: to(f"{api.url}/again")(asked), host="localhost") as other:

            def first(asked: Asked) -> Reply:
                return ok(asked) if asked.path == "/again" else to(other.url)(asked)

            with serve(first) as api:
                client.get(api.url, headers=BEARER)

        assert [TOKEN in str(asked.headers) for asked in api.asked] == [True, False]

    def test_credentials_follow_a_redirect_within_the_origin(self, client: ApiClient) -> None:
        def answer(asked: Asked) -> Reply:
            return ok(asked) if asked.path == "/b" else to("/b")(asked)

        with serve(answer) as api:
            client.get(f"{api.url}/a", headers=BEARER)

        assert [asked.headers.get("authorization") for asked in api.asked] == [f"Bearer {TOKEN}"] * 2

    def test_an_address_that_only_looks_like_the_origin_gets_no_token(self, client: ApiClient, storage: Origin) -> None:
        """Parsers disagree where the host of ``http://evil\\@api/`` ends."""
        host = "{}"
        with serve(lambda asked: to(host)(asked)) as api:
            host = f"{storage.url}\\@{api.url.removeprefix('http://')}/x"
            with pytest.raises(BackendError):
                client.get(api.url, headers=BEARER)

        assert storage.asked == []

    @pytest.mark.parametrize("variable", ["HOME", "NETRC"])
    def test_a_netrc_file_neither_replaces_a_token_nor_adds_a_login(
        self, client: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login me password pw\ndefault login me password pw\n")
        netrc.chmod(0o600)
        monkeypatch.setenv(variable, str(tmp_path if variable == "HOME" else netrc))

        with serve(ok) as api:
            client.get(api.url, headers={"Authorization": f"Bearer {TOKEN}"})
            client.get(api.url)

        assert [asked.headers.get("authorization") for asked in api.asked] == [f"Bearer {TOKEN}", None]

    def test_cookies_are_not_kept(self, client: ApiClient) -> None:
        with serve(lambda asked: Reply(headers={"Set-Cookie": "a=b; Path=/"})) as api:
            client.get(api.url)
            client.get(api.url)

        assert [asked.headers.get("cookie") for asked in api.asked] == [None, None]

    def test_the_login_in_an_address_is_sent_to_its_origin_only(self, client: ApiClient, storage: Origin) -> None:
        with serve(to(storage.url)) as api:
            client.get(api.url.replace("http://", "http://me:pw@"))

        assert api.asked[0].headers["authorization"].startswith("Basic ")
        assert "authorization" not in storage.asked[0].headers

    def test_what_is_printed_of_an_answer_holds_nothing_that_opens_a_door(self) -> None:
        answer = HttpAnswer(
            status=302,
            headers={"location": f"https://h/?sig={TOKEN}", "set-cookie": TOKEN},
            body=TOKEN.encode(),
            url=f"https://h/?token={TOKEN}",
        )

        assert TOKEN not in repr(answer)
        assert TOKEN not in str(answer.error())


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_every_kind_is_followed(self, client: ApiClient, storage: Origin, status: int) -> None:
        with serve(to(f"{storage.url}/x", status)) as api:
            answer = client.get(api.url)

        assert (answer.status, answer.url) == (200, f"{storage.url}/x")

    def test_ten_are_followed_and_an_eleventh_is_not(self, client: ApiClient) -> None:
        def hop(asked: Asked) -> Reply:
            left = int(asked.path[1:])
            return to(f"/{left - 1}")(asked) if left else ok(asked)

        with serve(hop) as api:
            assert client.get(f"{api.url}/10").status == 200
            with pytest.raises(BackendError, match="redirects more than 10 times"):
                client.get(f"{api.url}/11")

    def test_a_loop_ends(self, client: ApiClient) -> None:
        with serve(to("/")) as api, pytest.raises(BackendError, match="redirects more than"):
            client.get(api.url)

        assert len(api.asked) == 11

    @pytest.mark.parametrize(
        "location",
        [
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "data:text/plain,x",
            "http://[::1/",
            "http://127.0.0.1:x/",
            "http://127.0.0.1:99999/",
        ],
    )
    def test_an_address_that_is_none_is_not_followed(self, client: ApiClient, location: str) -> None:
        with serve(to(location)) as api, pytest.raises(BackendError) as caught:
            client.get(api.url)

        assert caught.value.code is ErrorCode.UNAVAILABLE
        assert len(api.asked) == 1

    def test_a_redirect_without_address_is_the_answer(self, client: ApiClient) -> None:
        with serve(lambda asked: Reply(status=302)) as api:
            assert client.get(api.url).status == 302

    def test_a_redirect_is_returned_as_it_is_on_demand(self, client: ApiClient, storage: Origin) -> None:
        with serve(to(f"{storage.url}/x")) as api:
            answer = client.get(api.url, follow=False)

        assert (answer.status, answer.headers["location"]) == (302, f"{storage.url}/x")
        assert storage.asked == []

    def test_no_redirect_leads_from_https_to_http(
        self, client: ApiClient, storage: Origin, trusted: Certificate
    ) -> None:
        with serve(to(storage.url), tls=trusted.server) as api, pytest.raises(BackendError, match="https to http"):
            client.get(api.url)

        assert storage.asked == []

    def test_the_storage_host_of_an_http_endpoint_may_be_http_as_well(self, storage: Origin) -> None:
        with serve(to(storage.url)) as api:
            exchange = Transport().open("GET", api.url, endpoint=api.url)
            exchange.close()

        assert len(storage.asked) == 1

    def test_the_body_of_a_redirect_is_not_read_whatever_its_length(self, client: ApiClient, storage: Origin) -> None:
        huge = Reply(status=302, headers={"Location": storage.url, "Content-Length": str(1 << 40)}, body=b"x" * 100_000)
        with serve(lambda asked: huge) as api:
            assert client.get(api.url).status == 200

    def test_a_location_in_raw_utf8_is_understood(self, client: ApiClient) -> None:
        def answer(asked: Asked) -> Reply:
            if asked.path == "/mödel":
                return ok(asked)
            return to("/mödel".encode().decode("latin-1"))(asked)

        with serve(answer) as api:
            assert client.get(api.url).status == 200


class TestPrivateAddresses:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::1]"])
    def test_an_address_of_a_stranger_does_not_lead_into_the_users_network(self, host: str) -> None:
        with pytest.raises(BackendError, match="private address") as caught:
            Transport().open("GET", f"https://{host}:9/x")

        assert caught.value.code is ErrorCode.UNAVAILABLE
        assert caught.value.hint
        assert "allow_private_urls" in caught.value.hint

    def test_a_stranger_s_plain_http_address_is_not_asked(self, storage: Origin) -> None:
        with pytest.raises(BackendError, match="not https"):
            Transport().open("GET", storage.url)

        assert storage.asked == []

    def test_the_setting_allows_private_addresses(self, trusted: Certificate) -> None:
        with serve(ok, tls=trusted.server) as inside:
            exchange = Transport(allow_private=True).open("GET", inside.url)
            exchange.close()

        assert len(inside.asked) == 1

    def test_a_name_that_changes_between_the_look_and_the_connection_is_caught_at_the_connection(
        self, trusted: Certificate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DNS re-binding: the name was public when it was looked up."""
        monkeypatch.setattr(addresses, "leads_inside", lambda url: False)

        with serve(ok, tls=trusted.server) as inside, pytest.raises(BackendError, match="private address"):
            Transport().open("GET", inside.url)

        assert inside.asked == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433"])
    def test_no_redirect_of_a_strangers_address_leads_into_the_users_network(
        self, trusted: Certificate, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        real = addresses.leads_inside

        with serve(to(f"https://{host}:9/latest/meta-data"), tls=trusted.server) as outside:
            monkeypatch.setattr(addresses, "leads_inside", lambda url: not url.startswith(outside.url) and real(url))
            monkeypatch.setattr(peers, "is_private", lambda address: False)
            with pytest.raises(BackendError, match="private address"):
                Transport().open("GET", outside.url)

        assert len(outside.asked) == 1

    def test_a_public_endpoint_may_not_redirect_into_the_users_network(
        self, trusted: Certificate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only a mirror that is itself inside may hand on to a storage host inside."""
        public = set[str]()
        real = addresses.leads_inside
        monkeypatch.setattr(addresses, "leads_inside", lambda url: url not in public and real(url))

        with serve(ok, host="localhost", tls=trusted.server) as inside, _redirecting_to(inside, trusted) as api:
            public.add(api.url)
            with pytest.raises(BackendError, match="private address"):
                Transport().open("GET", api.url, endpoint=api.url)

        assert inside.asked == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "0x7f.1", "[::1]", "localhost"])
    def test_a_proxy_is_not_asked_for_what_is_private_by_its_very_spelling(
        self, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        with serve(ok) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", "")
            with pytest.raises(BackendError, match="private address"):
                Transport().open("GET", f"https://{host}:9/x")

        assert proxy.asked == []

    def test_offline_opens_no_socket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import socket

        opened: list[object] = []
        monkeypatch.setattr(socket.socket, "connect", lambda self, address: opened.append(address))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *options, **more: opened.append(options) or [])

        with pytest.raises(BackendError, match="offline"):
            Transport(offline=True).open("GET", "http://127.0.0.1:9/", endpoint="http://127.0.0.1:9")

        assert opened == []


class TestProxies:
    def test_the_proxy_of_the_environment_is_used_and_its_login_stays_with_it(
        self, client: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serve(ok) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://me:pw@"))
            client.get("http://models.invalid/x")

        assert proxy.asked[0].target == "http://models.invalid/x"
        assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")

    def test_hosts_that_are_excepted_are_asked_directly(
        self, client: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serve(ok) as proxy, serve(ok) as api:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
            client.get(api.url)

        assert (len(proxy.asked), len(api.asked)) == (0, 1)

    def test_a_proxy_that_lets_nothing_through_is_named_as_the_cause_without_its_password(
        self, client: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serve(ok) as proxy:  # it does not know how to open a tunnel
            monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "http://me:s3cr3t@"))
            with pytest.raises(TransportError, match="proxy") as caught:
                client.get("https://models.invalid/x", headers=BEARER)

        assert "s3cr3t" not in f"{caught.value} {caught.value.hint}"
        assert proxy.asked == []


class TestTls:
    def test_a_certificate_that_is_not_accepted_is_neither_retried_nor_bypassed(
        self, client: ApiClient, certificate: Certificate, clock: Clock
    ) -> None:
        with serve(ok, tls=certificate.server) as api, pytest.raises(TransportError, match="certificate") as caught:
            client.get(api.url, headers=BEARER)

        assert not caught.value.retryable
        assert caught.value.code is ErrorCode.NETWORK
        assert caught.value.hint
        assert "SSL_CERT_FILE" in caught.value.hint
        assert (api.asked, clock.now) == ([], 0.0)

    @pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
    def test_the_authorities_of_the_environment_are_trusted(
        self, client: ApiClient, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, str(certificate.path))

        with serve(ok, tls=certificate.server) as api:
            assert client.get(api.url).status == 200

    def test_authorities_that_cannot_be_read_are_named_and_not_retried(
        self, client: ApiClient, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")

        with pytest.raises(TransportError, match="certificates") as caught:
            client.get("https://127.0.0.1:9/")

        assert not caught.value.retryable
        assert clock.now == 0.0


class TestAnswers:
    def test_a_json_answer_is_parsed(self, client: ApiClient) -> None:
        with serve(ok) as api:
            assert client.get_json(api.url) == {"ok": True}

    def test_html_instead_of_json_is_unavailable_whatever_the_status_says(self, client: ApiClient) -> None:
        page = Reply.html("<!doctype html><title>Sign in</title>")
        with serve(lambda asked: page) as api, pytest.raises(BackendError, match="text/html instead of") as caught:
            client.get_json(api.url)

        assert caught.value.code is ErrorCode.UNAVAILABLE
        assert caught.value.http_status == 200

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000, b"1" * 100_000])
    def test_what_is_no_json_is_an_error_and_no_crash(self, client: ApiClient, body: bytes) -> None:
        reply = Reply(headers={"Content-Type": "application/json"}, body=body)
        with serve(lambda asked: reply) as api, pytest.raises(BackendError, match="instead of JSON"):
            client.get_json(api.url)

    def test_a_compressed_answer_is_read_though_nobody_asked_for_it(self, client: ApiClient) -> None:
        def answer(asked: Asked) -> Reply:
            assert asked.headers["accept-encoding"] == "identity"
            return Reply(headers={"Content-Encoding": "gzip"}, body=gzip.compress(b'{"ok": true}'))

        with serve(answer) as api:
            assert client.get_json(api.url) == {"ok": True}

    def test_a_body_over_the_limit_is_refused(self, client: ApiClient) -> None:
        with serve(lambda asked: Reply(body=b"x" * 101)) as api:
            assert len(client.get(api.url, limit=101).body) == 101
            with pytest.raises(BackendError, match="more than 100 bytes"):
                client.get(api.url, limit=100)

    def test_a_small_body_that_unpacks_to_a_huge_one_is_refused(self, client: ApiClient) -> None:
        bomb = gzip.compress(b"\0" * (64 << 20))
        reply = Reply(headers={"Content-Encoding": "gzip"}, body=bomb)
        with serve(lambda asked: reply) as api, pytest.raises(BackendError, match="more than 1000000 bytes"):
            client.get(api.url, limit=1_000_000)

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (401, ErrorCode.AUTH_REQUIRED, AuthRequired),
            (403, ErrorCode.AUTH_REQUIRED, AuthRequired),
            (404, ErrorCode.NOT_FOUND, BackendError),
            (410, ErrorCode.NOT_FOUND, BackendError),
            (451, ErrorCode.UNAVAILABLE, BackendError),
            (418, ErrorCode.UNAVAILABLE, BackendError),
        ],
    )
    def test_a_refusal_is_not_retried_and_has_its_code(
        self, client: ApiClient, status: int, code: ErrorCode, kind: type[BackendError]
    ) -> None:
        with serve(lambda asked: Reply.json({}, status)) as api, pytest.raises(kind) as caught:
            client.get_json(f"{api.url}/x?token={TOKEN}")

        assert (caught.value.code, caught.value.http_status) == (code, status)
        assert TOKEN not in str(caught.value)
        assert len(api.asked) == 1

    def test_the_question_goes_into_the_query(self) -> None:
        asked = with_query("https://h/x?a=1", {"b": [1, 2], "c": None, "d": True, "e": "ä &"})

        assert asked == "https://h/x?a=1&b=1&b=2&d=true&e=%C3%A4+%26"
        assert with_query("https://h/x", None) == "https://h/x"


class TestRetries:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 522])
    def test_a_passing_trouble_is_asked_again(self, client: ApiClient, status: int) -> None:
        with serve(in_turn(Reply(status=status), Reply(status=status), Reply.json(1))) as api:
            assert client.get_json(api.url) == 1

        assert len(api.asked) == 3

    def test_a_lasting_trouble_is_given_up_after_the_last_retry(self, client: ApiClient) -> None:
        with serve(lambda asked: Reply(status=503)) as api, pytest.raises(BackendError) as caught:
            client.get(api.url)

        assert (caught.value.code, caught.value.http_status) == (ErrorCode.UNAVAILABLE, 503)
        assert len(api.asked) == 4

    def test_pauses_grow_between_attempts_and_stay_within_their_bounds(self, clock: Clock) -> None:
        with serve(lambda asked: Reply(status=503)) as api, pytest.raises(BackendError):
            patient(clock, retries=3).get(api.url)

        assert 0.0 < clock.now <= 1.0 + 2.0 + 4.0 + 0.3

    def test_the_pause_that_a_source_asks_for_is_kept_by_everybody_who_asks_it(self, clock: Clock) -> None:
        gates = HostGates(clock=clock, sleep=clock.sleep)
        with serve(in_turn(Reply(status=429, headers={"Retry-After": "30"}), Reply.json(1))) as api:
            assert patient(clock, gates=gates, retries=0).get(api.url).status == 429
            assert clock.now == 0.0

            patient(clock, gates=gates).get(api.url)

        assert clock.now >= 30.0

    def test_a_pause_in_the_past_still_backs_off(self, clock: Clock) -> None:
        over = Reply(status=503, headers={"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"})
        with serve(in_turn(over, over, over, Reply.json(1))) as api:
            patient(clock).get(api.url)

        assert clock.now > 0.0

    def test_a_source_that_wants_to_be_left_alone_for_long_is_given_up_at_once(self, clock: Clock) -> None:
        gates = HostGates(clock=clock, sleep=clock.sleep)
        with serve(lambda asked: Reply(status=429, headers={"Retry-After": "99999"})) as api:
            answer = patient(clock, gates=gates).get(api.url)
            with pytest.raises(BackendError, match="99999 seconds") as caught:
                patient(clock, gates=gates).get(api.url)

        assert answer.status == 429
        assert answer.error().retry_after == 99999.0
        assert (caught.value.code, caught.value.retry_after) == (ErrorCode.RATE_LIMITED, 99999.0)
        assert (len(api.asked), clock.now) == (1, 0.0)

    def test_the_error_of_a_rate_limit_says_how_long_it_lasts(self, client: ApiClient) -> None:
        with serve(lambda asked: Reply(status=429, headers={"Retry-After": "99999"})) as api:
            error = client.get(api.url).error()

        assert error.code is ErrorCode.RATE_LIMITED
        assert "99999" in str(error)

    def test_a_cut_connection_is_asked_again(self, client: ApiClient) -> None:
        cut = Reply(headers={"Content-Length": "50", "Connection": "close"}, body=b"{")
        with serve(in_turn(cut, Reply.json(1))) as api:
            assert client.get_json(api.url) == 1

    def test_silence_ends_an_attempt_and_says_so(self, clock: Clock) -> None:
        over = threading.Event()

        def hang(asked: Asked) -> Reply:
            over.wait(10)
            return ok(asked)

        with serve(hang) as api:
            try:
                with pytest.raises(TransportError, match="silent") as caught:
                    patient(clock, timeout=0.3, retries=0).get(api.url)
            finally:
                over.set()

        assert caught.value.retryable

    def test_a_host_that_nobody_answers_for_is_a_network_error(self, client: ApiClient, clock: Clock) -> None:
        with pytest.raises(TransportError) as caught:
            client.get("https://nobody.invalid/x")

        assert caught.value.code is ErrorCode.NETWORK
        assert "no address is known of nobody.invalid" in str(caught.value)
        assert clock.now > 0.0

    def test_a_caller_who_stops_is_not_kept_waiting(self, clock: Clock) -> None:
        stopping = patient(clock, cancelled=lambda: clock.now >= 1.0)
        with serve(lambda asked: Reply(status=503, headers={"Retry-After": "50"})) as api, pytest.raises(Cancelled):
            stopping.get(api.url)

        assert clock.now < 3.0
        with pytest.raises(Cancelled):
            stopping.get(api.url)

    def test_a_question_with_a_body_is_sent_as_it_is(self, client: ApiClient) -> None:
        with serve(ok) as api:
            client.request("POST", api.url, body=json.dumps(["a"]).encode(), headers={"Content-Type": "x/y"})

        assert (api.asked[0].method, api.asked[0].body) == ("POST", b'["a"]')
