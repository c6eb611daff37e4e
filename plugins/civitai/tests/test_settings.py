"""The table of the settings, and its mistakes."""

from __future__ import annotations

import pytest
from comfywatchman_civitai.settings import Settings

from comfywatchman_core import BackendError


def test_without_a_table_the_public_service_is_asked_slowly() -> None:
    assert Settings.of({}) == Settings(base_url="https://civitai.com", rate=1.0, budget=8, keep_answers=True)


def test_a_host_of_ones_own_is_asked_as_fast_as_it_answers() -> None:
    assert Settings.of({"base_url": "http://127.0.0.1:8000/"}).rate == 0
    assert Settings.of({"base_url": "https://civitai.red"}).rate == 1.0


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("https://civitai.red/", "https://civitai.red"),
        ("https://civitai.com/api/v1", "https://civitai.com"),
        (" http://nas:81/mirror/ ", "http://nas:81/mirror"),
    ],
)
def test_an_address_is_taken_as_people_write_it(text: str, base_url: str) -> None:
    assert Settings.of({"base_url": text}).base_url == base_url


def test_values_from_the_environment_come_as_text() -> None:
    read = Settings.of({"requests_per_second": "0.5", "requests_per_model": "4", "keep_answers": "false"})

    assert (read.rate, read.budget, read.keep_answers) == (0.5, 4, False)


@pytest.mark.parametrize(
    "table",
    [
        {"base_url": "civitai.com"},
        {"base_url": "ftp://civitai.com"},
        {"base_url": "https://me:secret@civitai.com"},
        {"base_url": "https://civitai.com:port"},
        {"base_url": 7},
        {"requests_per_second": -1},
        {"requests_per_second": "fast"},
        {"requests_per_second": "nan"},
        {"requests_per_model": 0},
        {"requests_per_model": True},
        {"keep_answers": "perhaps"},
    ],
)
def test_a_value_that_makes_no_sense_is_named(table: dict[str, object]) -> None:
    with pytest.raises(BackendError, match=r"in \[backends\.civitai\] is not") as refused:
        Settings.of(table)

    assert next(iter(table)) in str(refused.value)
    assert "secret" not in str(refused.value)
