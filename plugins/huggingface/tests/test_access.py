"""Gated, private, disabled and mirrored repositories, and who sees the token."""

from __future__ import annotations

import pytest
from standins.hub import HubStandIn
from standins.hub_desk import Desk, taken

from comfywatchman_core import Match, errors
from comfywatchman_core.testing import safetensors, sha256

MODEL = safetensors("gated", 3000)
FILES = {"vae/gated.safetensors": MODEL, "README.md": b"#"}
REFERENCE = "hf:maker/model/vae/gated.safetensors"
URL = "https://huggingface.co/maker/model/resolve/main/vae/gated.safetensors"


def test_a_gated_file_is_known_by_its_digest_and_says_what_to_do(desk: Desk, hub: HubStandIn) -> None:
    repo = hub.add_repo("maker/model", FILES, gated="auto")

    (offer,) = desk.resolve("gated.safetensors", url=URL) or []

    assert offer.obstacle is not None
    assert offer.obstacle.code is errors.ErrorCode.GATED
    assert f"{hub.url}/maker/model" in (offer.obstacle.hint or "")
    assert "HF_TOKEN" in (offer.obstacle.hint or "")
    assert (offer.sha256, offer.size) == (sha256(MODEL), len(MODEL))
    assert repo.head in offer.url


def test_the_licence_is_to_be_accepted_at_the_hub_itself_where_the_endpoint_is_a_mirror(
    desk: Desk, hub: HubStandIn
) -> None:
    hub.add_repo("maker/model", FILES, gated="auto")
    desk.settings["mirrors"] = ["127.0.0.1"]

    (offer,) = desk.resolve("gated.safetensors", url=URL) or []

    assert offer.obstacle is not None
    assert "https://huggingface.co/maker/model" in offer.obstacle.message


