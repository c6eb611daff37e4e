"""Where settings and tokens come from, and what of them cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import fields
from comfywatchman_huggingface.settings import PUBLISHERS, Settings, read_token, unknown_keys

from comfywatchman_core import BackendError


def test_the_environment_goes_before_the_file_and_the_file_before_the_default() -> None:
    table = {"endpoint": "https://hub.example.org/"}

    assert Settings.read({}, {}).endpoint == "https://huggingface.co"
    assert Settings.read(table, {}).endpoint == "https://hub.example.org"
    assert Settings.read(table, {"HF_ENDPOINT": "https://hf-mirror.com/"}).endpoint == "https://hf-mirror.com"
    assert Settings.read(table, {"HF_ENDPOINT": ""}).endpoint == "https://hub.example.org"


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"endpoint": "huggingface.co"}, "endpoint"),
        ({"endpoint": "ftp://huggingface.co"}, "endpoint"),
        ({"endpoint": "https://user:secret@hub.example.org"}, "endpoint"),
        ({"endpoint": "https://hub.example.org/?token=1"}, "endpoint"),
        ({"endpoint": 7}, "endpoint"),
        ({"publishers": "Comfy-Org"}, "publishers"),
        ({"publishers": [1]}, "publishers"),
        ({"engine": "aria2"}, "engine"),
        ({"index_hours": "a day"}, "index_hours"),
        ({"index_hours": -1}, "index_hours"),
        ({"longest_wait": True}, "longest_wait"),
        ({"search": "yes"}, "search"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(table: dict[str, object], named: str) -> None:
    with pytest.raises(BackendError, match=named) as refused:
        Settings.read(table, {})

    assert "secret" not in str(refused.value)


def test_a_bad_variable_is_named_rather_than_the_file() -> None:
    with pytest.raises(BackendError, match=r"^HF_ENDPOINT"):
        Settings.read({}, {"HF_ENDPOINT": "nonsense"})


def test_a_setting_that_is_misspelt_is_found() -> None:
    assert unknown_keys({"publisher": [], "token": "x", "distribution": "y", "endpoint": "z"}) == ("publisher",)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize(("text", "offline"), [("1", True), ("true", True), ("ON", True), ("0", False), ("", False)])
def test_offline_is_read_as_the_hubs_own_client_reads_it(variable: str, text: str, offline: bool) -> None:
    assert Settings.read({}, {variable: text}).offline is offline


def test_the_readme_names_every_setting_and_no_other() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| setting |")[2].partition("\n\n")[0]
    described = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))

    assert unknown_keys(dict.fromkeys(described)) == ()
    assert described == {field.name for field in fields(Settings)} - {"offline"} | {"token"}


def test_every_default_publisher_is_named_once() -> None:
    assert PUBLISHERS[0] == "Comfy-Org"
    assert len({publisher.casefold() for publisher in PUBLISHERS}) == len(PUBLISHERS)


def test_a_token_is_taken_from_the_first_place_that_has_one(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_stored\n")
    environ = {"HF_HOME": str(tmp_path)}

    assert read_token({}, environ) == "hf_stored"
    assert read_token({"token": "hf_settings"}, environ) == "hf_settings"
    assert read_token({"token": "hf_settings"}, {**environ, "HF_API_TOKEN": "hf_third"}) == "hf_third"
    assert read_token({}, {**environ, "HF_API_TOKEN": "hf_third", "HUGGING_FACE_HUB_TOKEN": "hf_second"}) == "hf_second"
    assert read_token({}, {**environ, "HUGGING_FACE_HUB_TOKEN": "hf_second", "HF_TOKEN": "hf_first"}) == "hf_first"


def test_a_token_file_may_lie_where_the_environment_says(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("hf_elsewhere")
    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface" / "token").write_text("hf_cache")

    assert read_token({}, {"HF_TOKEN_PATH": str(tmp_path / "elsewhere")}) == "hf_elsewhere"
    assert read_token({}, {"XDG_CACHE_HOME": str(tmp_path)}) == "hf_cache"
    assert read_token({}, {"HF_HOME": str(tmp_path / "none")}) is None


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("hf_copied\n", "hf_copied"),
        (" hf_copied ", "hf_copied"),
        ('"hf_quoted"', "hf_quoted"),
        ("hf_two\r\nlines", "hf_twolines"),
        ("", None),
        ("hf_with blank", None),
        ("hf_ümlaut", None),
        ("hf_\x00", None),
    ],
)
def test_a_token_is_cleaned_and_one_that_cannot_be_sent_is_none(text: str, token: str | None) -> None:
    assert read_token({}, {"HF_TOKEN": text, "HF_HOME": "/nowhere"}) == token


def test_a_token_can_be_switched_off(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_stored")
    environ = {"HF_HOME": str(tmp_path), "HF_TOKEN": "hf_first"}

    assert read_token({"token": False}, environ) is None
    assert read_token({}, {**environ, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}) is None
    assert read_token({"token": "hf_settings"}, {**environ, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}) == "hf_settings"


@pytest.mark.parametrize(
    ("endpoint", "site", "home", "local"),
    [
        ("https://huggingface.co", "https://huggingface.co", True, False),
        ("https://hf-mirror.com", "https://huggingface.co", False, False),
        ("https://hub.example.org", "https://hub.example.org", False, False),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", False, True),
        ("http://huggingface.co", "https://huggingface.co", False, False),
    ],
)
def test_licences_are_accepted_at_the_hub_itself_unless_the_endpoint_is_a_hub_of_its_own(
    endpoint: str, site: str, home: bool, local: bool
) -> None:
    settings = Settings(endpoint=endpoint)

    assert (settings.site, settings.is_home, settings.is_local) == (site, home, local)
