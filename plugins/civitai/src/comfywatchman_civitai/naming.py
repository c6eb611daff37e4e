"""Which names a file can have: printed today, composed by the rules of both eras, as uploaded.

The service does not keep the uploaded name of most files: it composes one from
the titles of model and version. The rule changed in September 2026, so a
workflow may carry either spelling, or the author's own.
"""

from __future__ import annotations

import re

from attrs import evolve

from .matching import COMPOSED, EXACT, UPLOADED
from .records import FileRecord, Listed, ModelRecord, VersionRecord

_TITLE_LENGTH = 20

_COMPOSED_FILE_TYPES = frozenset(
    {
        "Model", "Pruned Model", "Negative", "Training Data", "VAE", "Config", "Archive", "Text Encoder",
        "Vision Encoder", "UNet", "Diffusion Model", "CLIPVision", "ControlNet", "Workflow", "Upscaler",
        "Enhancement LoRA", "Other",
    }
)  # fmt: skip


def names_of(found: Listed, uploaded: str = "") -> list[tuple[int, str]]:
    """List the names that a file has or had.

    :param uploaded: Its uploaded name, where ``mini`` told it.
    """
    model, version, file = found.model, found.version, found.file
    names = [(EXACT, file.name)]
    if file.override:
        names.append((EXACT, file.override))
    if uploaded:
        names.append((UPLOADED, uploaded))
    origin = uploaded or _before_it_collided(version, file)
    names.append((COMPOSED, composed_before_2026(model, version, file, origin)))
    names.append((COMPOSED, composed_today(model, version, file, origin)))
    if any(one.override for one in version.files):  # before a moderator gave one of them a name
        names.append((COMPOSED, composed_today(model, *_without_overrides(version, file), origin)))
    return list(dict.fromkeys(names))


def keeps_uploaded_name(found: Listed) -> bool:
    """Say whether the printed name is the uploaded one, so that ``mini`` could tell nothing new."""
    model, file = found.model, found.file
    if file.override:
        return False
    if model.type == "TextualInversion" and not found.version.trained_words:
        return True
    if model.type in ("LORA", "LoCon") or file.type == "VAE" or file.type not in _COMPOSED_FILE_TYPES:
        return True  # DoRA is composed
    return not title_word(model.name)


def composed_before_2026(model: ModelRecord, version: VersionRecord, file: FileRecord, uploaded: str) -> str:
    """Compose the name as the service did until 2026-09-09."""
    title = title_word(model.name)
    label = title_word(_without(version.name, title))
    return _composed(model, version, file, uploaded, title, label)


def composed_today(model: ModelRecord, version: VersionRecord, file: FileRecord, uploaded: str) -> str:
    """Compose the name as the service does since 2026-09-09: without doubled titles, distinct within a version."""

    def plain(one: FileRecord) -> str:
        if one.override:
            return one.override
        title = title_word(model.name)
        label = title_word(_without(_without(version.name, model.name), title).strip())
        origin = uploaded if one is file else one.name
        return _composed(model, version, one, origin, title, "" if label == title else label, join_empty=False)

    if file.override:
        return file.override
    name = plain(file)
    rivals = [one for one in version.files if one is not file and plain(one) == name]
    if not rivals:
        return name
    variant = _variant(file)
    if variant and all(_variant(rival) != variant for rival in rivals):
        return _inserted(name, variant)
    return _inserted(name, str(file.id))


def title_word(text: str) -> str:
    """Make the one word that a title becomes in a file name: about twenty characters, camel case."""
    text = re.sub(r"[^a-zA-Z0-9]", "_", text.replace("'", ""))
    length = _TITLE_LENGTH + text.count("_")
    if len(text) > length:
        cut, follows = text[:length], text[length]
        text = cut if follows == "_" or "_" not in cut else cut[: cut.rindex("_")]
    words = re.split(r"_+", text)
    # what is all capitals and digits stays so, but for the first word
    return words[0].lower() + "".join(word if word == word.upper() else word.capitalize() for word in words[1:])


def _composed(
    model: ModelRecord,
    version: VersionRecord,
    file: FileRecord,
    uploaded: str,
    title: str,
    label: str,
    *,
    join_empty: bool = True,
) -> str:
    if not title or model.type in ("LORA", "LoCon") or file.type not in _COMPOSED_FILE_TYPES:
        return uploaded

    def joined(*parts: str) -> str:
        return "_".join(part for part in parts if part or join_empty)

    if file.type == "Training Data":
        return f"{joined(title, label, 'trainingData')}.zip"
    suffix = uploaded.rpartition(".")[2]
    if model.type == "TextualInversion":
        word = version.trained_words[0] if version.trained_words else ""
        return f"{word}{'-neg' if file.type == 'Negative' else ''}.{suffix}" if word else uploaded
    if file.type == "VAE":
        return uploaded
    ending, lower = "", uploaded.lower()
    if "-inpainting" in lower:
        ending, label = "-inpainting", re.sub(r"_?inpainting", "", label, count=1, flags=re.IGNORECASE)
    elif ".instruct-pix2pix" in lower:
        ending, label = ".instruct-pix2pix", re.sub(r"_?instruct|-?pix2pix", "", label, flags=re.IGNORECASE)
    elif file.type == "Text Encoder":
        ending = "_txt"
    return f"{joined(title, label)}{ending}.{suffix}"


def _variant(file: FileRecord) -> str:
    return "_".join(title_word(text) for text in (file.extent, file.precision, file.quantization) if text)


def _before_it_collided(version: VersionRecord, file: FileRecord) -> str:
    """The printed name without what tells it from its twins, where twins show that it was added."""

    def bare(one: FileRecord) -> str:
        stem, dot, extension = one.name.rpartition(".")
        for addition in (_variant(one), str(one.id)):
            if addition and stem.endswith(f"_{addition}"):
                return f"{stem.removesuffix(f'_{addition}')}{dot}{extension}"
        return one.name

    name = bare(file)
    return name if sum(bare(one) == name for one in version.files) > 1 else file.name


def _without_overrides(version: VersionRecord, file: FileRecord) -> tuple[VersionRecord, FileRecord]:
    files = tuple(evolve(one, override="") for one in version.files)
    return evolve(version, files=files), files[version.files.index(file)]


def _inserted(name: str, suffix: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem}_{suffix}.{extension}" if dot and stem else f"{name}_{suffix}"


def _without(text: str, part: str) -> str:
    if not part or part.lower() not in text.lower():
        return text
    return re.sub(re.escape(part), "", text, flags=re.IGNORECASE)
