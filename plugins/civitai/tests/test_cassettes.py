"""Recorded conversations with civitai.com itself, played back: the default host, and its words in full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins import civitai_cassettes
from standins.civitai import CivitaiStandIn, File, Version
from standins.civitai_desk import Desk, accepted

from comfywatchman_core import BackendError, Digest, Match, ModelRequest
from comfywatchman_core.testing import safetensors

CASSETTES = Path(__file__).with_name("cassettes")
MODEL, VERSION = 4384, 128713
NAME = "dreamshaper_8.safetensors"
SHA256 = "879db523c30d3b9017143d56705015e15a2cb5628762c11d086fed9538abd7fd"


def fill(service: CivitaiStandIn) -> None:
    """What the recorded questions are about, as far as a stand-in has it."""
    file = File(
        "DreamShaper_8_pruned.safetensors",
        id=94,
        size=2132625894,
        metadata={"format": "SafeTensor", "size": "pruned", "fp": "fp16"},
        hashes={"SHA256": SHA256.upper(), "AutoV2": SHA256[:10].upper(), "CRC32": "5C9B4E5B"},
    )
    service.add_model(
        name="DreamShaper", id=MODEL, type="Checkpoint", creator="Lykon", likes=9000,
        versions=[Version("8", [file], id=VERSION, base_model="SD 1.5")],
    )  # fmt: skip
    service.add_model(
        name="DreamShaper XL",
        type="Checkpoint",
        creator="Lykon",
        versions=[Version("v2.1 Turbo", [File("dsxl.safetensors", safetensors("dsxl"))])],
    )


@pytest.fixture
def real_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """The back end at the service's own address."""
    cassette = CASSETTES / "test_cassettes" / f"{request.node.originalname}.yaml"
    with civitai_cassettes.conversation(cassette, fill) as endpoint:
        yield Desk(endpoint, tmp_path, {"requests_per_second": 0})


def test_a_version_is_offered_with_its_address_size_and_digest(real_desk: Desk) -> None:
    offer = real_desk.offer(reference=f"civitai:{MODEL}@{VERSION}")

    assert offer.match is Match.SOURCE_ID
    assert re.fullmatch(rf"https?://\S+/api/download/models/{VERSION}\?fileId=\d+", offer.url)
    assert (offer.sha256, offer.folder) == (SHA256, "checkpoints")
    assert offer.size


def test_a_model_is_offered_by_the_version_its_page_shows(real_desk: Desk) -> None:
    offer = real_desk.offer(reference=f"https://civitai.com/models/{MODEL}/dreamshaper")

    assert offer.reference.startswith(f"civitai:{MODEL}@")
    assert any("no version" in note for note in offer.notes)


def test_a_composed_name_is_found(real_desk: Desk) -> None:
    offers = accepted(real_desk.resolve(NAME, "checkpoints"))

    assert {offer.sha256 for offer in offers} == {SHA256}


def test_a_checksum_is_found_in_any_kind(real_desk: Desk) -> None:
    offer = real_desk.offer("renamed.safetensors", "checkpoints", digests=(Digest("autov2", SHA256[:10]),))

    assert (offer.match, offer.sha256) == (Match.DIGEST, SHA256)


def test_many_checksums_are_one_question(real_desk: Desk) -> None:
    digests = [Digest("sha256", value) for value in (SHA256, "0" * 64)]
    requests = [ModelRequest(name="x.safetensors", folder="checkpoints", digests=(digest,)) for digest in digests]

    real_desk.backend.prepare(requests, real_desk.context)

    assert real_desk.offer("x.safetensors", "checkpoints", digests=requests[0].digests).match is Match.DIGEST
    assert real_desk.resolve("x.safetensors", "checkpoints", digests=requests[1].digests) == []


def test_a_file_that_a_version_does_not_have_is_told(real_desk: Desk) -> None:
    with pytest.raises(BackendError, match="no such file"):
        real_desk.resolve(reference=f"civitai:{MODEL}@{VERSION}+1")


def test_a_model_that_is_not_there_is_told(real_desk: Desk) -> None:
    with pytest.raises(BackendError, match="Civitai has no civitai:2147483646"):
        real_desk.resolve(reference="civitai:2147483646")


def test_a_version_that_is_not_there_is_told(real_desk: Desk) -> None:
    with pytest.raises(BackendError, match="Civitai has no version 2147483646"):
        real_desk.resolve(reference="https://civitai.com/model-versions/2147483646")


def test_a_name_that_nobody_has_is_found_nothing(real_desk: Desk) -> None:
    assert accepted(real_desk.resolve("zzyzx_no_such_model_7f3a.safetensors", "loras")) == []


def test_a_key_that_nobody_has_is_told(real_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "0123456789abcdef0123456789abcdef")

    checks = {check.name: check.passed for check in real_desk.backend.diagnose(real_desk.context)}

    assert checks == {"reachable": True, "token": False}


@pytest.mark.parametrize("cassette", sorted(CASSETTES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_no_recording_holds_a_secret_or_an_address_of_a_test(cassette: Path) -> None:
    text = cassette.read_text(encoding="utf-8")

    assert civitai_cassettes.unfit(text) is None
    assert "https://civitai.com/" in text


@pytest.mark.parametrize(
    "text", ["authorization: Bearer x", "set-cookie: a", "https://x/?token=abc", "0123456789abcdef0123456789abcdef"]
)
def test_a_secret_in_a_recording_would_be_found(text: str) -> None:
    assert civitai_cassettes.unfit(text)
