"""Why a file cannot be had: known before the transfer, told with the date or the reason."""

from __future__ import annotations

from typing import Any

import pytest
from standins.civitai import CivitaiStandIn, File, Model, Version
from standins.civitai_desk import Desk

from comfywatchman_core import Match, errors
from comfywatchman_core.testing import safetensors

CODE = errors.ErrorCode
DATA = safetensors("x")


def one(civitai: CivitaiStandIn, file: File | None = None, *, type: str = "LORA", **more: Any) -> Model:
    of_version = {key: more.pop(key) for key in tuple(more) if key in Version.__annotations__}
    version = Version("v1", [file or File("ink.safetensors", DATA)], **of_version)
    return civitai.add_model(name="Ink", type=type, versions=[version], **more)


def obstacle(desk: Desk, model: Model) -> errors.Failure | None:
    return desk.offer(reference=f"civitai:{model.id}").obstacle


def test_nothing_stands_in_the_way_of_an_ordinary_file(civitai: CivitaiStandIn, desk: Desk) -> None:
    assert obstacle(desk, one(civitai)) is None


def test_an_archived_model_is_gone_for_good(civitai: CivitaiStandIn, desk: Desk) -> None:
    failure = obstacle(desk, one(civitai, mode="Archived"))

    assert failure is not None
    assert failure.code is CODE.NOT_FOUND
    assert "archived" in failure.message


def test_a_model_that_was_taken_down_is_offered_with_a_warning(civitai: CivitaiStandIn, desk: Desk) -> None:
    offer = desk.offer(reference=f"civitai:{one(civitai, mode='TakenDown').id}")

    assert offer.obstacle is None
    assert any("taken the model down" in note for note in offer.notes)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"early_access_deadline": "2126-01-01T00:00:00.000Z"}, "until 2126-01-01"),
        ({"paid_access": {"permanent": False, "endsAt": "2126-01-01T00:00:00.000Z"}}, "until 2126-01-01"),
        ({"paid_access": {"permanent": True, "endsAt": None}}, "has to be bought"),
    ],
)
def test_early_access_is_told_with_its_date(
    civitai: CivitaiStandIn, desk: Desk, members: dict[str, Any], words: str
) -> None:
    failure = obstacle(desk, one(civitai, **members))

    assert failure is not None
    assert failure.code is CODE.EARLY_ACCESS
    assert words in failure.message
    assert failure.hint


def test_early_access_that_is_over_is_over(civitai: CivitaiStandIn, desk: Desk) -> None:
    assert obstacle(desk, one(civitai, early_access_deadline="2024-01-01T00:00:00.000Z")) is None


def test_with_a_key_early_access_is_tried_and_told(
    civitai: CivitaiStandIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "good-key")

    offer = desk.offer(reference=f"civitai:{one(civitai, early_access_deadline='2126-01-01T00:00:00.000Z').id}")

    assert offer.obstacle is None
    assert any("early access until 2126" in note for note in offer.notes)


def test_what_may_be_used_on_the_site_only_is_told_so(civitai: CivitaiStandIn, desk: Desk) -> None:
    failure = obstacle(desk, one(civitai, usage_control="Generation"))

    assert failure is not None
    assert failure.code is CODE.DOWNLOADS_DISABLED


@pytest.mark.parametrize(
    ("scan", "code"), [({"pickle_scan": "Danger"}, CODE.PICKLE_REFUSED), ({"virus_scan": "Danger"}, CODE.NOT_A_MODEL)]
)
def test_what_a_scan_calls_dangerous_is_refused(
    civitai: CivitaiStandIn, desk: Desk, scan: dict[str, Any], code: errors.ErrorCode
) -> None:
    failure = obstacle(desk, one(civitai, File("ink.ckpt", DATA, **scan)))

    assert failure is not None
    assert failure.code is code


@pytest.mark.parametrize("scan", ["Success", "Pending", "Error"])
def test_a_pickle_is_never_offered_silently(civitai: CivitaiStandIn, desk: Desk, scan: str) -> None:
    offer = desk.offer(reference=f"civitai:{one(civitai, File('ink.ckpt', DATA, pickle_scan=scan)).id}")

    assert any("can run code" in note and scan in note for note in offer.notes)


def test_an_archive_is_never_taken_for_a_model(civitai: CivitaiStandIn, desk: Desk) -> None:
    failure = obstacle(desk, one(civitai, File("ink.zip", b"PK", type="Archive")))

    assert failure is not None
    assert failure.code is CODE.NOT_A_MODEL
    assert "ink.zip" in failure.message


def test_another_format_than_the_name_promises_is_told_before_it_is_downloaded(
    civitai: CivitaiStandIn, desk: Desk
) -> None:
    model = one(civitai, File("ink.gguf", b"GGUF"))

    failure = desk.offer("ink.safetensors", "loras", reference=f"civitai:{model.id}").obstacle

    assert failure is not None
    assert failure.code is CODE.NOT_A_MODEL


def test_a_version_without_a_public_file_is_told_so(civitai: CivitaiStandIn, desk: Desk) -> None:
    model = one(civitai, File("ink.safetensors", DATA, public=False))

    offer = desk.offer(reference=f"civitai:{model.id}@{model.versions[0].id}")

    assert offer.match is Match.SOURCE_ID
    assert offer.obstacle is not None
    assert offer.obstacle.code is CODE.NOT_FOUND


@pytest.mark.parametrize(
    "name", ["../../evil.safetensors", "C:evil.safetensors", "con.safetensors", "a\x00b.safetensors", "x. "]
)
def test_a_name_of_the_server_is_never_a_path(civitai: CivitaiStandIn, desk: Desk, name: str) -> None:
    offer = desk.offer(reference=f"civitai:{one(civitai, File(name, DATA)).id}")

    assert "/" not in offer.name
    assert ":" not in offer.name
    assert "\x00" not in offer.name
    assert not offer.name.lower().startswith("con")
    assert desk.folder.name  # the core refuses the whole offer where the name could leave its folder


@pytest.mark.parametrize(
    ("folder", "base_model", "file_type", "warned"),
    [
        ("checkpoints", "Flux.1 D", "Model", True),
        ("checkpoints", "SDXL 1.0", "Model", False),
        ("checkpoints", "SDXL 1.0", "Diffusion Model", True),
        ("diffusion_models", "Flux.1 D", "Model", False),
        ("diffusion_models", "SD 1.5", "Model", True),
        ("unet", "SD 1.5", "Model", True),
    ],
)
def test_a_folder_that_the_base_model_contradicts_is_told(
    civitai: CivitaiStandIn, desk: Desk, folder: str, base_model: str, file_type: str, warned: bool
) -> None:
    model = one(civitai, File("p.safetensors", DATA, type=file_type), type="Checkpoint", base_model=base_model)

    offer = desk.offer("p.safetensors", folder, reference=f"civitai:{model.id}")

    assert any("checkpoint" in note.lower() for note in offer.notes) is warned
