"""Where a file belongs, by its path and by its tensors."""

from __future__ import annotations

import json
import struct

import pytest
from comfywatchman_huggingface.folders import Fit, fit_of, folder_of, folder_of_tensors
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("split_files/vae/ae.safetensors", "vae"),
        ("split_files/diffusion_models/x.safetensors", "diffusion_models"),
        ("all_in_one/x.safetensors", "checkpoints"),
        ("unet/diffusion_pytorch_model.safetensors", "diffusion_models"),
        ("text_encoders/deep/er/x.safetensors", "text_encoders"),
        ("vae/text_encoders/x.safetensors", "text_encoders"),
        ("x.safetensors", ""),
        ("I2V/x.safetensors", ""),
        ("vae.safetensors", ""),
    ],
)
def test_the_innermost_directory_that_means_something_says_the_folder(path: str, folder: str) -> None:
    assert folder_of(path) == folder


@pytest.mark.parametrize(
    ("path", "folder", "fit"),
    [
        ("vae/x.safetensors", "vae", Fit.AGREES),
        ("clip/x.safetensors", "clip", Fit.AGREES),
        ("text_encoders/x.safetensors", "clip", Fit.AGREES),
        ("diffusion_models/x.safetensors", "unet", Fit.AGREES),
        ("vae/x.safetensors", "vae/flux", Fit.AGREES),
        ("x.safetensors", "vae", Fit.SILENT),
        ("vae/x.safetensors", "", Fit.SILENT),
        ("vae/x.safetensors", "loras", Fit.CONTRADICTS),
    ],
)
def test_a_path_agrees_contradicts_or_is_silent(path: str, folder: str, fit: Fit) -> None:
    assert fit_of(path, folder) is fit


def head(*names: str) -> bytes:
    text = json.dumps(
        {"__metadata__": {"x": "y"}, **{name: {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]} for name in names}}
    ).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (("model.diffusion_model.x", "first_stage_model.decoder.x", "conditioner.embedders.0"), "checkpoints"),
        (("model.diffusion_model.x", "vae.decoder.x", "text_encoders.t5xxl.x"), "checkpoints"),
        (("double_blocks.0.img_attn.qkv.weight",), "diffusion_models"),
        (("blocks.0.self_attn.q.weight", "blocks.0.cross_attn.k.weight"), "diffusion_models"),
        (("decoder.conv_in.weight", "encoder.conv_in.weight"), "vae"),
        (("encoder.block.0.layer.0.SelfAttention.q.weight",), "text_encoders"),
        (("model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"), "text_encoders"),
        (("text_model.encoder.layers.0.x",), "text_encoders"),
        (("vision_model.encoder.layers.0.x",), "clip_vision"),
        (("lora_unet_down_blocks_0.lora_down.weight",), "loras"),
        (("diffusion_model.blocks.0.self_attn.q.lora_A.weight",), "loras"),
        (("control_model.input_blocks.0.0.weight",), "controlnet"),
        (("something.else",), ""),
    ],
)
def test_tensor_names_say_what_a_model_is(names: tuple[str, ...], folder: str) -> None:
    assert folder_of_tensors(head(*names)) == folder


def test_a_list_that_is_cut_off_may_still_hold_the_rest_of_a_checkpoint() -> None:
    whole = head(*[f"model.diffusion_model.{number}" for number in range(100)], "first_stage_model.x", "conditioner.x")

    assert folder_of_tensors(whole) == "checkpoints"
    assert folder_of_tensors(whole[:2000]) == ""


@given(st.binary(max_size=300))
def test_any_bytes_are_looked_at_without_stumbling(data: bytes) -> None:
    assert isinstance(folder_of_tensors(data), str)
    assert isinstance(folder_of_tensors(struct.pack("<Q", 1 << 62) + b"{" + data), str)
