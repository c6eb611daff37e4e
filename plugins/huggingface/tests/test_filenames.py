"""What a file name says by itself."""

from __future__ import annotations

import pytest
from comfywatchman_huggingface.filenames import (
    family_of,
    is_generic,
    key_of,
    keys_of,
    precision_of,
    search_terms,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "name",
    [
        "ae.safetensors",
        "clip_l.safetensors",
        "flux1-dev.safetensors",
        "t5xxl_fp16.safetensors",
        "ip-adapter_sdxl.bin",
        "lora_ink.safetensors",
        "vae-ft-mse-840000-ema-pruned.safetensors",
        "RealESRGAN_x4plus.pth",
    ],
)
def test_a_distinctive_name_is_not_generic(name: str) -> None:
    assert not is_generic(name)


@pytest.mark.parametrize(
    "name", ["vae.safetensors", "Model.SafeTensors", "x/y/model.fp16.safetensors", "lora.safetensors", "unet.onnx"]
)
def test_a_name_that_every_repository_has_is_generic(name: str) -> None:
    assert is_generic(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t5xxl_fp8_e4m3fn_scaled.safetensors", {"fp8", "e4m3fn", "scaled"}),
        ("flux1-dev-Q4_K_S.gguf", {"q4_k_s"}),
        ("flux1-dev-Q8_0.gguf", {"q8_0"}),
        ("wan2.1_t2v_14B_bf16.safetensors", {"bf16"}),
        ("moss_image_sft_int8_convrot.safetensors", {"int8", "convrot"}),
        ("qwen_image_nvfp4.safetensors", {"nvfp4"}),
        ("flux1-dev-bnb-nf4.safetensors", {"nf4"}),
        ("clip_vision_h.safetensors", set()),
    ],
)
def test_words_of_precision_are_found(name: str, words: set[str]) -> None:
    assert precision_of(name) == words


def test_variants_of_one_model_have_one_family_and_formats_do_not() -> None:
    assert family_of("flux_dev_fp8.safetensors") == family_of("flux-dev-fp16.safetensors")
    assert family_of("flux_dev_Q4_K_S.gguf") == family_of("flux_dev_Q8_0.gguf")
    assert family_of("flux_dev_fp8.safetensors") != family_of("flux_dev_fp8.gguf")
    assert family_of("flux_dev_fp8.safetensors") != family_of("flux_schnell_fp8.safetensors")


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("wan2.1_t2v_14B_fp16.safetensors", ("wan2.1_t2v_14B", "wan2.1-t2v-14B", "wan2.1-t2v")[:3]),
        ("flux1-dev-Q4_K_S.gguf", ("flux1-dev", "flux1")),
        ("qwen_image.safetensors", ("qwen_image", "qwen-image", "qwen")),
        ("ae.safetensors", ()),
    ],
)
def test_repositories_are_looked_for_by_the_models_name_without_its_precision(
    name: str, terms: tuple[str, ...]
) -> None:
    assert search_terms(name) == terms


def test_spellings_of_one_name_have_one_key() -> None:
    assert key_of("vae\\AE.safetensors") == key_of("other/ae.SAFETENSORS") == "ae.safetensors"
    assert key_of("cafe\u0301.pt") == key_of("caf\u00e9.pt")
    assert keys_of("gritty") == ("gritty.safetensors", "gritty.pt", "gritty.bin")


@given(st.text(max_size=80))
def test_any_name_has_at_most_three_terms_and_none_is_short(name: str) -> None:
    terms = search_terms(name)

    assert len(terms) <= 3
    assert all(len(term) >= 4 for term in terms)
    assert isinstance(is_generic(name), bool)
