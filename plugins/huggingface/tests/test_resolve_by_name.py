"""A workflow that says nothing but a file name: trusted publishers first, then strangers, and never a guess."""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from standins.hub import HubStandIn
from standins.hub_desk import Desk, taken

from comfywatchman_core import BackendError, Digest, Match, ModelRequest, errors
from comfywatchman_core.testing import Reply, safetensors, serve, sha256

MODEL = safetensors("ae", 3000)
OTHER = safetensors("other", 3000)
THIRD = safetensors("third", 3000)


def with_tensors(*names: str) -> bytes:
    """A model file that has tensors of these names."""
    header = json.dumps(
        {name: {"dtype": "F16", "shape": [1], "data_offsets": [2 * at, 2 * at + 2]} for at, name in enumerate(names)}
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(2 * len(names))


CHECKPOINT = with_tensors(
    "model.diffusion_model.input_blocks.0", "first_stage_model.decoder.conv_in", "cond_stage_model.transformer.x"
)
DIFFUSION = with_tensors("double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight")


def test_a_trusted_publishers_file_is_taken_by_its_name(desk: Desk, hub: HubStandIn) -> None:
    repo = hub.add_repo("Comfy-Org/flux", {"split_files/vae/ae.safetensors": MODEL})

    (offer,) = desk.resolve() or []

    assert (offer.match, offer.sha256, offer.size) == (Match.FILENAME, sha256(MODEL), len(MODEL))
    assert repo.head in offer.url
    assert offer.details["score"] == "0.90"


@pytest.mark.parametrize(
    "near",
    [
        "x_ae.safetensors",
        "ae.safetensors.gguf",
        "ae-fp16.safetensors",
        "ae.sft",
        "ae_v2.safetensors",
        "AE2.safetensors",
    ],
)
def test_a_name_that_only_comes_near_is_never_taken(desk: Desk, hub: HubStandIn, near: str) -> None:
    hub.add_repo("Comfy-Org/flux", {near: MODEL})

    assert not [offer for offer in desk.resolve() or [] if offer.match > Match.FUZZY]


def test_capitals_make_no_difference(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"AE.SafeTensors": MODEL})

    assert taken(desk.resolve()).sha256 == sha256(MODEL)


def test_mirrors_of_the_same_bytes_are_alternatives_and_an_open_one_goes_first(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/gated", {"ae.safetensors": MODEL}, gated="auto", downloads=999)
    hub.add_repo("Kijai/open", {"ae.safetensors": MODEL})

    offers = desk.resolve() or []

    assert [(one.details["repo"], one.obstacle is None) for one in offers] == [
        ("Kijai/open", True),
        ("Comfy-Org/gated", False),
    ]
    assert {one.match for one in offers} == {Match.FILENAME}


def test_different_bytes_under_one_name_are_all_offered_so_that_nobody_chooses(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"ae.safetensors": MODEL})
    hub.add_repo("Kijai/flux", {"ae.safetensors": OTHER})

    offers = desk.resolve() or []

    assert {(one.match, one.sha256) for one in offers} == {
        (Match.FILENAME, sha256(MODEL)),
        (Match.FILENAME, sha256(OTHER)),
    }
    assert taken(offers) is None


def test_a_fourth_mirror_with_other_bytes_makes_the_name_ambiguous(desk: Desk, hub: HubStandIn) -> None:
    for number in range(4):
        hub.add_repo(f"Comfy-Org/mirror-{number}", {"vae/ae.safetensors": MODEL})
    hub.add_repo("Comfy-Org/z-other", {"vae/ae.safetensors": OTHER})

    assert taken(desk.resolve()) is None


def test_the_folder_decides_between_files_that_lie_in_different_ones(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"checkpoints/flux.safetensors": MODEL, "diffusion_models/flux.safetensors": OTHER})

    checkpoint = taken(desk.resolve("flux.safetensors", "checkpoints"))
    diffusion = taken(desk.resolve("flux.safetensors", "diffusion_models"))
    legacy = taken(desk.resolve("flux.safetensors", "unet"))

    assert (checkpoint.sha256, diffusion.sha256, legacy.sha256) == (sha256(MODEL), sha256(OTHER), sha256(OTHER))


