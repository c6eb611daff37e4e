"""Which addresses may be asked, and how an address is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfywatchman_core import addresses
from comfywatchman_core.errors import BackendError, ErrorCode

ENDPOINT = "https://models.example"


class TestOrigin:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("https://models.example", "HTTPS://MODELS.example:443/x?y#z"),
            ("https://models.example/", "https://models.example./"),  # the root dot names the same host
            ("http://models.example", "http://models.example:80"),
            ("https://me:pw@models.example/", "https://models.example/"),
        ],
    )
    def test_spellings_of_one_origin_compare_equal(self, one: str, other: str) -> None:
        assert addresses.origin(one) == addresses.origin(other)

    @pytest.mark.parametrize(
        "other",
        [
            "http://models.example",  # the scheme
            "https://models.example:444",  # the port
            "https://models.example.evil.tld/",  # the name only begins alike
            "https://evil.tld/models.example",
            "https://models.example@evil.tld/",
            "https://evil.tld/?models.example",
            "https://evil.tld#@models.example",
            "https://xmodels.example/",
        ],
    )
    def test_an_address_that_only_looks_like_it_has_another_origin(self, other: str) -> None:
        assert addresses.origin(other) != addresses.origin(ENDPOINT)

    @pytest.mark.parametrize(
        "url",
        [
            "file:///etc/passwd",
            "ftp://models.example/x",
            "data:text/plain,x",
            "javascript:alert(1)",
            "models.example/x",
            "//models.example/x",
            "https://",
            "https:///x",
            "https:models.example",
            "https://models.example:port/",
            "https://models.example:99999/",
            "https://[::1/",
            "",
        ],
    )
    def test_what_is_no_absolute_http_address_is_refused(self, url: str) -> None:
        with pytest.raises(BackendError) as caught:
            addresses.split(url)

        assert caught.value.code is ErrorCode.UNAVAILABLE

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.tld\\@models.example/",  # parsers take the host before the backslash, or after
            "https://models.example\\.evil.tld/",
            "https://models\t.example/",  # one parser drops the tab, another does not
            "https://models.example\n.evil.tld/",
            "https://models.example/\r\nX-Injected: 1",
            "https://models .example/",
        ],
    )
    def test_an_address_that_two_parsers_read_differently_is_refused(self, url: str) -> None:
        with pytest.raises(BackendError):
            addresses.origin(url)


class TestBelow:
    @pytest.mark.parametrize(
        ("url", "endpoint", "below"),
        [
            ("https://m.example/a", "https://m.example", True),
            ("https://m.example/hub/a", "https://m.example/hub/", True),
            ("https://m.example/hub", "https://m.example/hub", True),
            ("https://m.example/hubris/a", "https://m.example/hub", False),
            ("https://m.example/a", "https://m.example/hub", False),
            ("https://m.example/hub/../a", "https://m.example/hub", False),  # servers resolve the dots
            ("https://m.example/hub/%2e%2e/a", "https://m.example/hub", False),
            ("http://m.example/a", "https://m.example", False),
            ("https://m.example:8443/a", "https://m.example", False),
            ("https://m.example/a", "", False),
        ],
    )
    def test_below_an_endpoint_is_its_origin_and_its_path(self, url: str, endpoint: str, below: bool) -> None:
        assert addresses.is_below(url, endpoint) is below


class TestPlainHttp:
    def test_https_is_always_allowed(self) -> None:
        addresses.check_scheme("https://anywhere.example/x")

    @pytest.mark.parametrize(
        ("url", "endpoint"),
        [
            ("http://anywhere.example/x", ""),
            ("http://other.example/x", "http://mirror.example"),
            ("http://mirror.example:8080/x", "http://mirror.example"),
            ("http://mirror.example/x", "https://mirror.example"),
        ],
    )
    def test_plain_http_is_refused_away_from_an_endpoint_configured_with_it(self, url: str, endpoint: str) -> None:
        with pytest.raises(BackendError, match="not https") as caught:
            addresses.check_scheme(url, endpoint=endpoint)

        assert caught.value.hint

    def test_plain_http_is_allowed_below_an_endpoint_configured_with_it(self) -> None:
        addresses.check_scheme("http://mirror.example/x", endpoint="http://mirror.example")

    def test_the_storage_host_that_such_an_endpoint_redirects_to_may_be_http_as_well(self) -> None:
        addresses.check_scheme(
            "http://storage.example/x", endpoint="http://mirror.example", previous="http://mirror.example/x"
        )

    def test_no_redirect_leads_from_https_to_http(self) -> None:
        with pytest.raises(BackendError):
            addresses.check_scheme(
                "http://storage.example/x", endpoint="http://mirror.example", previous="https://mirror.example/x"
            )


class TestPrivate:
    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1",
            "127.8.9.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",  # the metadata service of clouds
            "100.64.0.1",  # carrier-grade NAT
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1%eth0",
            "fc00::1",
            "fec0::1",  # site-local, deprecated and still routed by some
            "ff02::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",  # IPv4 inside IPv6, four ways
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "64:ff9b:1::7f00:1",  # the prefix for private translators (RFC 8215)
        ],
    )
    def test_an_address_inside_somebodys_network_is_private(self, address: str) -> None:
        assert addresses.is_private(address)

    @pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
    def test_a_public_address_is_not(self, address: str) -> None:
        assert not addresses.is_private(address)

    @pytest.mark.parametrize(
        "url",
        [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://[::1]/",
            "https://0x7f.1/",  # the same number in other spellings
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://127.1/",
        ],
    )
    def test_loopback_is_recognised_in_every_spelling(self, url: str) -> None:
        assert addresses.leads_inside(url)

    def test_a_host_without_address_is_a_network_error(self) -> None:
        with pytest.raises(BackendError) as caught:
            addresses.leads_inside("https://nobody.invalid/")

        assert caught.value.code is ErrorCode.NETWORK


class TestShown:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("https://me:pw@m.example:8443/a/b?token=s#frag", "https://m.example:8443/a/b"),
            ("https://[::1]:80/x?y", "https://[::1]:80/x"),
            ("civitai:12@34?token=s", "civitai:12@34"),
            ("hf:owner/repo/a b.safetensors", "hf:owner/repo/a b.safetensors"),
            ("https://m.example/\x1b[2J", "https://m.example/\\u001b[2J"),
            ("https://[broken", "(an address that cannot be read)"),
        ],
    )
    def test_an_address_is_shown_without_user_query_and_fragment(self, url: str, shown: str) -> None:
        assert addresses.redact(url) == shown

    @given(st.text(max_size=40))
    def test_showing_an_address_never_fails_and_never_hurts_a_terminal(self, text: str) -> None:
        for url in (text, f"https://{text}", f"https://h.example/{text}"):
            shown = {unicodedata.category(character) for character in addresses.redact(url)}
            assert shown.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})

    @pytest.mark.parametrize(
        "text",
        [
            "Authorization: Bearer s3cr3t",
            "authorization: basic s3cr3t",
            "{'Authorization': 'Bearer s3cr3t'}",
            '{"token": "s3cr3t", "x": 1}',
            "GET /x?token=s3cr3t&y=1 failed",
            "api_key=s3cr3t",
            "X-Api-Key: s3cr3t",
            "HTTPSConnectionPool(host='h', port=443): url: /f?X-Amz-Signature=s3cr3t (Caused by x)",
            "https://me:s3cr3t@m.example/a",
            "see https://m.example/a?sig=s3cr3t.",
            "proxy http://me:s3cr3t@proxy.example:3128 refused",
            "Cookie: session=s3cr3t",
            "password=s3cr3t",
        ],
    )
    def test_a_message_is_shown_without_what_looks_like_a_secret(self, text: str) -> None:
        assert "s3cr3t" not in addresses.redact_text(text)

    def test_a_token_of_the_usual_shape_is_not_shown_wherever_it_stands(self) -> None:
        assert "hf_abcdefgh12" not in addresses.redact_text("refused hf_abcdefgh12 for you")

    @pytest.mark.parametrize(
        "text",
        [
            "the source wants a token for this file",
            "Set a token: see the settings",
            "Check the name; the key is in the file",
            "https://m.example/authorization answered 403",
        ],
    )
    def test_prose_about_tokens_stays_readable(self, text: str) -> None:
        assert addresses.redact_text(text) == text

    def test_a_message_is_one_line_without_escape_sequences_and_direction_marks(self) -> None:
        shown = addresses.printable("a\x1b]0;t\x07\nb\u202ec\u061cd\U000e0041e\x9b2Jf")

        assert shown.isprintable()
        assert shown.startswith("a\\u001b")
