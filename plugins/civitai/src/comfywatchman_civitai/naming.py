"""Which names a file can have: printed today, composed by the rules of both eras, as uploaded.

The service does not keep the uploaded name of most files: it composes one from
the titles of model and version. The rule changed in September 2026, so a
workflow may carry either spelling, or the author's own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from attrs import frozen

from .records import FileRecord, Listed, ModelRecord, VersionRecord

MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx", ".patch")
"""Formats that a loader reads; anything else (archives, texts, pictures) is no model file."""

_TITLE_LENGTH = 20

_COMPOSED_FILE_TYPES = frozenset(
    {
        "Model", "Pruned Model", "Negative", "Training Data", "VAE", "Config", "Archive", "Text Encoder",
        "Vision Encoder", "UNet", "Diffusion Model", "CLIPVision", "ControlNet", "Workflow", "Upscaler",
        "Enhancement LoRA", "Other",
    }
)  # fmt: skip

EXACT = 100
UPLOADED = 98
COMPOSED = 95
REDUCED = 92
OTHER_FORMAT = 85
SEPARATORS = 80
_MOST_OVERLAP = 60


@frozen
class Wanted:
    """The name that a workflow gives, and the forms in which it is compared."""

    name: str
    """The last component of the path, as spelled."""
    key: str
    stem: str
    """The key without its model suffix."""
    stem_as_spelled: str
    """The same with its capitals, which tell words apart."""
    suffix: str
    """Lower case; empty where the workflow gives none."""
    reduced: str
    """The key without what browsers and the storage of early 2026 add to it."""

    @classmethod
    def of(cls, path: str) -> Wanted:
        """Read a path below a models folder."""
        name = path.replace("\\", "/").rpartition("/")[2]
        key = key_of(name)
        stem, suffix = split_suffix(key)
        spelled = name[: -len(suffix)] if suffix else name
        return cls(name, key, stem, spelled, suffix, key_of(_without_additions(name)))


def evidence(wanted: Wanted, names: Sequence[tuple[int, str]]) -> int:
    """Say how well *wanted* agrees with the names of one file.

    :param names: What each name is worth when it is equal, and the name; see :func:`names_of`.
    :returns: 92 to 100: a name of this file; 80 to 85: the same but for format or separators; up to 60: alike.
    """
    best = 0
    for worth, name in names:
        key = key_of(name)
        stem, suffix = split_suffix(key)
        if key == wanted.key or (not wanted.suffix and stem == wanted.stem and suffix):
            points = worth
        elif wanted.reduced in (key, reduced := key_of(_without_additions(name))) or reduced == wanted.key:
            points = min(worth, REDUCED)
        elif stem == wanted.stem:
            points = OTHER_FORMAT
        elif _letters(stem) == _letters(wanted.stem) and suffix == wanted.suffix and _letters(stem):
            points = SEPARATORS
        else:
            points = round(_MOST_OVERLAP * likeness(wanted.name, name))
        best = max(best, points)
    return best


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
    return list(dict.fromkeys(names))


def keeps_uploaded_name(model: ModelRecord, file: FileRecord) -> bool:
    """Say whether the printed name is the uploaded one, so that ``mini`` could tell nothing new."""
    if file.override:
        return False
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


def _inserted(name: str, suffix: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem}_{suffix}.{extension}" if dot and stem else f"{name}_{suffix}"


def _without(text: str, part: str) -> str:
    if not part or part.lower() not in text.lower():
        return text
    return re.sub(re.escape(part), "", text, flags=re.IGNORECASE)


def key_of(name: str) -> str:
    """Spell *name* so that two spellings of one name are equal: last component, NFC, case-folded."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2].strip()).casefold()


def split_suffix(key: str) -> tuple[str, str]:
    """Split a key into stem and model suffix; the suffix is empty where there is none."""
    for suffix in MODEL_SUFFIXES:
        if key.endswith(suffix) and len(key) > len(suffix):
            return key[: -len(suffix)], suffix
    return key, ""


_COPY = re.compile(r" ?\(\d{1,2}\)(?=\.[A-Za-z0-9]+$)")
_STORAGE_KEY = re.compile(r"\.([A-Za-z0-9]{4})(?=\.safetensors$)")


def _without_additions(name: str) -> str:
    """Take away ``" (1)"`` of a browser and the four letters of a storage key."""
    name = _COPY.sub("", name)
    found = _STORAGE_KEY.search(name)
    # Downloads of February 2026 were named by key, "name.AbCd.safetensors". ".fp16" or ".Lite" is no such key, and
    # a file without it is another one: only letters in mixed case count.
    if found and not found[1].istitle() and found[1] not in (found[1].lower(), found[1].upper()):
        return name[: found.start()] + name[found.end() :]
    return name


def _letters(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def likeness(one: str, other: str) -> float:
    """How much two names share, 0 to 1: the words they have in common, by all their words."""
    left, right = set(name_words(one)), set(name_words(other))
    return len(left & right) / len(left | right) if left and right else 0.0


_RUN = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


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
