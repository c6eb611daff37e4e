"""Recorded conversations with huggingface.co itself, played back: the default host, and its words in full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins import hub_cassettes
from standins.hub import HubStandIn
from standins.hub_desk import Desk, taken

from comfywatchman_core import Match, errors
from comfywatchman_core.testing import safetensors

CASSETTES = Path(__file__).with_name("cassettes")
OPEN = "https://huggingface.co/Comfy-Org/z_image_turbo/resolve/main/split_files/vae/ae.safetensors"


def fill(hub: HubStandIn) -> None:
    """What the recorded questions are about, as far as a stand-in has it."""
    hub.add_repo("Comfy-Org/z_image_turbo", {"split_files/vae/ae.safetensors": safetensors("ae"), "README.md": b"#"})
    hub.add_repo("black-forest-labs/FLUX.1-dev", {"ae.safetensors": safetensors("ae")}, gated="auto")
    hub.add_repo("Bingsu/adetailer", {"face_yolov8n.pt": b"PK" + bytes(200), "config.json": b"{}"}, downloads=900)
    hub.add_repo("somebody/dreamshaper-8", {"DreamShaper_8.safetensors": safetensors("dream")}, downloads=5)


@pytest.fixture
def real_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """The back end at the Hub's own address, with one publisher."""
    cassette = CASSETTES / "test_cassettes" / f"{request.node.originalname}.yaml"
    with hub_cassettes.conversation(cassette, fill) as endpoint:
        yield Desk(endpoint, tmp_path, {"publishers": ["Bingsu"]})


def test_an_address_is_confirmed_by_commit_size_and_digest(real_desk: Desk) -> None:
    (offer,) = real_desk.resolve(url=OPEN) or []

    assert offer.match is Match.SOURCE_ID
    assert offer.details["repo"] == "Comfy-Org/z_image_turbo"
    assert re.fullmatch(r"[0-9a-f]{40}", offer.details["commit"])
    assert re.fullmatch(r"[0-9a-f]{64}", offer.sha256 or "")
    assert offer.size


def test_a_publishers_file_is_found_by_its_name(real_desk: Desk) -> None:
    offer = taken(real_desk.resolve("face_yolov8n.pt", "ultralytics_bbox"))

    assert offer is not None
    assert (offer.match, offer.details["repo"]) == (Match.FILENAME, "Bingsu/adetailer")
    assert re.fullmatch(r"[0-9a-f]{64}", offer.sha256 or "")


def test_a_gated_file_is_known_and_not_to_be_had(real_desk: Desk) -> None:
    (offer,) = real_desk.resolve("", "", reference="hf:black-forest-labs/FLUX.1-dev/ae.safetensors") or []

    assert offer.obstacle is not None
    assert (offer.obstacle.code, offer.obstacle.http_status) == (errors.ErrorCode.GATED, 401)
    assert "black-forest-labs/FLUX.1-dev" in (offer.obstacle.hint or "")
    assert re.fullmatch(r"[0-9a-f]{64}", offer.sha256 or "")


def test_a_file_that_is_missing_is_named(real_desk: Desk) -> None:
    (offer,) = real_desk.resolve("", "", reference="hf:Bingsu/adetailer/no_such_file.safetensors") or []

    assert offer.obstacle is not None
    assert offer.obstacle.code is errors.ErrorCode.NOT_FOUND
    assert "no_such_file.safetensors" in offer.obstacle.message


def test_a_repository_that_is_missing_is_named(real_desk: Desk) -> None:
    (offer,) = real_desk.resolve("", "", reference="hf:Bingsu/no-such-repository-7f3a/a.safetensors") or []

    assert offer.obstacle is not None
    assert (offer.obstacle.code, offer.obstacle.http_status) == (errors.ErrorCode.NOT_FOUND, 401)


def test_a_revision_that_is_missing_is_named(real_desk: Desk) -> None:
    (offer,) = real_desk.resolve("", "", reference="hf:Bingsu/adetailer/face_yolov8n.pt@no-such-branch") or []

    assert offer.obstacle is not None
    assert "no-such-branch" in offer.obstacle.message


def test_a_token_that_cannot_be_read_is_left_out(real_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)

    (offer,) = real_desk.resolve(url=OPEN) or []

    assert offer.match is Match.SOURCE_ID
    assert any("does not accept the token" in message for message in real_desk.warnings)


def test_a_strangers_file_is_found_by_its_repositorys_name(real_desk: Desk) -> None:
    offers = real_desk.resolve("DreamShaper_8.safetensors", "checkpoints") or []

    assert offers
    assert {offer.match for offer in offers} == {Match.FUZZY}


@pytest.mark.parametrize("cassette", sorted(CASSETTES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_no_recording_holds_a_secret_or_an_address_of_a_test(cassette: Path) -> None:
    text = cassette.read_text(encoding="utf-8")

    assert hub_cassettes.unfit(text) is None
    assert "https://huggingface.co/" in text
    assert "authorization" not in text.lower().replace("authorization header", "")