def test_the_tensors_decide_where_the_paths_say_nothing(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux1-dev", {"flux1-dev-fp8.safetensors": CHECKPOINT})
    hub.add_repo("Kijai/flux-fp8", {"flux1-dev-fp8.safetensors": DIFFUSION})

    checkpoint = taken(desk.resolve("flux1-dev-fp8.safetensors", "checkpoints"))
    diffusion = taken(desk.resolve("flux1-dev-fp8.safetensors", "diffusion_models"))

    assert (checkpoint.sha256, diffusion.sha256) == (sha256(CHECKPOINT), sha256(DIFFUSION))
    assert "by the tensors inside" in checkpoint.notes[0]


def test_tensors_that_say_nothing_leave_the_name_ambiguous(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux1-dev", {"flux1-dev-fp8.safetensors": MODEL})
    hub.add_repo("Kijai/flux-fp8", {"flux1-dev-fp8.safetensors": DIFFUSION})

    assert taken(desk.resolve("flux1-dev-fp8.safetensors", "checkpoints")) is None


def test_a_file_that_lies_in_another_folder_is_only_reported(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"text_encoders/ae.safetensors": MODEL})

    (offer,) = desk.resolve() or []

    assert (offer.match, offer.details["score"]) == (Match.FUZZY, "0.60")
    assert "among text_encoders" in offer.notes[0]


def test_a_strangers_file_is_reported_and_never_taken(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("somebody/dreaming_v8", {"dreaming_v8.safetensors": MODEL})

    (offer,) = desk.resolve("dreaming_v8.safetensors", "checkpoints") or []

    assert (offer.match, offer.details["score"]) == (Match.FUZZY, "0.60")
    assert offer.reference.startswith("hf:somebody/dreaming_v8/dreaming_v8.safetensors@")


def test_strangers_that_agree_score_higher_than_one_alone_and_are_still_only_reported(
    desk: Desk, hub: HubStandIn
) -> None:
    hub.add_repo("somebody/dreaming_v8", {"dreaming_v8.safetensors": MODEL}, downloads=1)
    hub.add_repo("anybody/dreaming_v8-copy", {"dreaming_v8.safetensors": MODEL}, downloads=9)

    offers = desk.resolve("dreaming_v8.safetensors", "checkpoints") or []

    assert [(one.match, one.details["score"], one.details["repo"]) for one in offers] == [
        (Match.FUZZY, "0.85", "anybody/dreaming_v8-copy"),
        (Match.FUZZY, "0.85", "somebody/dreaming_v8"),
    ]


def test_a_stranger_who_has_a_publishers_bytes_is_as_good_as_the_publisher(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/dreaming", {"dreaming_v8.safetensors": MODEL}, gated="manual")
    hub.add_repo("somebody/dreaming_v8", {"dreaming_v8.safetensors": MODEL})

    offers = desk.resolve("dreaming_v8.safetensors", "checkpoints") or []

    assert taken(offers).details["repo"] == "somebody/dreaming_v8"


def test_a_digest_finds_its_file_among_others_of_the_name(desk: Desk, hub: HubStandIn) -> None:
    for number, data in enumerate((MODEL, OTHER, THIRD)):
        hub.add_repo(f"Comfy-Org/flux-{number}", {"ae.safetensors": data})

    (offer,) = desk.resolve(digests=(Digest("sha256", sha256(THIRD)),)) or []

    assert (offer.match, offer.sha256) == (Match.DIGEST, sha256(THIRD))


def test_a_digest_that_nobody_has_finds_nothing(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"ae.safetensors": MODEL})

    assert desk.resolve(digests=(Digest("sha256", "0" * 64),)) == []


def test_a_digest_makes_a_strangers_file_certain(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("somebody/dreaming_v8", {"dreaming_v8.safetensors": MODEL})

    (offer,) = desk.resolve("dreaming_v8.safetensors", "checkpoints", digests=(Digest("sha256", sha256(MODEL)),)) or []

    assert offer.match is Match.DIGEST


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.fp16.safetensors",
        "pytorch_model.bin",
        "pytorch_lora_weights.safetensors",
        "adapter_model.safetensors",
        "ip-adapter.bin",
        "model-00001-of-00003.safetensors",
        "wan-00002-of-00003.safetensors",
    ],
)
def test_a_generic_name_alone_is_refused_without_a_request(desk: Desk, hub: HubStandIn, name: str) -> None:
    hub.add_repo("Comfy-Org/flux", {name: MODEL})

    with pytest.raises(BackendError) as refused:
        desk.resolve(name)

    assert refused.value.code is errors.ErrorCode.AMBIGUOUS
    assert name in str(refused.value)
    assert not hub.requests


def test_a_generic_name_is_found_by_the_folders_that_it_is_asked_for_with(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo(
        "Comfy-Org/sdxl",
        {
            "vae/diffusion_pytorch_model.safetensors": MODEL,
            "unet/diffusion_pytorch_model.safetensors": OTHER,
        },
    )

    assert taken(desk.resolve("vae/diffusion_pytorch_model.safetensors")).sha256 == sha256(MODEL)
    assert taken(desk.resolve("elsewhere/diffusion_pytorch_model.safetensors")) is None


def test_a_generic_name_is_found_by_its_digest(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/sdxl", {"vae/model.safetensors": MODEL, "unet/model.safetensors": OTHER})

    offer = taken(desk.resolve("model.safetensors", digests=(Digest("sha256", sha256(OTHER)),)))

    assert (offer.match, offer.sha256) == (Match.DIGEST, sha256(OTHER))


def test_another_precision_is_a_suggestion_and_no_more(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"diffusion_models/flux_fp8.safetensors": MODEL})

    (offer,) = desk.resolve("flux_fp16.safetensors", "diffusion_models") or []

    assert (offer.match, offer.name) == (Match.FUZZY, "flux_fp8.safetensors")
    assert "another precision" in offer.notes[0]


def test_the_formats_other_suffix_is_a_suggestion_too(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": MODEL, "vae/ae.gguf": OTHER})

    (offer,) = desk.resolve("ae.sft") or []

    assert (offer.match, offer.name) == (Match.FUZZY, "ae.safetensors")


def test_an_embedding_without_a_suffix_is_found(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/words", {"embeddings/gritty.safetensors": MODEL})

    assert taken(desk.resolve("gritty", "embeddings")).name == "gritty.safetensors"


def test_a_pickle_says_what_it_is(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Kijai/detectors", {"face_yolov8n.pt": b"PK" + bytes(100)})

    (offer,) = desk.resolve("face_yolov8n.pt", "ultralytics_bbox") or []

    assert "can run code" in offer.notes[-1]
    assert offer.details["score"] == "0.80"


def test_an_address_in_the_notes_finds_what_no_publisher_has(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("somebody/dream", {"deep/dreaming_v8.safetensors": MODEL})
    note = "https://huggingface.co/somebody/dream/resolve/main/deep/dreaming_v8.safetensors"

    (offer,) = desk.resolve("dreaming_v8.safetensors", "checkpoints", hints=(note,)) or []

    assert (offer.match, offer.sha256) == (Match.FILENAME, sha256(MODEL))


def test_a_dead_storage_link_gives_way_to_the_digest_that_it_holds(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"ae.safetensors": MODEL})
    hub.add_repo("Kijai/flux", {"ae.safetensors": OTHER})
    link = f"https://cdn-lfs.huggingface.co/repos/aa/bb/{'c' * 64}/{sha256(OTHER)}?X-Amz-Expires=3600"

    (offer,) = desk.resolve(url=link) or []

    assert offer.sha256 == sha256(OTHER)
    assert any("storage link" in message for message in desk.warnings)


def test_a_model_card_is_searched_only_when_the_settings_say_so(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("somebody/unrelated", {"dreaming_v8.safetensors": MODEL}, card="Get dreaming_v8.safetensors here")

    assert desk.resolve("dreaming_v8.safetensors", "checkpoints") == []
    desk.settings["card_search"] = True
    (offer,) = desk.resolve("dreaming_v8.safetensors", "checkpoints") or []

    assert (offer.match, offer.details["score"]) == (Match.FUZZY, "0.40")


def test_a_model_card_search_that_is_not_there_is_nothing_found(desk: Desk, hub: HubStandIn) -> None:
    hub.full_text = False
    desk.settings["card_search"] = True

    assert desk.resolve("dreaming_v8.safetensors", "checkpoints") == []


def test_a_repository_without_a_file_is_a_list_to_choose_from(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/many", {"vae/a.safetensors": MODEL, "vae/b.safetensors": OTHER, "README.md": b"#"})

    offers = desk.resolve("", "", reference="hf:Comfy-Org/many") or []

    assert [(one.match, one.name) for one in offers] == [(Match.FUZZY, "a.safetensors"), (Match.FUZZY, "b.safetensors")]


def test_a_repository_with_one_model_needs_no_choice(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/one", {"vae/a.safetensors": MODEL, "README.md": b"#"})

    (offer,) = desk.resolve("", "", reference="https://huggingface.co/Comfy-Org/one/tree/main/vae") or []

    assert (offer.match, offer.sha256) == (Match.SOURCE_ID, sha256(MODEL))


def test_the_address_of_a_repository_leads_to_the_wanted_name_inside_it(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("somebody/many", {"vae/a.safetensors": MODEL, "vae/b.safetensors": OTHER})

    (offer,) = desk.resolve("b.safetensors", url="https://huggingface.co/somebody/many") or []

    assert (offer.match, offer.sha256) == (Match.SOURCE_ID, sha256(OTHER))


def test_a_reference_without_a_folder_gets_one_by_its_tensors(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/one", {"thing.safetensors": DIFFUSION})

    (offer,) = desk.resolve("", "", reference="hf:Comfy-Org/one/thing.safetensors") or []

    assert offer.folder == "diffusion_models"


def test_names_from_the_server_that_could_mean_other_places_are_left_out(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo(
        "Comfy-Org/evil", {"../../ae.safetensors": MODEL, "a\\..\\ae.safetensors": MODEL, "x//ae.safetensors": MODEL}
    )

    assert desk.resolve() == []


def test_a_repositorys_own_words_cannot_lead_elsewhere(desk: Desk) -> None:
    told = {
        "id": "../../evil",
        "sha": "a" * 40,
        "siblings": [{"rfilename": "../../x.safetensors"}, {"rfilename": "fine.safetensors"}, {"rfilename": 7}, None],
    }
    with serve(lambda asked: Reply.json(told)) as server:
        desk.endpoint = server.url
        offers = desk.resolve("", "", reference="hf:Comfy-Org/x") or []

    assert [one.url for one in offers] == [f"{server.url}/Comfy-Org/x/resolve/{'a' * 40}/fine.safetensors"]


def test_many_threads_make_one_listing_and_find_the_same(desk: Desk, hub: HubStandIn) -> None:
    names = [f"file_{number}.safetensors" for number in range(40)]
    hub.add_repo("Comfy-Org/many", {f"vae/{name}": safetensors(name, 10) for name in names})
    context = desk.context
    requests = [ModelRequest(name=name, folder="vae") for name in names]
    desk.backend.prepare(requests, context)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda request: taken(desk.backend.resolve_model(request, context)), requests))

    assert [one.name for one in found if one] == names
    assert hub.counted("api") == 3


def test_a_request_for_a_name_in_a_sub_folder_of_the_users_own_is_found(desk: Desk, hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"split_files/vae/ae.safetensors": MODEL})

    assert taken(desk.resolve("my stuff/ae.safetensors")).sha256 == sha256(MODEL)


def test_one_question_to_a_repository_answers_for_all_of_its_files(desk: Desk, hub: HubStandIn) -> None:
    names = [f"file_{number}.safetensors" for number in range(10)]
    hub.add_repo("Comfy-Org/many", {f"vae/{name}": safetensors(name, 10) for name in names})
    desk.backend.prepare([ModelRequest(name=name, folder="vae") for name in names], desk.context)
    assert not hub.requests

    for name in names:
        assert taken(desk.resolve(name)).sha256 == sha256(safetensors(name, 10))

    assert sum("/paths-info/" in asked.path for asked in hub.requests) == 1
    assert hub.counted("api") == 3  # two publishers listed, one repository asked
