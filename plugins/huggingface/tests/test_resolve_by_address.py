"""A workflow that says where its file is: one request confirms it."""

from __future__ import annotations

import pytest
from standins.hub import HubStandIn
from standins.hub_desk import Desk

from comfywatchman_core import Digest, Match, errors
from comfywatchman_core.testing import safetensors, sha256

MODEL = safetensors("ae", 3000)
OTHER = safetensors("other", 3000)
URL = "https://huggingface.co/Comfy-Org/flux/resolve/main/split_files/vae/ae.safetensors"


@pytest.fixture(autouse=True)
def flux(hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"split_files/vae/ae.safetensors": MODEL, "README.md": b"#"})


def test_an_address_costs_one_request_and_is_pinned_to_a_commit(desk: Desk, hub: HubStandIn) -> None:
    (offer,) = desk.resolve(url=URL) or []

    commit = hub.repositories["models", "Comfy-Org/flux"].head
    assert offer.match is Match.SOURCE_ID
    assert offer.url == f"{hub.url}/Comfy-Org/flux/resolve/{commit}/split_files/vae/ae.safetensors"
    assert (offer.size, offer.sha256, offer.endpoint) == (len(MODEL), sha256(MODEL), hub.url)
    assert offer.reference == f"hf:Comfy-Org/flux/split_files/vae/ae.safetensors@{commit}"
    assert [asked.method for asked in hub.requests] == ["HEAD"]


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/Comfy-Org/flux/blob/main/split_files/vae/ae.safetensors",
        "https://huggingface.co/Comfy-Org/flux/resolve/main/split_files/vae/ae.safetensors?download=true",
        "https://hf.co/Comfy-Org/flux/raw/main/split_files/vae/ae.safetensors",
        "https://hf-mirror.com/Comfy-Org/flux/resolve/main/split_files/vae/ae.safetensors",
        "http://huggingface.co/Comfy-Org/flux/resolve/main/split_files/vae/ae.safetensors",
    ],
)
def test_every_form_of_an_address_means_the_configured_endpoint(desk: Desk, hub: HubStandIn, url: str) -> None:
    (offer,) = desk.resolve(url=url) or []

    assert offer.url.startswith(hub.url)
    assert offer.sha256 == sha256(MODEL)


def test_a_digest_that_the_source_states_too_is_certainty(desk: Desk) -> None:
    (offer,) = desk.resolve(url=URL, digests=(Digest("sha256", sha256(MODEL)),)) or []

    assert offer.match is Match.DIGEST


def test_a_file_that_changed_upstream_is_not_settled_for_while_the_old_one_is_elsewhere(
    desk: Desk, hub: HubStandIn
) -> None:
    hub.add_repo("Comfy-Org/other", {"ae.safetensors": OTHER})

    offers = desk.resolve(url=URL, digests=(Digest("sha256", sha256(OTHER)),)) or []

    assert [(one.match, one.sha256) for one in offers] == [
        (Match.DIGEST, sha256(OTHER)),
        (Match.SOURCE_ID, sha256(MODEL)),
    ]


def test_an_address_that_leads_nowhere_is_reported_with_its_reason(desk: Desk) -> None:
    (offer,) = desk.resolve(name="gone.safetensors", url=URL.replace("ae.", "gone.")) or []

    assert offer.obstacle is not None
    assert offer.obstacle.code is errors.ErrorCode.NOT_FOUND
    assert "split_files/vae/gone.safetensors" in offer.obstacle.message


def test_a_dead_address_says_more_than_a_generic_name(desk: Desk) -> None:
    (offer,) = desk.resolve(name="model.safetensors", url=URL.replace("ae.", "model.")) or []

    assert offer.obstacle is not None
    assert offer.obstacle.code is errors.ErrorCode.NOT_FOUND


def test_an_address_that_leads_nowhere_gives_way_to_the_name(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/moved", {"vae/gone.safetensors": OTHER})

    (offer,) = desk.resolve(name="gone.safetensors", url=URL.replace("ae.", "gone.")) or []

    assert (offer.match, offer.sha256) == (Match.FILENAME, sha256(OTHER))
    assert any("does not work" in message for message in desk.warnings)


def test_a_renamed_repository_is_followed_and_named_by_its_new_name(desk: Desk, hub: HubStandIn) -> None:
    hub.rename("Comfy-Org/flux", "Comfy-Org/flux-2")

    (offer,) = desk.resolve(url=URL) or []

    assert "/Comfy-Org/flux-2/resolve/" in offer.url
    assert offer.reference.startswith("hf:Comfy-Org/flux-2/")


def test_the_wrong_address_beside_the_right_file_does_not_win(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/pair", {"vae/big_base.safetensors": OTHER, "vae/big_tuned.safetensors": MODEL})

    offers = desk.resolve(
        name="big_tuned.safetensors", url="https://huggingface.co/Comfy-Org/pair/resolve/main/vae/big_base.safetensors"
    )

    assert [(one.match, one.sha256) for one in offers or []] == [
        (Match.FILENAME, sha256(MODEL)),
        (Match.FUZZY, sha256(OTHER)),
    ]
    assert any("big_base.safetensors" in message for message in desk.warnings)


def test_a_file_that_the_workflow_renames_is_taken_and_said(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("maker/lora", {"SYSTEM_LoRA_v1.safetensors": OTHER})

    (offer,) = (
        desk.resolve(
            name="System-v1.safetensors",
            folder="loras",
            url="https://huggingface.co/maker/lora/resolve/main/SYSTEM_LoRA_v1.safetensors",
        )
        or []
    )

    assert offer.match is Match.SOURCE_ID
    assert "is called SYSTEM_LoRA_v1.safetensors at its source" in offer.notes[0]


@pytest.mark.parametrize("name", ["flux_fp16.safetensors", "flux_fp8.gguf"])
def test_an_address_of_another_precision_or_format_is_only_reported(desk: Desk, hub: HubStandIn, name: str) -> None:
    hub.add_repo("maker/flux", {"flux_fp8.safetensors": OTHER})

    (offer,) = desk.resolve(name=name, url="https://huggingface.co/maker/flux/resolve/main/flux_fp8.safetensors") or []

    assert offer.match is Match.FUZZY


def test_an_address_of_somebody_else_is_not_asked(desk: Desk, hub: HubStandIn) -> None:
    desk.settings["search"] = False

    offers = desk.resolve(name="x.safetensors", url="https://huggingface.co.example.org/a/b/resolve/main/x.safetensors")

    assert offers == []
    assert not any("/resolve/" in asked.path for asked in hub.requests)


def test_a_reference_of_another_source_is_declined(desk: Desk, hub: HubStandIn) -> None:
    assert desk.resolve(name="", reference="civitai:123@456") is None
    assert not hub.requests


@pytest.mark.parametrize(
    "reference",
    [
        "hf:Comfy-Org/flux/split_files/vae/ae.safetensors",
        "hf:Comfy-Org/flux/split_files/vae/ae.safetensors@main",
        "hf://Comfy-Org/flux@main/split_files/vae/ae.safetensors",
        URL,
    ],
)
def test_a_reference_is_answered_with_exactly_its_file(desk: Desk, reference: str) -> None:
    (offer,) = desk.resolve(name="", folder="", reference=reference) or []

    assert (offer.match, offer.name, offer.folder) == (Match.SOURCE_ID, "ae.safetensors", "vae")
    assert offer.sha256 == sha256(MODEL)
