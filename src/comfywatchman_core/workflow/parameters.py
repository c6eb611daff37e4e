"""Models in the generation parameters that A1111 and its relatives write into pictures.

The text ends in a line of settings, ``Steps: 20, …, Model hash: 3d3d3d3d3d,
Model: ink, Lora hashes: "a: 123456789abc"``. Names come without suffix; the
short hashes say which file is meant better than any name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from comfywatchman_core.containers import Damaged, parse_json
from comfywatchman_core.models import Digest

from .prose import lora_tags

_LONGEST = 1 << 20
_MOST = 200

_SETTING = re.compile(r'\s*([\w][\w \-/]{0,60}):\s*("(?:\\.|[^\\"])*"|[^,\n]*)(?:,|$)')
_HASHES = re.compile(r"Hashes:\s*(\{[^{}]{0,100000}\})")
_FOLDERS = {"model": "checkpoints", "vae": "vae", "lora": "loras", "lyco": "loras", "embed": "embeddings"}


@frozen
class Named:
    """A model as the parameters name it."""

    name: str
    """Without suffix, mostly."""
    folder: str
    digests: tuple[Digest, ...] = ()


def named_models(text: str) -> Iterator[Named]:
    """Find the models in generation parameters, each with the hash that stands beside its name."""
    text = text[:_LONGEST]
    settings = dict(_settings(text))
    hashes = dict(_hashes(text))
    model = settings.get("Model", "")
    if model:
        yield Named(model, "checkpoints", _digests(settings.get("Model hash") or hashes.get("model"), "checkpoints"))
    vae = settings.get("VAE", "")
    if vae and vae.lower() not in ("none", "automatic"):
        yield Named(vae, "vae", _digests(settings.get("VAE hash") or hashes.get("vae"), "vae"))
    found = dict(_listed(settings.get("Lora hashes", "")))
    found.update({name.partition(":")[2]: value for name, value in hashes.items() if name[:5] in ("lora:", "lyco:")})
    for name in dict.fromkeys([*found, *lora_tags(text)]):
        yield Named(name, "loras", _digests(found.get(name), "loras"))
    embedded = dict(_listed(settings.get("TI hashes", "")))
    embedded.update({name[6:]: value for name, value in hashes.items() if name.startswith("embed:")})
    for name, value in embedded.items():
        yield Named(name, "embeddings", _digests(value, "embeddings"))


def _settings(text: str) -> Iterator[tuple[str, str]]:
    line = text.rstrip().rpartition("\n")[2]
    if "Steps:" not in line and "Model" not in line:
        return
    at = 0
    for _ in range(_MOST):
        found = _SETTING.match(line, at)
        if found is None:
            at = line.find(",", at) + 1  # a value with a comma that nobody quoted
            if not at:
                return
            continue
        value = found[2].strip()
        yield found[1].strip(), value[1:-1].replace('\\"', '"') if value.startswith('"') else value
        at = found.end()


def _hashes(text: str) -> Iterator[tuple[str, str]]:
    found = _HASHES.search(text)
    if found is None:
        return
    try:
        listed = parse_json(found[1])
    except Damaged:
        return
    for name, value in list(listed.items())[:_MOST]:
        if isinstance(value, str):
            yield name, value


def _listed(text: str) -> Iterator[tuple[str, str]]:
    for entry in text.split(",")[:_MOST]:
        name, separator, value = entry.rpartition(":")
        if separator and name.strip():
            yield name.strip(), value.strip()


def _digests(value: str | None, folder: str) -> tuple[Digest, ...]:
    """Read a short hash by its length.

    8 digits are A1111's first kind, 10 begin a SHA256, 12 are for a LoRA the SHA256 without the header
    ("AutoV3"), and for an embedding again the beginning of the file's own.
    """
    if value is None:
        return ()
    algorithm = {8: "autov1", 10: "autov2", 12: "autov3", 64: "sha256"}.get(len(value))
    if algorithm == "autov3" and folder != "loras":
        algorithm, value = "autov2", value[:10]
    try:
        return (Digest(algorithm, value),) if algorithm else ()
    except ValueError:
        return ()
