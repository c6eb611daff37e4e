"""What a model's file name says: whether it names one model at all, in which precision, and what to search for."""

from __future__ import annotations

import posixpath
import re
import unicodedata

SUFFIXES = (".safetensors", ".sft", ".gguf", ".onnx", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".patch")
"""Files that are looked at; everything else in a repository is left out."""

PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})
"""Formats that can run code when they are loaded."""

# Names that thousands of repositories use: each stands for dozens of different models.
_GENERIC = re.compile(
    r"""(?:
        model | pytorch_model | tf_model | flax_model | diffusion_pytorch_model | diffusion_model | consolidated
      | pytorch_lora_weights | lora | adapter_model | adapter | ip-adapter | ip_adapter | controlnet
      | weights? | checkpoint | best | last | final | latest | unet | vae | text_encoder(?:_\d)? | transformer
      | clip | encoder | decoder | open_clip_(?:pytorch_)?model | learned_embeds | config | embeddings? | generator
      | optimizer | scheduler | scaler | training_args | rng_state.*
    )
    (?:[._-](?:fp16|fp32|bf16|fp8|ema|non_ema|ema-only|pruned|opt|onnx))*
    (?:-\d{5}-of-\d{5})?""",
    re.VERBOSE,
)
_SHARD = re.compile(r".*-\d{5}-of-\d{5}")

_PRECISION = re.compile(
    r"""(?:fp|bf|nf|int|w)\d{1,2}(?:a\d{1,2})? | e\dm\d(?:fn(?:uz)?)? | i?q\d(?:_\w{1,2}){0,2} | mxfp\d | nvfp\d
      | scaled | quantized | convrot | svdq | awq | gptq | ema | pruned""",
    re.VERBOSE,
)
_SEPARATOR = re.compile(r"[\s_\-.]+")
_SHORTEST_TERM = 4
_COMMON = frozenset({"adapter", "base", "image", "lora", "model", "vision", "video"})
"""Words that half of all repositories have in their names."""


def has_model_suffix(name: str) -> bool:
    """Say whether *name* ends as a model file does."""
    return posixpath.splitext(name)[1].lower() in SUFFIXES


def suffix_of(name: str) -> str:
    """The suffix of *name*, lower case, with its dot."""
    return posixpath.splitext(name)[1].lower()


def is_pickle(name: str) -> bool:
    """Say whether loading *name* could run code."""
    return suffix_of(name) in PICKLES


def key_of(name: str) -> str:
    """Spell the last part of *name* so that equal names compare equal on every system."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2]).casefold()


def keys_of(name: str) -> tuple[str, ...]:
    """The keys of the files that *name* may mean: one, or several where it has no suffix, as embeddings have not."""
    key = key_of(name)
    return (key,) if has_model_suffix(name) else tuple(key + suffix for suffix in (".safetensors", ".pt", ".bin"))


def is_generic(name: str) -> bool:
    """Say whether *name* alone cannot say which model is meant (``model.safetensors``, one part of several)."""
    stem = posixpath.splitext(key_of(name))[0]
    return bool(_GENERIC.fullmatch(stem) or _SHARD.fullmatch(stem))


def precision_of(name: str) -> frozenset[str]:
    """The words of *name* that say precision or quantisation. Two files that differ in them are two models."""
    stem = posixpath.splitext(key_of(name))[0]
    return frozenset(
        found.group() for found in re.finditer(rf"(?<![a-z0-9])(?:{_PRECISION.pattern})(?![a-z0-9])", stem, re.VERBOSE)
    )


def family_of(name: str) -> str:
    """*name* without its words of precision: the same for all variants of one model, with the suffix."""
    stem, suffix = posixpath.splitext(key_of(name))
    words = [word for word in _SEPARATOR.split(_without_precision(stem)) if word]
    return " ".join(words) + suffix


def search_terms(name: str) -> tuple[str, ...]:
    """What to look for among repository names, the most promising first; at most three.

    The Hub finds a repository whose name *contains* the term. Repositories are named after models, without
    precision, and spell words with hyphens more often than with underscores.
    """
    stem = posixpath.splitext(name.replace("\\", "/").rpartition("/")[2])[0]
    plain = _without_precision(stem).strip(" _-.") or stem
    words = [word for word in re.split(r"[\s_-]+", plain) if word]
    terms = [plain, "-".join(words)]
    if len(words) > 2:
        terms.append("-".join(words[: max(2, len(words) // 2)]))
    elif len(words) == 2:
        terms.append(max((word for word in words if word.casefold() not in _COMMON), key=len, default=""))
    unique = {term.casefold(): term for term in reversed(terms) if len(term) >= _SHORTEST_TERM}
    return tuple(unique[key] for key in dict.fromkeys(term.casefold() for term in terms) if key in unique)[:3]


def _without_precision(stem: str) -> str:
    return re.sub(
        rf"[\s_\-.]*(?<![a-zA-Z0-9])(?:{_PRECISION.pattern})(?![a-zA-Z0-9])", "", stem, flags=re.VERBOSE | re.IGNORECASE
    )
