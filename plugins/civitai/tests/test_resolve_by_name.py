"""A name is a claim: equality only, ambiguity told, near misses proposed, few questions."""

from __future__ import annotations

from typing import Any

import pytest
from comfywatchman_civitai.matching import Wanted
from comfywatchman_civitai.queries import composed_title, queries
from comfywatchman_civitai.words import is_generic
from standins.civitai import CivitaiStandIn, File, Version
from standins.civitai_desk import Desk, accepted

from comfywatchman_core import BackendError, Match, errors
from comfywatchman_core.testing import Reply, safetensors, sha256

CODE = errors.ErrorCode
SEARCH = "/api/v1/models"
MINI = "/api/v1/model-versions/mini/"
A, B, C = safetensors("a"), safetensors("b"), safetensors("c")


def publish(civitai: CivitaiStandIn, title: str, *files: File, type: str = "LORA", **more: Any) -> None:
    of_version = {key: more.pop(key) for key in tuple(more) if key in Version.__annotations__}
    civitai.add_model(
        name=title, type=type, versions=[Version(more.pop("version", "v1"), list(files), **of_version)], **more
    )


class TestWhatIsAccepted:
    def test_a_file_of_exactly_this_name(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))

        offer = desk.offer("sdxl/Ink_Style.safetensors", "loras")

        assert (offer.match, offer.sha256) == (Match.FILENAME, sha256(A))

    def test_the_name_that_the_service_composes_today(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Cyber Painter", File("x.safetensors", A), type="Checkpoint", version="v8.0")

        (offer,) = accepted(desk.resolve("cyberPainter_v80.safetensors", "checkpoints"))

        assert offer.sha256 == sha256(A)

    def test_the_name_that_it_composed_before(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Painter", File("x.safetensors", A), type="Checkpoint", version="Painter")

        (offer,) = accepted(desk.resolve("painter_.safetensors", "checkpoints"))

        assert (offer.sha256, offer.name) == (sha256(A), "painter.safetensors")

    def test_a_name_that_a_moderator_set(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Painter", File("x.safetensors", A, override="chosen_painter.safetensors"), type="Checkpoint")

        assert accepted(desk.resolve("chosen_painter.safetensors", "checkpoints"))
        assert accepted(desk.resolve("painter_v1.safetensors", "checkpoints"))

    def test_the_name_that_its_maker_uploaded_it_under(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        for version in ("v1.0", "v2.0"):
            data = safetensors(version)
            file = File(f"Cyber_Painter_{version}_fp16.safetensors", data, metadata={"fp": "fp16"})
            publish(civitai, f"Cyber Painter {version}", file, type="Checkpoint", version=version)

        (offer,) = accepted(desk.resolve("Cyber_Painter_v2.0_fp16.safetensors", "checkpoints"))

        assert offer.sha256 == sha256(safetensors("v2.0"))
        assert any(asked.path.startswith(MINI) for asked in civitai.requests)

    def test_what_a_browser_added_does_not_count(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))

        assert accepted(desk.resolve("ink_style (1).safetensors", "loras"))

    def test_an_embedding_is_named_without_its_suffix(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Plain Skies", File("x.safetensors", A), type="TextualInversion", trained_words=["PlainSkies"])

        (offer,) = accepted(desk.resolve("PlainSkies", "embeddings"))

        assert offer.name == "PlainSkies.safetensors"

    def test_where_any_format_would_do_none_that_can_run_code_is_taken(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        files = (File("x.pt", B), File("x.safetensors", A))
        publish(civitai, "Plain Skies", *files, type="TextualInversion", trained_words=["PlainSkies"])

        (offer,) = accepted(desk.resolve("PlainSkies", "embeddings"))

        assert offer.sha256 == sha256(A)

    @pytest.mark.parametrize(
        ("title", "type", "version", "uploaded", "wanted", "folder"),
        [
            # title, type, version, uploaded name; the name in a workflow, and its folder
            ("CyberRealistic Z-Image Turbo", "Checkpoint", "v8.0", "x.safetensors",
             "cyberrealisticZImage_v80.safetensors", "diffusion_models"),
            ("Juggernaut XL", "Checkpoint", "V9 + RunDiffusion Photo 2", "x.safetensors",
             "juggernautXL_v9RunDiffusionPhoto2.safetensors", "checkpoints"),
            ("Realistic Vision V6.0 B1", "Checkpoint", "V5.1 (VAE)", "x.safetensors",
             "realisticVisionV60B1_v51VAE.safetensors", "checkpoints"),
            ("Realistic Vision V6.0 B1", "Checkpoint", "V5.1 (VAE)", "Realistic_Vision_V5.1_fp16-no-ema.safetensors",
             "Realistic_Vision_V5.1_fp16-no-ema.safetensors", "checkpoints"),
            ("DreamShaper", "Checkpoint", "8", "x.safetensors", "dreamshaper_8.safetensors", "checkpoints"),
            ("Detail Tweaker XL", "LORA", "v1.0", "add-detail-xl.safetensors", "add-detail-xl.safetensors", "loras"),
            ("Pixel Art XL", "LORA", "v1.1", "pixel-art-xl-v1.1.safetensors",
             "pixel-art-xl-v1.1.safetensors", "loras"),
            ("墨心 MoXin", "LORA", "v1.0", "MoXinV1.safetensors", "MoXinV1.safetensors", "loras"),
            ("blindbox/大概是盲盒", "LORA", "v1_mix", "blindbox_v1_mix.safetensors",
             "blindbox_v1_mix.safetensors", "loras"),
            ("4x-UltraSharp", "Upscaler", "v1.0", "4x-UltraSharp.pth", "4x-UltraSharp.pth", "upscale_models"),
            ("ControlNet T2I-Adapter Models", "Controlnet", "T2I-Adapter Depth", "x.safetensors",
             "controlnetT2IAdapter_t2iAdapterDepth.safetensors", "controlnet"),
        ],
    )  # fmt: skip
    def test_names_as_workflows_carry_them_are_found(
        self, civitai: CivitaiStandIn, desk: Desk, title: str, type: str, version: str, uploaded: str, wanted: str,
        folder: str,
    ) -> None:  # fmt: skip
        publish(civitai, title, File(uploaded, A), type=type, version=version)
        publish(civitai, "Something Else Entirely", File("y.safetensors", B), type=type, likes=900)

        assert [offer.sha256 for offer in accepted(desk.resolve(wanted, folder))] == [sha256(A)]
        assert len(civitai.requests) <= 4


class TestWhatIsNotAccepted:
    @pytest.mark.parametrize(
        ("wanted", "published"),
        [
            ("ink_style_v3.safetensors", "ink_style_v2.safetensors"),
            ("ink_style_fp16.safetensors", "ink_style_fp8.safetensors"),
            ("ink_style.ckpt", "ink_style.safetensors"),
            ("inkstyle.safetensors", "ink_style.safetensors"),
        ],
    )
    def test_a_near_miss_is_proposed_and_not_taken(
        self, civitai: CivitaiStandIn, desk: Desk, wanted: str, published: str
    ) -> None:
        publish(civitai, "Ink Style", File(published, A))

        (offer,) = desk.resolve(wanted, "loras") or []

        assert offer.match is Match.FUZZY
        assert offer.reference.startswith("civitai:")

    @pytest.mark.parametrize("wanted", ["style.safetensors", "my_ink_style_and_more.safetensors"])
    def test_a_name_inside_another_is_no_match(self, civitai: CivitaiStandIn, desk: Desk, wanted: str) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))

        assert accepted(desk.resolve(wanted, "loras")) == []

    def test_what_does_not_fit_the_folder_is_only_proposed(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A), type="Poses")
        publish(civitai, "Ink Style", File("ink_style.safetensors", B, type="Training Data"))

        assert accepted(desk.resolve("ink_style.safetensors", "vae")) == []

    @pytest.mark.parametrize("name", ["lora.safetensors", "model.safetensors", "last-000010.safetensors", "v1.pt"])
    def test_a_name_that_says_nothing_is_ambiguous_whoever_bears_it(
        self, civitai: CivitaiStandIn, desk: Desk, name: str
    ) -> None:
        publish(civitai, f"Thing {name.partition('.')[0]}", File(name, A))

        found = accepted(desk.resolve(name, "loras"))

        assert {offer.obstacle.code for offer in found if offer.obstacle} <= {CODE.AMBIGUOUS}
        assert all(offer.obstacle for offer in found)

    def test_a_model_nobody_has_is_found_nothing(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))

        assert desk.resolve("no-such-model-7f3a.safetensors", "loras") == []

    def test_a_file_of_another_size_than_the_workflow_states_is_only_proposed(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))

        (offer,) = desk.resolve("ink_style.safetensors", "loras", size=len(A) + 8) or []

        assert offer.match is Match.FUZZY


