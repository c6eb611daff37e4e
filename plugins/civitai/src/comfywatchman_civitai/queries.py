"""What to ask the search for, when all that is known is a file name.

The search never looks at file names. It looks at the titles of models, their
makers, trigger words and checksums; the first word has to match, and words are
dropped from the end until something does.
"""

from __future__ import annotations

import re

from .naming import Wanted, camel_words

_FORMAT_WORDS = frozenset(
    {
        "safetensors", "ckpt", "gguf", "fp", "fp8", "fp16", "fp32", "bf", "bf16", "int8", "nf4", "nvfp4", "e4m3fn",
        "e5m2", "scaled", "mixed", "quantized", "q", "k", "m", "s", "pruned", "full", "ema", "emaonly", "nonema",
        "noema", "no", "vae", "novae", "bakedvae", "baked", "clip", "t5", "unet", "diffusion", "pytorch", "model",
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
    {"last", "output", "untitled", "default", "example", "tmp", "temp", "copy", "download", "adapter", "file", "best"}
)
"""Words that name no model where nothing else stands beside them."""

_MOST_WORDS = 5
"""Of ten that the search takes; more only make it miss."""

_VERSION = re.compile(r"v\d\w*|\d+|[a-z]\d")
_ENDING_NUMBER = re.compile(r"(?<=[^\W\d]{3})\d+$")


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


def queries(wanted: Wanted, folder: str) -> list[str]:
    """The ladder: queries in the order in which they are asked, until one brings an accepted hit."""
    words = distinctive_words(wanted.name)[:_MOST_WORDS]
    ladder = [words]
    if title := composed_title(wanted.stem_as_spelled):
        ladder.insert(0, list(camel_words(title))[:_MOST_WORDS])  # every word of it is one of the model's own
    if folder == "embeddings" or not words:  # named after a trigger word, which the search knows as it is
        ladder.insert(0, [wanted.stem])
    own = distinctive_words(title) if title else words
    if len(own) > 2:
        ladder.append(own[:2])
    if len(own) > 1 or title:
        ladder.append([max(own, key=len, default="")])
    return list(dict.fromkeys(" ".join(rung) for rung in ladder if rung))


_VARIANT = re.compile(r"full|pruned|[a-z]*fp\d+\w*|int\d+|nf4|i?q\d\w*|\d+|txt", re.IGNORECASE)


def composed_title(stem: str) -> str:
    """The title in a name that the service composed, such as ``cyberRealistic_v80``; empty where it looks otherwise."""
    title, mark, rest = stem.partition("_")
    label, *variants = rest.split("_")
    if not mark or not title[:1].islower() or not title.isalnum() or not all(map(_VARIANT.fullmatch, variants)):
        return ""
    in_camel_case = re.search(r"[a-z0-9][A-Z]", title) or re.match(r"[a-z][a-z0-9]*[A-Z]", label)
    return title if in_camel_case or re.match(r"[vV]?\d", label) else ""
