"""A known model: the facts of one row, and the keys under which it is found."""

from __future__ import annotations

import unicodedata

from attrs import frozen

from comfywatchman_core import Match

from .sources import Source

_ALIASES = {"unet": "diffusion_models", "clip": "text_encoders"}
"""ComfyUI's own legacy folder keys (``folder_paths.map_legacy``)."""

SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx", ".patch")
"""What a model file's name ends in; a name without one of them leaves its suffix to the loader."""

_GUESSED_SUFFIXES = (".safetensors", ".pt", ".bin", ".ckpt", ".pth")
"""What ComfyUI tries for a name without a suffix, in this order, and what LoRA nodes add."""


@frozen(kw_only=True)
class KnownModel:
    """One row of a table of known models."""

    name: str
    """The file's name as workflows write it, without a folder."""
    folders: tuple[str, ...]
    """ComfyUI's folder keys that it is known for; the workflow's loader chooses among them."""
    source: Source
    sha256: str | None = None
    """Lower case; ``None`` while nobody who knows has stated it."""
    size: int | None = None
    """Bytes."""
    seen_in: tuple[str, ...] = ()
    """Who states this fact."""
    checked: str = ""
    """Date (``2026-11-22``) of the last comparison with the source; empty for never."""
    match: Match = Match.SOURCE_ID
    """The most that this row may claim; ``FILENAME`` where the name was learned from a stranger."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal for rows that are certainly the same bytes."""
        return ("sha256", self.sha256) if self.sha256 else self.source.key

    @property
    def is_renamed(self) -> bool:
        """The source itself calls the file otherwise."""
        return bool(self.source.name) and name_key(self.source.name) != name_key(self.name)


def name_key(name: str) -> str:
    """Spell a file name so that equal names compare equal: its last part, NFC, case-folded."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return base.lower() if base.isascii() else unicodedata.normalize("NFC", base).casefold()


def folder_key(folder: str) -> str:
    """ComfyUI's present name of a folder key."""
    return _ALIASES.get(folder, folder)


def names_to_try(name: str) -> tuple[str, ...]:
    """The full names that *name* may stand for: itself, or, without a suffix, each that a loader would add."""
    if name_key(name).endswith(SUFFIXES):
        return (name,)
    return (name, *(name + suffix for suffix in _GUESSED_SUFFIXES))
