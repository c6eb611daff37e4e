"""What counts as naming a model, node by node: the forms that are not one file name in one combo."""

from __future__ import annotations

from typing import Any

import pytest
from standins.graphs import declared, graph, inactive, labels, node, problems, read, widget_input


@pytest.mark.parametrize(
    ("node_class", "values", "expected"),
    [
        # class and input decide, not the input's name alone: clip_name of a vision loader
        ("CLIPVisionLoader", ["sig.safetensors"], ["clip_vision/sig.safetensors"]),
        ("CLIPLoader", ["t5.safetensors", "flux", "default"], ["text_encoders/t5.safetensors"]),
        # a config comes with ComfyUI
        ("CheckpointLoader", ["v1-inference.yaml", "a.ckpt"], ["checkpoints/a.ckpt"]),
        ("ImageApplyLUT+", ["film.cube", False, False, 1.0], []),
        # loaders of GGUF list a key of their own; other files of the same combo belong to the plain key
        ("UnetLoaderGGUF", ["q4.gguf"], ["unet_gguf/q4.gguf"]),
        ("CLIPLoaderGGUF", ["t5.gguf", "flux"], ["clip_gguf/t5.gguf"]),
        ("CLIPLoaderGGUF", ["t5.safetensors", "flux"], ["text_encoders/t5.safetensors"]),
        ("WanVideoModelLoader", ["wan.gguf", "bf16", "disabled", "main_device", "sdpa"], ["unet_gguf/wan.gguf"]),
        (
            "WanVideoModelLoader",
            ["wan.safetensors", "bf16", "disabled", "main_device", "sdpa"],
            ["diffusion_models/wan.safetensors"],
        ),
        # detectors list two folders as one
        ("UltralyticsDetectorProvider", ["bbox/face.pt"], ["ultralytics_bbox/face.pt"]),
        ("UltralyticsDetectorProvider", ["segm\\person.pt"], ["ultralytics_segm/person.pt"]),
        ("UltralyticsDetectorProvider", ["segm/person.pt"], ["ultralytics_segm/person.pt"]),
        # packs that wrap other packs' loaders
        ("UnetLoaderGGUFMultiGPU", ["q4.gguf", "cuda:0"], ["unet_gguf/q4.gguf"]),
        ("CheckpointLoaderSimpleDisTorch2MultiGPU", ["a.safetensors"], ["checkpoints/a.safetensors"]),
        # pysssss' combo with a preview
        ("LoraLoader|pysssss", [{"content": "a.safetensors", "image": None}, 1, 1], ["loras/a.safetensors"]),
        ("CheckpointLoader|pysssss", [{"content": "a.safetensors"}], ["checkpoints/a.safetensors"]),
        # approximations of a VAE: two files, one file, none
        ("VAELoader", ["taesd"], ["vae_approx/taesd_encoder", "vae_approx/taesd_decoder"]),
        ("VAELoader", ["taehv.safetensors"], ["vae_approx/taehv.safetensors"]),
        ("VAELoader", ["taehv"], ["vae_approx/taehv"]),
        ("VAELoader", ["pixel_space"], []),
        ("VAELoader", ["taesd-like.safetensors"], ["vae/taesd-like.safetensors"]),
        # other suffixes that models have
        ("IPAdapterModelLoader", ["a.bin"], ["ipadapter/a.bin"]),
        ("INPAINT_LoadFooocusInpaint", ["head.pth", "inpaint.fooocus.patch"],
         ["inpaint/head.pth", "inpaint/inpaint.fooocus.patch"]),
        ("ONNXDetectorProvider", ["yolo.onnx"], ["onnx/yolo.onnx"]),
        ("CheckpointLoaderSimple", ["A.SAFETENSORS"], ["checkpoints/A.SAFETENSORS"]),
        ("CheckpointLoaderSimple", ["模型 (v2).safetensors"], ["checkpoints/模型 (v2).safetensors"]),
        ("LoraLoader", ["SDXL\\style\\ink.safetensors", 1, 1], ["loras/SDXL/style/ink.safetensors"]),
    ],
)  # fmt: skip
def test_known_loaders(node_class: str, values: list[Any], expected: list[str]) -> None:
    assert labels(graph(node(node_class, values))) == expected


@pytest.mark.parametrize(
    "nothing", ["None", "none", "NONE", "[None]", "Baked VAE", "Default", "(use same)", "Original", "", None]
)
def test_values_that_choose_no_file(nothing: str | None) -> None:
    document = graph(node("CR LoRA Stack", ["On", nothing, 1, 1, "On", "ink.safetensors", 1, 1, "On", nothing, 1, 1]))

    assert labels(document) == ["loras/ink.safetensors"]
    assert problems(document) == []


