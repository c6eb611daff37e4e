"""What to ask the search for, when all that is known is a file name.

The search never looks at file names. It looks at the titles of models, their
makers, trigger words and checksums; the first word has to match, and words are
dropped from the end until something does.
"""

from __future__ import annotations

from .naming import Wanted, name_words

_FORMAT_WORDS = frozenset(
    {
        "safetensors",         "ckpt",         "gguf",         "fp",         "fp8",         "fp16",         "fp32",
        "bf",         "bf16",         "int8",         "nf4",         "nvfp4",         "e4m3fn",         "e5m2",
        "scaled",         "mixed",         "quantized",         "q",         "k",         "m",         "s",
        "pruned",         "full",         "ema",         "emaonly",         "nonema",         "noema",         "no",
        "vae",         "novae",         "bakedvae",         "baked",         "clip",         "t5",         "unet",
        "diffusion",         "pytorch",         "model",         "weights",         "lora",         "loras",
        "locon",         "lycoris",         "loha",         "lokr",         "dora",         "embedding",
        "textual",         "inversion",         "hypernetwork",         "checkpoint",         "upscaler",
        "controlnet",         "v",         "ver",         "version",         "final",         "fix",
        "fixed",         "release",         "epoch",         "ep",         "step",         "steps",         "rank",
        "dim",         "alpha",         "test",         "new",         "the",         "of",         "by",
        "and",         "for",         "a",
    }
)  # fmt: skip
"""Words that say what kind of file it is, not which."""

_FAMILY_WORDS = frozenset(
    {
        "sd",         "sdxl",         "xl",         "sd15",         "sd21",         "pony",         "pdxl",
        "pdv",         "ponyxl",         "il",         "ilxl",         "ill",         "illustrious",         "noob",
        "noobai",         "nai",         "flux",         "fluxd",         "flux1",         "dev",         "schnell",
        "wan",         "wan21",         "wan22",         "hunyuan",         "hyv",         "ltx",         "ltxv",
        "qwen",         "zimage",         "zit",
    }
)  # fmt: skip
"""Words for the base model; they stand in a file name more often than in a title."""

_MOST_WORDS = 6


def distinctive_words(name: str) -> list[str]:
    """The words of *name* that can stand in a title, in order: no formats, no versions, no bare numbers."""
    words = [word for word in name_words(name) if not word.isdigit() and word not in _FORMAT_WORDS]
    own = [word for word in words if word not in _FAMILY_WORDS]
    return list(dict.fromkeys(own or words))


def queries(wanted: Wanted, folder: str) -> list[str]:
    """The ladder: queries in the order in which they are asked, until one brings an accepted hit."""
    words = distinctive_words(wanted.name)
    head = distinctive_words(wanted.name.partition("_")[0])
    raw = wanted.stem
    cleaned = " ".join(words[:_MOST_WORDS])
    ladder = [cleaned, " ".join(head), raw, *(" ".join(words[:count]) for count in (3, 2, 1))]
    if folder == "embeddings":  # named after their trigger word, which the search knows as it is
        ladder.insert(0, raw)
    return list(dict.fromkeys(filter(None, ladder)))
