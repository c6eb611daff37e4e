"""How the Civitai stand-in names files: the service's rule of today, and the one before September 2026.

Written for the server's side on its own, so that a mistake in the client's
version of the rule shows.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from .civitai_catalogue import File, Model, Version

Rule = Literal["v1", "v2"]

_KNOWN_FILE_TYPES = frozenset(
    {
        "Model", "Text Encoder", "Vision Encoder", "Pruned Model", "Negative", "Training Data", "VAE", "Config",
        "Archive", "UNet", "Diffusion Model", "CLIPVision", "ControlNet", "Workflow", "Upscaler", "Enhancement LoRA",
        "Other",
    }
)  # fmt: skip


def printed_name(model: Model, version: Version, file: File, *, rule: Rule = "v2", honour_override: bool = True) -> str:
    """The name that ``files[].name`` and ``Content-Disposition`` carry."""
    if file.override and honour_override:
        return file.override
    if rule == "v1":
        return _composed(model, version, file, rule)

    def plain(one: File) -> str:
        return (one.override if honour_override else None) or _composed(model, version, one, rule)

    name = plain(file)
    same = [other for other in version.files if plain(other) == name]
    if len(same) < 2:
        return name
    variant = _variant(file)
    if variant:
        wanted = _with_suffix(name, variant)
        if all(other is file or _with_suffix(name, _variant(other)) != wanted for other in same):
            return wanted
    return _with_suffix(name, str(file.id))


def _composed(model: Model, version: Version, file: File, rule: Rule) -> str:
    title = file_word(model.name)
    if rule == "v1":
        label = file_word(_without(version.name, title))
    else:
        label = file_word(_without(_without(version.name, model.name), title).strip())
        if label == title:
            label = ""
    if not title or model.type in ("LORA", "LoCon") or file.type not in _KNOWN_FILE_TYPES:
        return file.name

    def joined(*parts: str) -> str:
        return "_".join(parts if rule == "v1" else [part for part in parts if part])

    extension = file.name.rpartition(".")[2]
    if file.type == "Training Data":
        return f"{joined(title, label, 'trainingData')}.zip"
    if model.type == "TextualInversion":
        if not version.trained_words:
            return file.name
        return f"{version.trained_words[0]}{'-neg' if file.type == 'Negative' else ''}.{extension}"
    if file.type == "VAE":
        return file.name
    tail, lower = "", file.name.lower()
    if "-inpainting" in lower:
        tail, label = "-inpainting", re.sub("_?inpainting", "", label, count=1, flags=re.IGNORECASE)
    elif ".instruct-pix2pix" in lower:
        tail, label = ".instruct-pix2pix", re.sub("_?instruct|-?pix2pix", "", label, flags=re.IGNORECASE)
    elif file.type == "Text Encoder":
        tail = "_txt"
    return f"{joined(title, label)}{tail}.{extension}"


@lru_cache(maxsize=1 << 16)
def file_word(text: str) -> str:
    """Make one word for a file name out of a title: cut at about twenty characters, camel case."""
    text = re.sub("[^a-zA-Z0-9]", "_", text.replace("'", ""))
    room = 20 + text.count("_")
    if len(text) > room:
        at_a_border = text[room] == "_"
        text = text[:room]
        if not at_a_border and "_" in text:
            text = text[: text.rindex("_")]
    first, *rest = re.split("[_ -]+", text)
    return first.lower() + "".join(word if word == word.upper() else word.capitalize() for word in rest)


def _without(text: str, part: str) -> str:
    if not part or part.lower() not in text.lower():
        return text
    return re.sub(re.escape(part), "", text, flags=re.IGNORECASE)


def _variant(file: File) -> str:
    metadata = file.metadata or {}
    return "_".join(file_word(str(metadata[key])) for key in ("size", "fp", "quantType") if metadata.get(key))


def _with_suffix(name: str, suffix: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem}_{suffix}.{extension}" if dot and stem else f"{name}_{suffix}"
