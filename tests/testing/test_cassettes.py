"""What a recording holds, and what it never holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman_core.http import ApiClient
from comfywatchman_core.testing import Asked, Origin, Reply, cassette, serve
from comfywatchman_core.testing.cassettes import leak

TOKEN = "kit-secret-71aa"
SITE = "https://models.example"


@pytest.fixture
def site() -> Iterator[Origin]:
    """A server whose answers are full of what belongs into no recording."""

    def answer(asked: Asked) -> Reply:
        origin = f"http://{asked.headers['host']}"
        return Reply.json(
            {"name": "ink", "account": TOKEN, "url": f"{origin}/ink?Signature=abc123&Expires=9&part=1"},
            Set_Cookie=f"session={TOKEN}",
            ETag='"1"',
            Server="kit",
        )

    with serve(answer) as origin:
        yield origin


def ask(url: str) -> object:
    headers = {"Authorization": f"Bearer {TOKEN}", "Cookie": f"session={TOKEN}"}
    return ApiClient(retries=0).get_json(f"{url}/models?query=ink&token={TOKEN}", headers=headers)


@pytest.fixture
def tape(site: Origin, tmp_path: Path) -> Path:
    """A conversation with the server, recorded as if it were the site's."""
    path = tmp_path / "cassettes" / "ink.yaml"
    with cassette(path, record=True, secrets=[TOKEN], origins={site.url: SITE}):
        ask(site.url)
    return path


def test_a_recording_holds_no_secret_of_either_side(tape: Path) -> None:
    text = tape.read_text()

    assert TOKEN not in text
    assert "abc123" not in text
    assert "127.0.0.1" not in text
    for header in ("authorization", "cookie", "server:"):
        assert header not in text.lower()


def test_a_recording_holds_what_the_back_end_needs(tape: Path) -> None:
    text = tape.read_text()

    assert f"{SITE}/models?query=ink" in text
    assert "part=1" in text
    assert "etag" in text.lower()


def test_a_recording_is_played_at_the_sites_address_without_any_server(tape: Path) -> None:
    with cassette(tape, secrets=[TOKEN]):
        found = ask(SITE)

    assert isinstance(found, dict)
    assert found["url"].startswith(f"{SITE}/ink?")


def test_what_was_not_recorded_is_not_asked(tape: Path) -> None:
    from vcr.errors import CannotOverwriteExistingCassetteException

    with pytest.raises(CannotOverwriteExistingCassetteException), cassette(tape, secrets=[TOKEN]):
        ApiClient(retries=0).get(f"{SITE}/other")


def test_answers_that_nobody_asks_for_are_told(tape: Path) -> None:
    with pytest.raises(AssertionError, match="nobody asks for"), cassette(tape):
        pass


def test_a_secret_in_a_recording_that_somebody_wrote_by_hand_is_told(tape: Path) -> None:
    tape.write_text(tape.read_text() + f"# {TOKEN}\n")

    with pytest.raises(AssertionError, match="belongs into no recording"), cassette(tape, secrets=[TOKEN]):
        ask(SITE)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("      Authorization:\n      - x", True),
        ("a header of Bearer abc", True),
        ("set-cookie: a=b", True),
        ("https://s.example/f?X-Amz-Signature=00ff", True),
        ("https://s.example/f?part=1&expires=9", False),
        ("a model of a cookie jar", False),
        ('etag: "9f86d081884c7d65"', False),
    ],
)
def test_a_leak_is_known_by_its_shape(text: str, found: bool) -> None:
    assert (leak(text) is not None) is found
