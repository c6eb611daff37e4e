"""Which of a back end's answers may be used at all."""

from __future__ import annotations

from typing import Any

import pytest

from comfywatchman_core.errors import BackendError, ErrorCode, Failure
from comfywatchman_core.models import Candidate, Digest, Match
from comfywatchman_core.offers import checked_offers

URL = "https://models.example/files/a.safetensors"


def offer(**more: Any) -> Candidate:
    return Candidate(**{"match": Match.FILENAME, "url": URL, **more})


def checked(
    *offers: object, settings: dict[str, Any] | None = None, transfers: bool = False
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    return checked_offers(list(offers), "shelf", settings=settings or {}, transfers=transfers)


def test_a_sound_offer_is_stamped_with_the_name_of_who_made_it() -> None:
    (taken,), refused = checked(offer(backend="somebody-else"))

    assert taken.backend == "shelf"
    assert refused == ()


@pytest.mark.parametrize("value", ["a", 5, {"a": 1}, offer(), iter([offer()]), [offer(), "x"], [None]])
def test_an_answer_that_is_no_sequence_of_candidates_is_refused_as_a_whole(value: object) -> None:
    with pytest.raises(TypeError, match="not"):
        checked_offers(value, "shelf", settings={}, transfers=False)


@pytest.mark.parametrize("transfers", [False, True], ids=["offers-only", "downloads-itself"])
@pytest.mark.parametrize(
    "bad",
    [
        {"url": "ftp://models.example/a"},
        {"url": "data:text/plain,x"},
        {"url": "http://models.example/a.safetensors"},
        {"url": "HTTP://models.example/a.safetensors"},
        {"url": "https://"},
        {"url": "https://models.example:x/"},
        {"url": "https://evil.tld\\@models.example/"},
        {"url": "a.safetensors"},
        {"url": ""},
        {"url": "https://models.example/\x1b[2J"},
        {"url": "https://models.example/" + "x" * 10_000},
        {"url": 5},
        {"url": None},
        {"name": "../../x.safetensors"},
        {"name": "C:\\x.safetensors"},
        {"name": "a\0b"},
        {"name": 5},
        {"folder": "../custom_nodes"},
        {"folder": "/etc"},
        {"size": -1},
        {"size": "5"},
        {"size": 1.5},
        {"size": True},
        {"digests": ("sha256:zzz",)},
        {"digests": None},
        {"digests": "zzz"},
        {"match": 20},
        {"match": "filename"},
        {"details": {"x": 1}},
        {"details": None},
        {"notes": (5,)},
        {"notes": None},
        {"notes": ("x" * 5000,)},
        {"reference": None},
        {"delegate": 5},
        {"obstacle": "gated"},
        {"trusted": "yes"},
    ],
)
def test_an_unsound_offer_is_discarded_with_a_reason_and_the_others_stay(bad: dict[str, Any], transfers: bool) -> None:
    offers, refused = checked(offer(**bad), offer(), transfers=transfers)

    assert [one.url for one in offers] == [URL]
    assert len(refused) == 1
    assert refused[0].isprintable()
    assert len(refused[0]) <= 300


def test_a_digest_of_the_wrong_shape_cannot_even_be_offered() -> None:
    with pytest.raises(ValueError, match="zzz"):
        offer(digests=(Digest("sha256", "zzz"),))


def test_only_a_back_end_that_downloads_by_itself_may_use_a_scheme_of_its_own() -> None:
    own = offer(url="shelf:12/a")

    assert checked(own, transfers=True)[0]
    assert not checked(own, transfers=False)[0]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "FILE:///etc/passwd"])
def test_a_file_of_this_machine_is_offered_only_by_a_back_end_that_copies_it_itself(url: str) -> None:
    assert checked(offer(url=url), transfers=True)[0]
    assert not checked(offer(url=url), transfers=False)[0]


def test_what_is_known_not_to_be_had_needs_no_address() -> None:
    gated = offer(url="", obstacle=Failure(code=ErrorCode.GATED, message="licence"))

    (taken,), _ = checked(gated)

    assert taken.obstacle == gated.obstacle


class TestEndpoint:
    def test_plain_http_is_accepted_below_an_address_in_the_back_ends_own_settings(self) -> None:
        (taken,), _ = checked(offer(url="http://nas:8080/hub/a"), settings={"base_url": "http://nas:8080/hub"})

        assert taken.endpoint == "http://nas:8080/hub"

    @pytest.mark.parametrize("url", ["http://nas:8081/hub/a", "http://nas:8080/hubris/a", "http://evil.tld/a"])
    def test_and_nowhere_beside_it(self, url: str) -> None:
        offers, refused = checked(offer(url=url), settings={"base_url": "http://nas:8080/hub", "n": 5})

        assert offers == ()
        assert "not https" in refused[0]

    def test_an_endpoint_that_the_address_does_not_lie_below_counts_for_nothing(self) -> None:
        (taken,), _ = checked(offer(endpoint="https://other.example"))

        assert taken.endpoint == ""

    def test_no_secret_of_an_address_stands_in_a_reason(self) -> None:
        _, refused = checked(offer(url="http://me:s3cr3t@models.example/a?token=s3cr3t"))

        assert "s3cr3t" not in refused[0]

    def test_the_error_of_a_broken_endpoint_is_no_crash(self) -> None:
        offers, refused = checked(offer(), settings={"base_url": "https://[broken"})

        assert len(offers) + len(refused) == 1
        assert not any(isinstance(one, BackendError) for one in offers)