def test_an_accepted_licence_and_its_token_open_a_gated_file(
    desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("maker/model", FILES, gated="auto")
    monkeypatch.setenv("HF_TOKEN", hub.token)

    (offer,) = desk.resolve("gated.safetensors", url=URL) or []

    assert offer.obstacle is None
    assert desk.download(offer) == MODEL


def test_a_token_without_the_licence_is_told_so(desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo("maker/model", FILES, gated="manual")
    monkeypatch.setenv("HF_TOKEN", hub.strangers_token)

    (offer,) = desk.resolve("gated.safetensors", url=URL) or []

    assert offer.obstacle is not None
    assert (offer.obstacle.code, offer.obstacle.http_status) == (errors.ErrorCode.GATED, 403)
    assert "the token's account has no access" in offer.obstacle.message


def test_an_open_repository_with_the_same_bytes_stands_in_for_a_gated_one(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("maker/model", FILES, gated="auto")
    hub.add_repo("Comfy-Org/repackaged", {"split_files/vae/gated.safetensors": MODEL})

    offers = desk.resolve("gated.safetensors", url=URL) or []

    assert [(one.details["repo"], one.match, one.obstacle is None) for one in offers] == [
        ("Comfy-Org/repackaged", Match.SOURCE_ID, True),
        ("maker/model", Match.SOURCE_ID, False),
    ]
    assert "same bytes as maker/model" in offers[0].notes[-1]


def test_a_strangers_copy_stands_in_only_when_its_digest_is_the_same(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("maker/flux_model", {"flux_model.safetensors": MODEL}, gated="auto")
    hub.add_repo("somebody/flux_model", {"flux_model.safetensors": safetensors("else")}, downloads=9)
    hub.add_repo("anybody/flux_model-copy", {"flux_model.safetensors": MODEL})

    offers = desk.resolve("", "", reference="hf:maker/flux_model/flux_model.safetensors") or []

    assert taken(offers).details["repo"] == "anybody/flux_model-copy"
    assert not any(one.details["repo"] == "somebody/flux_model" for one in offers)


def test_a_gate_is_told_although_mirrors_cannot_be_looked_for(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("maker/model", FILES, gated="auto")
    hub.lists = False

    (offer,) = desk.resolve("gated.safetensors", url=URL) or []

    assert offer.obstacle is not None
    assert offer.obstacle.code is errors.ErrorCode.GATED


def test_a_file_that_a_gated_repository_does_not_have_is_not_found(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("maker/model", FILES, gated="auto")

    (offer,) = desk.resolve("", "", reference="hf:maker/model/vae/none.safetensors") or []

    assert offer.obstacle is not None
    assert offer.obstacle.code is errors.ErrorCode.NOT_FOUND


def test_a_private_repository_needs_its_owners_token(
    desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("maker/model", FILES, private=True)

    (without,) = desk.resolve("", "", reference=REFERENCE) or []
    monkeypatch.setenv("HF_TOKEN", hub.token)
    (with_token,) = desk.resolve("", "", reference=REFERENCE) or []

    assert without.obstacle is not None
    assert without.obstacle.code is errors.ErrorCode.NOT_FOUND
    assert "private" in without.obstacle.message
    assert desk.download(with_token) == MODEL


def test_a_disabled_repository_is_told_apart_from_a_missing_one(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("maker/model", FILES, disabled=True)

    (offer,) = desk.resolve("", "", reference=REFERENCE) or []

    assert offer.obstacle is not None
    assert offer.obstacle.code is errors.ErrorCode.DOWNLOADS_DISABLED


def test_a_token_that_the_hub_cannot_read_is_left_out_once_and_for_all_and_said(
    desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("maker/model", FILES)
    monkeypatch.setenv("HF_TOKEN", "hf_expiredExpiredExpired")

    (offer,) = desk.resolve("gated.safetensors", url=URL) or []
    data = desk.download(offer)

    assert data == MODEL
    assert sum("authorization" in asked.headers for asked in hub.requests) == 1
    (warning,) = desk.warnings
    assert "does not accept the token" in warning
    assert "hf_expired" not in repr(desk.told)


def test_a_token_that_expires_before_the_transfer_does_not_keep_a_public_file_away(
    desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("maker/model", FILES)
    (offer,) = desk.resolve("gated.safetensors", url=URL) or []
    monkeypatch.setenv("HF_TOKEN", "hf_expiredExpiredExpired")

    assert desk.download(offer) == MODEL
    assert any("does not accept the token" in message for message in desk.warnings)


def test_a_token_reaches_the_endpoint_and_nobody_else(
    desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("maker/model", FILES, gated="auto")
    monkeypatch.setenv("HF_TOKEN", hub.token)

    (offer,) = desk.resolve("gated.safetensors", url=URL) or []
    desk.download(offer)

    assert all(asked.headers.get("authorization") == f"Bearer {hub.token}" for asked in hub.requests)
    assert hub.cdn_requests
    assert not any("authorization" in asked.headers for asked in hub.cdn_requests)
    assert hub.token not in repr((offer, desk.told))


def test_a_token_is_not_lent_to_an_address_beyond_the_endpoint(
    desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attrs import evolve

    hub.add_repo("maker/model", FILES)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    (offer,) = desk.resolve("gated.safetensors", url=URL) or []
    elsewhere = evolve(offer, url=f"{hub.cas_url}/maker/model/resolve/main/vae/gated.safetensors", endpoint=hub.cas_url)

    with pytest.raises(errors.BackendError):
        desk.download(elsewhere)

    assert hub.cas_requests
    assert not any("authorization" in asked.headers for asked in hub.cas_requests)


def test_a_token_for_a_mirror_is_told_once(desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo("maker/model", FILES)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setattr("comfywatchman_huggingface.settings.Settings.is_local", False)

    for _ in range(2):
        desk.resolve("gated.safetensors", url=URL)

    assert desk.warnings == [f"The token of the Hub is sent to {hub.url}, the endpoint that is configured."]


@pytest.mark.parametrize(
    ("token", "checks"),
    [
        (None, {"reachable": True, "token": True}),
        (HubStandIn.token, {"reachable": True, "token": True}),
        ("hf_expiredExpired", {"reachable": True, "token": False}),
    ],
)
def test_a_diagnosis_says_whether_the_token_is_accepted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, token: str | None, checks: dict[str, bool]
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)

    found = list(desk.backend.diagnose(desk.context))

    assert {check.name: check.passed for check in found} == checks
    assert "hf_" not in repr(found)


def test_a_diagnosis_of_an_endpoint_that_is_not_there_says_so(desk: Desk, hub: HubStandIn) -> None:
    desk.endpoint = hub.closed_url

    (check,) = desk.backend.diagnose(desk.context)

    assert (check.name, check.passed) == ("reachable", False)
