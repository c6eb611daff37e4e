"""What `comfywatchman doctor` hears of the service and of the key."""

from __future__ import annotations

import pytest
from standins.civitai import CivitaiStandIn
from standins.civitai_desk import Desk

from comfywatchman_core import BackendError, Check


def diagnosed(desk: Desk) -> dict[str, Check]:
    return {check.name: check for check in desk.backend.diagnose(desk.context)}


def test_a_key_that_the_service_knows_is_accepted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "good-key")

    checks = diagnosed(desk)

    assert {name: check.passed for name, check in checks.items()} == {"reachable": True, "token": True}
    assert "CIVITAI_API_KEY" in checks["token"].note
    assert "good-key" not in f"{checks}"


def test_a_key_that_it_does_not_know_is_told_although_it_answers_like_none(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_TOKEN", "old-key")

    token = diagnosed(desk)["token"]

    assert (token.passed, token.code) == (False, "auth_required")
    assert "unknown there" in token.note
    assert "old-key" not in token.note


def test_without_a_key_it_says_where_one_would_go(civitai: CivitaiStandIn, desk: Desk) -> None:
    checks = diagnosed(desk)

    assert checks["reachable"].passed
    assert "CIVITAI_API_KEY" in checks["token"].note
    assert [asked.path for asked in civitai.requests] == ["/api/v1/models"]


def test_a_service_out_of_reach_is_a_failure(desk: Desk) -> None:
    desk.endpoint = "http://127.0.0.1:9"

    with pytest.raises(BackendError):
        diagnosed(desk)
