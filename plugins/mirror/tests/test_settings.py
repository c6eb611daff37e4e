"""The settings: where a mirror may be, and what is never taken from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comfywatchman_mirror.settings import Settings

from comfywatchman_core import BackendError


def read(**table: Any) -> Settings:
    settings = Settings.read(table)
    assert settings is not None
    return settings


def test_without_an_address_there_is_no_mirror() -> None:
    assert Settings.read({}) is None
    assert Settings.read({"url": ""}) is None


def test_a_directory_will_do(tmp_path: Path) -> None:
    settings = read(url=str(tmp_path / "our models"))

    assert settings.scheme == "file"
    assert settings.directory == tmp_path / "our models"


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("sftp://nas/srv/mirror/", "/srv/mirror"),
        ("sftp://ann@nas:2222/~/mirror", "mirror"),  # below the login's own directory
        ("s3://bucket/prefix", "bucket/prefix"),
        ("gs://bucket", "bucket"),
        ("az://container/prefix", "container/prefix"),
    ],
)
def test_an_address_says_where_the_files_are(url: str, root: str) -> None:
    assert read(url=url).root == root


@pytest.mark.parametrize(
    "url",
    [
        "sftp://ann:hunter2@nas/srv",
        "https://ann:hunter2@nas/mirror",
        "https://hunter2@nas/mirror",
        "https://nas/mirror?token=hunter2",
        "https://nas/mirror#hunter2",
        "s3://hunter2:hunter2@bucket/x",
        "ftp://nas/hunter2",
        "simplecache::s3://bucket/hunter2",
        "memory://hunter2",
        "https:///hunter2",
        "file://nas/hunter2",
        "https://nas\\@hunter2/",
        "https://nas/\nhunter2",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BackendError) as caught:
        Settings.read({"url": url})

    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert "[backends.mirror] url" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"key": "hunter2"},
        {"secret": "hunter2"},
        {"token": "hunter2"},
        {"password": "hunter2"},
        {"account_key": "hunter2"},
        {"sas_token": "hunter2"},
        {"client_kwargs": {"aws_secret_access_key": "hunter2"}},
    ],
    ids=str,
)
def test_a_secret_among_the_options_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match="environment") as caught:
        Settings.read({"url": "s3://bucket", "options": options})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("table", [{"options": "x"}, {"link": "soft"}, {"url": 5}, {"link": True}], ids=str)
def test_a_setting_that_makes_no_sense_is_named(table: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match=r"\[backends\.mirror\] "):
        Settings.read({"url": "s3://bucket", **table})