class TestStacks:
    def test_rows_beyond_the_count_are_inactive(self) -> None:
        rows: list[Any] = []
        for name in ("one", "two", "three"):
            rows += [f"{name}.safetensors", 1.0, 1.0, 1.0]
        document = graph(node("LoRA Stacker", ["simple", 2, *rows]))

        assert labels(document) == ["loras/one.safetensors", "loras/two.safetensors"]
        assert inactive(document) == ["loras/three.safetensors"]

    def test_rows_with_their_switch_off_are_inactive(self) -> None:
        document = graph(node("CR LoRA Stack", ["Off", "a.safetensors", 1, 1, "On", "b.safetensors", 1, 1, "Off"]))

        assert labels(document) == ["loras/b.safetensors"]
        assert inactive(document) == ["loras/a.safetensors"]

    def test_a_stack_that_is_toggled_off_is_inactive(self) -> None:
        document = graph(node("easy loraStack", [False, "simple", 1, "a.safetensors", 1, 1, 1]))

        assert labels(document) == []
        assert inactive(document) == ["loras/a.safetensors"]

    def test_a_switcher_loads_the_one_it_selects(self) -> None:
        document = graph(
            node("easy loraSwitcher", [True, 2, 3, 1.0, "a.safetensors", "b.safetensors", "c.safetensors"])
        )

        assert labels(document) == ["loras/b.safetensors"]

    def test_numbered_families_go_on(self) -> None:
        values = {f"lora_{number}": f"{number}.safetensors" for number in range(7)}

        assert len(labels(graph(node("WanVideoLoraSelectMulti", values)))) == 7

    def test_power_loras_are_objects_with_a_switch(self) -> None:
        rows = [
            {},
            {"type": "PowerLoraLoaderHeaderWidget"},
            {"on": True, "lora": "on.safetensors", "strength": 1, "strengthTwo": None},
            {"on": False, "lora": "off.safetensors", "strength": 1},
            {"on": True, "lora": "None", "strength": 1},
            {"on": True, "lora": None, "strength": 1},
            "",
        ]
        document = graph(node("Power Lora Loader (rgthree)", rows))

        assert labels(document) == ["loras/on.safetensors"]
        assert inactive(document) == ["loras/off.safetensors"]

    @pytest.mark.parametrize("wrapped", [False, True])
    def test_lora_manager_lists_names_without_suffix(self, wrapped: bool) -> None:
        rows: Any = [
            {"name": "ink_v1.5", "strength": 1, "active": True, "clipStrength": 1},
            {"name": "unused", "strength": 1, "active": False},
        ]
        values = ["<lora:ink_v1.5:1> <lora:unused:1>", {"__value__": rows} if wrapped else rows]
        document = graph(node("Lora Loader (LoraManager)", values))

        assert labels(document) == ["loras/ink_v1.5"]
        assert inactive(document) == ["loras/unused"]


class TestToldInsteadOfRequested:
    @pytest.mark.parametrize(
        ("node_class", "values", "code"),
        [
            ("DWPreprocessor", ["enable", "yolox_l.onnx", "dw-ll_ucoco.torchscript.pt"], "self_downloading"),
            ("DownloadAndLoadSAM2Model", ["sam2.safetensors", "video"], "self_downloading"),
            ("RIFE VFI", ["rife47.pth", 10], "self_downloading"),
            ("DiffusersLoader", ["my-pipeline"], "folder"),
            ("NunchakuFluxDiTLoader", ["svdq-int4-flux.1-dev", 0, "a", "b", 0, "c", "d"], "folder"),
            ("CLIPLoader", ["google/t5-v1_1-xxl", "flux", "default"], "folder"),
            ("TensorRTLoader", ["flux_b-1.engine", "flux_dev"], "machine_built"),
            ("SomebodysUpscaler", ["realesr.engine"], "machine_built"),
        ],
    )
    def test_what_no_download_can_bring_is_told_and_never_missing(
        self, node_class: str, values: list[Any], code: str
    ) -> None:
        document = graph(node(node_class, values))

        assert read(document).requests == ()
        assert set(problems(document)) == {code}

    def test_a_newer_version_of_such_a_node_takes_a_file(self) -> None:
        values = ["svdq-int4_r32-flux.safetensors", 0, "a", "b", 0, "c", "d"]

        assert labels(graph(node("NunchakuFluxDiTLoader", values))) == [
            "diffusion_models/svdq-int4_r32-flux.safetensors"
        ]


