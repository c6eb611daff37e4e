"""Take file names apart: suffix, key, words, and which of the words can stand in a title."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx", ".patch")
"""Formats that a loader reads; anything else (archives, texts, pictures) is no model file."""

_FORMAT_WORDS = frozenset(
    {
        "safetensors", "ckpt", "gguf", "fp", "fp8", "fp16", "fp32", "bf", "bf16", "int8", "nf4", "nvfp4", "e4m3fn",
        "e5m2", "scaled", "mixed", "quantized", "q", "k", "m", "s", "pruned", "full", "ema", "emaonly", "nonema",
        "noema", "no", "vae", "novae", "bakedvae", "baked", "clip", "t5", "unet", "pytorch", "model",
        "weights", "lora", "loras", "locon", "lycoris", "loha", "lokr", "dora", "embedding", "textual", "inversion",
        "hypernetwork", "checkpoint", "upscaler", "controlnet", "v", "ver", "version", "final", "fix", "fixed",
        "release", "epoch", "ep", "step", "steps", "rank", "dim", "alpha", "test", "new", "my", "the", "of", "by",
        "and", "for", "a",
    }
)  # fmt: skip
"""Words that say what kind of file it is, not which."""

_FAMILY_WORDS = frozenset(
    {
        "sd", "sdxl", "xl", "sd15", "sd21", "pony", "pdxl", "pdv", "ponyxl", "il", "ilxl", "ill", "illustrious",
        "noob", "noobai", "nai", "flux", "fluxd", "flux1", "dev", "schnell", "wan", "wan21", "wan22", "hunyuan",
        "hyv", "ltx", "ltxv", "qwen", "zimage", "zit",
    }
)  # fmt: skip
"""Words for the base model; they stand in a file name more often than in a title."""

_EMPTY_WORDS = frozenset(
    {
        "last", "output", "untitled", "default", "example", "tmp", "temp", "copy", "download", "adapter", "file",
        "best", "diffusion",
    }
)  # fmt: skip
"""Words that name no model where nothing else stands beside them."""

_VERSION = re.compile(r"v\d\w*|\d+|[a-z]\d")
_ENDING_NUMBER = re.compile(r"(?<=[^\W\d]{3})\d+$")
_RUN = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def key_of(name: str) -> str:
    """Spell *name* so that two spellings of one name are equal: last component, NFC, case-folded."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2].strip()).casefold()


def split_suffix(key: str) -> tuple[str, str]:
    """Split a key into stem and model suffix; the suffix is empty where there is none."""
    for suffix in MODEL_SUFFIXES:
        if key.endswith(suffix) and len(key) > len(suffix):
            return key[: -len(suffix)], suffix
    return key, ""


def without_accents(text: str) -> str:
    """Spell *text* as the service's search reads it."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def name_words(name: str) -> Iterator[str]:
    """Take a name apart at separators, at capitals, and between letters and digits; lower case."""
    for word in camel_words(name):
        yield from _RUN.findall(word)


def camel_words(name: str) -> Iterator[str]:
    """Take a name apart at separators and at capitals; lower case."""
    name = unicodedata.normalize("NFC", name)
    suffix = split_suffix(name.casefold())[1]
    for piece in re.split(r"[\W_]+", name[: -len(suffix)] if suffix else name):
        yield from (part.casefold() for part in _CAMEL.split(piece) if part)


def distinctive_words(name: str) -> list[str]:
    """The words of *name* that can stand in a title, in order: no formats, no versions, no bare numbers."""
    words = [_ENDING_NUMBER.sub("", word) for word in camel_words(name) if not _VERSION.fullmatch(word)]
    words = [word for word in words if word not in _FORMAT_WORDS]
    own = [word for word in words if word not in _FAMILY_WORDS]
    return list(dict.fromkeys(own or words))


def is_generic(name: str) -> bool:
    """Say whether *name* tells nothing of the model: ``lora``, ``model``, ``last``, ``v1``, a family alone."""
    words = [word for word in camel_words(name) if not _VERSION.fullmatch(word)]
    telling = [word for word in words if word not in _FORMAT_WORDS and word not in _EMPTY_WORDS]
    return not telling or (len(words) == 1 and telling[0] in _FAMILY_WORDS)
