"""The user's key: found, cleaned, and never shown."""

from __future__ import annotations

import pytest
from comfywatchman_civitai.credentials import Key, key_of

from comfywatchman_core import AuthRequired


def test_the_first_variable_that_is_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_API_TOKEN", "third")
    assert key_of({}) == Key("third", "CIVITAI_API_TOKEN")
    monkeypatch.setenv("CIVITAI_TOKEN", "second")
    assert key_of({}) == Key("second", "CIVITAI_TOKEN")
    monkeypatch.setenv("CIVITAI_API_KEY", "first")
    assert key_of({"token": "last"}) == Key("first", "CIVITAI_API_KEY")


def test_the_settings_count_where_no_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "  ")

    key = key_of({"token": "abc"})

    assert key is not None
    assert key.headers == {"Authorization": "Bearer abc"}
    assert key_of({}) is None
    assert key_of({"token": 7}) is None


@pytest.mark.parametrize("text", ["abc\n", " abc ", "'abc'", "Bearer abc", '"Bearer abc"\r\n'])
def test_what_pasting_adds_is_taken_away(text: str) -> None:
    assert key_of({"token": text}) == Key("abc", "the token in [backends.civitai]")


@pytest.mark.parametrize("text", ["a b", "a\nX-Other: 1", "schlüssel", "a\x00b"])
def test_a_key_that_would_break_a_header_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(AuthRequired) as refused:
        key_of({"token": text})

    assert text not in f"{refused.value} {refused.value.hint}"


def test_a_key_does_not_show_itself() -> None:
    assert "5ecre7" not in repr(Key("5ecre7", "CIVITAI_API_KEY"))