class TestUnknownClasses:
    def test_a_file_name_is_found_and_its_folder_left_open(self) -> None:
        assert labels(graph(node("SomebodysLoader", ["thing.safetensors"]))) == ["thing.safetensors"]

    def test_the_declared_folder_is_taken_where_the_class_says_nothing(self) -> None:
        loader = node("SomebodysLoader", ["thing.safetensors"], **declared("thing.safetensors", "upscale_models"))

        assert labels(graph(loader)) == ["upscale_models/thing.safetensors"]

    def test_the_declared_folder_comes_before_the_name_of_the_input(self) -> None:
        loader = node("SomebodysLoader", {"clip_name": "thing.safetensors"}, **declared("thing.safetensors", "sams"))

        assert labels(graph(loader)) == ["sams/thing.safetensors"]

    def test_the_class_comes_before_the_declared_folder(self) -> None:
        loader = node("UNETLoader", ["flux.safetensors", "default"], **declared("flux.safetensors", "checkpoints"))

        assert labels(graph(loader)) == ["diffusion_models/flux.safetensors"]

    @pytest.mark.parametrize("folder", ["custom_nodes", "../loras", "C:\\models", "web", "no_such_folder", "configs"])
    def test_a_declared_folder_that_is_no_key_is_not_believed(self, folder: str) -> None:
        loader = node("SomebodysLoader", ["thing.safetensors"], **declared("thing.safetensors", folder))

        assert labels(graph(loader)) == ["thing.safetensors"]

    def test_a_legacy_key_is_spelled_as_today(self) -> None:
        loader = node("SomebodysLoader", ["thing.safetensors"], **declared("thing.safetensors", "unet"))

        assert labels(graph(loader)) == ["diffusion_models/thing.safetensors"]

    @pytest.mark.parametrize(
        "text",
        [
            "a photo in the style of embedding:EasyNegative.pt",
            "https://example.com/a.safetensors",
            "two words.safetensors",
            "first line\nsecond.safetensors",
            "C:/models/a.safetensors ",
        ],
    )
    def test_prose_and_addresses_that_end_like_a_file_are_none(self, text: str) -> None:
        assert [one for one in labels(graph(node("SomebodysText", [text]))) if not one.startswith("embeddings/")] == []

    def test_words_in_a_widget_whose_name_says_model_are_one_name(self) -> None:
        loader = node("SomebodysLoader", ["two words.safetensors"], inputs=[widget_input("lora_name")])

        assert labels(graph(loader)) == ["loras/two words.safetensors"]

    def test_a_declared_name_with_words_in_it_is_found(self) -> None:
        loader = node("SomebodysLoader", ["two words.safetensors"], **declared("two words.safetensors", "vae"))

        assert labels(graph(loader)) == ["vae/two words.safetensors"]

    def test_a_text_that_reaches_a_loader_is_not_asked_for_twice(self) -> None:
        document = graph(
            node("PrimitiveString", ["ae.safetensors"]),
            node("VAELoader", ["ae.safetensors"], inputs=[widget_input("vae_name", 5)]),
            links=[[5, 1, 0, 2, 0, "STRING"]],
        )

        assert labels(document) == ["vae/ae.safetensors"]

    def test_a_saver_that_notes_down_what_was_used_names_nothing(self) -> None:
        assert labels(graph(node("Image Saver", ["ink.safetensors"]))) == []


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "../../evil.safetensors",
            "..\\..\\evil.safetensors",
            "/abs/evil.safetensors",
            "C:\\models\\evil.safetensors",
            "\\\\server\\share\\evil.safetensors",
            "evil.safetensors:stream.safetensors",
            "a/../../evil.safetensors",
            "con.safetensors",
            "a\0b.safetensors",
            f"{'x' * 300}.safetensors",
        ],
    )
    def test_a_name_that_could_leave_its_folder_is_refused_and_told(self, name: str) -> None:
        document = graph(node("LoraLoader", [name, 1, 1]), node("VAELoader", ["ae.safetensors"]))

        assert labels(document) == ["vae/ae.safetensors"]
        assert problems(document) == ["unsafe_name"]

    def test_a_title_or_an_online_id_in_a_loader_is_still_asked_for(self) -> None:
        # files of online services carry ids instead of names; ComfyUI could not run them as they are
        assert labels(graph(node("CheckpointLoaderSimple", ["830832655739266347"]))) == [
            "checkpoints/830832655739266347"
        ]