class TestAmbiguity:
    def test_two_models_with_one_name_are_both_told(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))
        publish(civitai, "Ink Style by another", File("ink_style.safetensors", B))

        offers = accepted(desk.resolve("ink_style.safetensors", "loras"))

        assert {offer.sha256 for offer in offers} == {sha256(A), sha256(B)}
        assert {offer.match for offer in offers} == {Match.FILENAME}
        assert all("MiB" in offer.notes[0] and "version" in offer.notes[0] for offer in offers)

    def test_the_files_of_a_version_that_shared_a_name_are_all_told(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        files = [File(f"{fp}.safetensors", safetensors(fp), metadata={"fp": fp}) for fp in ("fp16", "fp32", "bf16")]
        publish(civitai, "Cyber Painter", *files, type="Checkpoint")

        offers = accepted(desk.resolve("cyberPainter_v1.safetensors", "checkpoints"))

        assert len({offer.sha256 for offer in offers}) == 3
        assert {note for offer in offers for note in offer.notes if "fp16" in note}

    def test_the_same_bytes_in_several_versions_are_one_offer_and_its_mirrors(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        for year in (2025, 2024):
            publish(
                civitai, f"Ink Style {year}", File("ink_style.safetensors", A), published_at=f"{year}-01-01T00:00:00Z"
            )

        offers = accepted(desk.resolve("ink_style.safetensors", "loras"))

        assert {offer.sha256 for offer in offers} == {sha256(A)}
        assert [offer.notes[0][:14] for offer in offers] == ["Ink Style 2024", "Ink Style 2025"]

    def test_the_core_downloads_nothing_and_names_every_way(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))
        publish(civitai, "Ink Style by another", File("ink_style.safetensors", B))

        entry = desk.get("loras/ink_style.safetensors")

        assert entry.error is not None
        assert entry.error.code is CODE.AMBIGUOUS
        assert len(entry.candidates) == 2
        assert civitai.storage_requests == []

    def test_without_a_checksum_nobody_guesses_which_of_two_is_meant(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))
        publish(civitai, "Ink Style by another", File("ink_style.safetensors", B, hashes={}))

        entry = desk.get("loras/ink_style.safetensors")

        assert entry.error is not None
        assert entry.error.code is CODE.AMBIGUOUS
        assert civitai.storage_requests == []

    def test_the_size_that_the_workflow_states_decides(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        long = safetensors("long", 9000)
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))
        publish(civitai, "Ink Style by another", File("ink_style.safetensors", long))

        (offer,) = accepted(desk.resolve("ink_style.safetensors", "loras", size=len(long)))

        assert offer.sha256 == sha256(long)

    def test_a_dangerous_twin_does_not_stand_in_the_way(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))
        publish(civitai, "Ink Style by another", File("ink_style.safetensors", B, virus_scan="Danger"))

        (offer,) = accepted(desk.resolve("ink_style.safetensors", "loras"))

        assert offer.sha256 == sha256(A)

    def test_a_file_that_nobody_may_have_is_told_with_its_reason(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A, virus_scan="Danger"))

        (offer,) = accepted(desk.resolve("ink_style.safetensors", "loras"))

        assert offer.obstacle is not None

    def test_a_short_name_is_looked_up_once_more_before_it_is_believed(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        publish(civitai, "Ink Painting", File("ink_painting.safetensors", A))
        publish(civitai, "Old Masters of Painting", File("ink_painting.safetensors", B))

        assert len(accepted(desk.resolve("ink_painting.safetensors", "loras"))) == 2

    def test_another_file_may_have_been_uploaded_under_the_same_name(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        for title, data in (("Dynamic Lens", A), ("Dynamic Lens Turbo", B)):
            publish(civitai, title, File("dynamic_lens_fp16.safetensors", data), type="Checkpoint")

        assert len(accepted(desk.resolve("dynamic_lens_fp16.safetensors", "checkpoints"))) == 2

    def test_where_not_all_likely_files_could_be_looked_at_nothing_is_taken(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        for title, data in (("Dynamic Lens", A), ("Dynamic Lens Turbo", B), ("Dynamic Lens Lite", C)):
            publish(civitai, title, File("dynamic_lens_fp16.safetensors", data), type="Checkpoint")
        desk.settings["requests_per_model"] = 2

        (offer,) = accepted(desk.resolve("dynamic_lens_fp16.safetensors", "checkpoints"))

        assert offer.obstacle is not None
        assert offer.obstacle.code is CODE.AMBIGUOUS
        assert "not all could be looked at" in offer.obstacle.message
        assert offer.reference in (offer.obstacle.hint or "")

    def test_a_twin_that_only_the_tame_search_shows_is_told(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style Deluxe", File("ink_style_deluxe_v2.safetensors", A))
        publish(civitai, "Ink Style Deluxe", File("ink_style_deluxe_v2.safetensors", B), minor=True)

        assert len(accepted(desk.resolve("ink_style_deluxe_v2.safetensors", "loras"))) == 2

    @pytest.mark.parametrize(
        ("title", "version"),
        [
            ("Cyber Painter Pony", "v1"),  # with a word more
            ("Cybér Paintér", "v1"),  # the search does not see accents
            ("Cyber Painter", "v1.4"),  # a version that its maker calls v1 in the name of the file
        ],
    )
    def test_a_name_that_the_service_composed_may_be_what_another_was_uploaded_under(
        self, civitai: CivitaiStandIn, desk: Desk, title: str, version: str
    ) -> None:
        publish(civitai, "Cyber Painter", File("x.safetensors", A), type="Checkpoint", version="v1")
        publish(civitai, title, File("CyberPainter_v1.safetensors", B), type="Checkpoint", version=version)

        assert len(accepted(desk.resolve("cyberPainter_v1.safetensors", "checkpoints"))) == 2

    def test_a_name_from_before_a_moderator_gave_another_one_counts(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        variants = [
            {"format": "SafeTensor", "size": "pruned", "fp": "fp16"},
            {"format": "SafeTensor", "size": "full", "fp": "fp32"},
        ]
        for override, seed in (("chosen.safetensors", "one"), (None, "other")):
            files = [
                File(f"{seed}{index}.safetensors", safetensors(f"{seed}{index}"), metadata=metadata, override=given)
                for index, (metadata, given) in enumerate(zip(variants, (override, None), strict=True))
            ]
            publish(civitai, "Cyber Painter", *files, type="Checkpoint")

        offers = accepted(desk.resolve("cyberPainter_v1_full_fp32.safetensors", "checkpoints"))

        assert {offer.sha256 for offer in offers} == {sha256(safetensors("one1")), sha256(safetensors("other1"))}

    def test_where_the_search_does_not_show_everything_nothing_is_taken(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        publish(civitai, "Ink Moon", File("ink_moon.safetensors", A))
        for number in range(201):
            publish(civitai, f"Moon of {number}", File(f"other_{number}.safetensors"))
        publish(civitai, "The Dynamic Moon", File("ink_moon.safetensors", B), likes=0)

        (offer,) = accepted(desk.resolve("ink_moon.safetensors", "loras"))

        assert offer.obstacle is not None
        assert offer.obstacle.code is CODE.AMBIGUOUS

    def test_a_dangerous_twin_does_not_hide_a_third(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))
        publish(civitai, "Ink Style", File("ink_style.safetensors", B, virus_scan="Danger"))
        publish(civitai, "Ink Style", File("ink_style.safetensors", C), minor=True)

        offers = accepted(desk.resolve("ink_style.safetensors", "loras"))

        assert {offer.sha256 for offer in offers} == {sha256(A), sha256(C)}


class TestWhatTheSearchShows:
    def test_a_model_for_adults_only_is_found(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A), nsfw_level=16)

        assert accepted(desk.resolve("ink_style.safetensors", "loras"))

    def test_a_model_that_only_the_tame_search_shows_is_found(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A), minor=True)

        assert accepted(desk.resolve("ink_style.safetensors", "loras"))

    def test_a_model_of_an_odd_type_is_found(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A), type="Other")

        assert accepted(desk.resolve("ink_style.safetensors", "loras"))

    def test_types_are_repeated_and_no_page_is_asked_for(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        desk.resolve("ink_style.safetensors", "loras")

        assert civitai.requests[0].query["types"] == ["LORA", "LoCon", "DoRA"]
        assert all("page" not in asked.query for asked in civitai.requests)

    def test_the_next_page_is_asked_for_by_its_cursor(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        for number in range(120):
            publish(civitai, "Ink", File(f"other_{number}.safetensors"), likes=1000 - number)
        publish(civitai, "Ink", File("ink.safetensors", A))

        assert accepted(desk.resolve("ink.safetensors", "loras"))
        paged = [asked.query for asked in civitai.requests if "cursor" in asked.query]
        assert [(query["cursor"], query.get("nsfw")) for query in paged] == [(["100"], ["true"]), (["100"], None)]

    def test_a_page_that_was_thinned_out_is_not_the_end(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File("ink_style.safetensors", A))
        civitai.answer_next(SEARCH, Reply.json({"items": [], "metadata": {"nextCursor": "0"}}))

        assert accepted(desk.resolve("ink_style.safetensors", "loras"))
        assert civitai.requests[1].query["cursor"] == ["0"]

    @pytest.mark.parametrize("page", [{"items": None, "metadata": None}, {}, {"items": [None, 7], "metadata": []}])
    def test_a_page_without_models_is_found_nothing(self, civitai: CivitaiStandIn, desk: Desk, page: Any) -> None:
        civitai.answer_next(SEARCH, Reply.json(page), times=9)

        assert desk.resolve("ink_style.safetensors", "loras") == []

    def test_a_checksum_that_stands_where_a_name_should_is_found(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai, "Ink Style", File(f"{sha256(A)[:10]}.safetensors", A))

        assert accepted(desk.resolve(f"{sha256(A)[:10]}.safetensors", "loras"))


class TestHowOftenItAsks:
    @pytest.mark.parametrize("budget", [1, 3, 8])
    def test_never_more_than_the_budget(self, civitai: CivitaiStandIn, desk: Desk, budget: int) -> None:
        for number in range(30):
            publish(civitai, f"Cyber Painter {number}", File(f"upload {number}.safetensors"), type="Checkpoint")
        desk.settings["requests_per_model"] = budget

        desk.resolve("cyber_painter_final_touch_ultra.safetensors", "checkpoints")

        assert 1 <= len(civitai.requests) <= budget

    def test_a_plain_hit_costs_two_questions_the_second_for_what_the_first_one_hides(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        publish(civitai, "Ink Style Deluxe", File("ink_style_deluxe_v2.safetensors", A))

        assert accepted(desk.resolve("ink_style_deluxe_v2.safetensors", "loras"))
        assert [asked.query.get("nsfw") for asked in civitai.requests] == [["true"], None]

    def test_a_search_that_breaks_off_is_a_failure_and_not_found_nothing(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        civitai.answer_next(SEARCH, Reply.json({"items": [], "metadata": {}}))
        civitai.answer_next(SEARCH, Reply.json({"error": "overloaded"}, 503), times=9)

        with pytest.raises(BackendError) as broken:
            desk.resolve("ink_style.safetensors", "loras")

        assert broken.value.code is CODE.UNAVAILABLE


@pytest.mark.parametrize(
    ("stem", "title"),
    [
        ("cyberrealisticZImage_v80", "cyberrealisticZImage"),
        ("epicrealism_naturalSin", "epicrealism"),
        ("painter_v1_pruned_fp16", "painter"),
        ("painter_8", "painter"),
        ("ink_style", ""),
        ("Realistic_Vision_V5.1", ""),
        ("my_epic_painting_v1", ""),
        ("painter", ""),
    ],
)
def test_a_name_that_the_service_composed_shows_its_title(stem: str, title: str) -> None:
    assert composed_title(stem) == title


@pytest.mark.parametrize(
    ("name", "folder", "ladder"),
    [
        ("Realistic_Vision_V5.1_fp16-no-ema.safetensors", "checkpoints", ["realistic vision", "realistic"]),
        ("4x-UltraSharp.pth", "upscale_models", ["4x ultra sharp", "4x ultra", "ultra"]),
        ("EasySkies2.pt", "embeddings", ["easyskies2", "easy skies", "skies"]),
        ("lora.safetensors", "loras", ["lora"]),
    ],
)
def test_the_ladder_goes_from_many_words_to_one(name: str, folder: str, ladder: list[str]) -> None:
    assert queries(Wanted.of(name), folder) == ladder


@pytest.mark.parametrize(
    ("name", "generic"),
    [("lora", True), ("model_v2", True), ("final-000010", True), ("flux", True), ("ink", False), ("flux_ink", False)],
)
def test_a_name_is_generic_when_it_names_no_model(name: str, generic: bool) -> None:
    assert is_generic(f"{name}.safetensors") is generic
