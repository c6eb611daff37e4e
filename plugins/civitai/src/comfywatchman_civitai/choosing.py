"""Which file of a version is meant, when a reference names only the version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from comfywatchman_core import Digest, ModelRequest

from .folders import fits
from .matching import REDUCED, Wanted, evidence
from .naming import names_of
from .records import FileRecord, Listed
from .references import Reference
from .words import MODEL_SUFFIXES, key_of, split_suffix

PICKLES = (".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl")
"""Formats that can run code when they are loaded."""

_FORMATS = ({".safetensors", ".sft"}, set(PICKLES), {".gguf"}, {".onnx"})

_MAIN_TYPES = frozenset({"Model", "Pruned Model", "Diffusion Model", "UNet"})
_WEIGHTS = {"format": 100.0, "size": 10.0, "fp": 1.0, "quantType": 0.5}
_PREFERRED = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": "Q4_K_M"}


def agrees(digests: Sequence[Digest], wanted: Digest) -> bool:
    """Say whether one of *digests* is *wanted*; AutoV3 had 64 digits once, and counts by its first 12."""
    return (
        any(
            one.algorithm == wanted.algorithm and one.value[:12] == wanted.value[:12]
            for one in digests
            if one.algorithm == "autov3"
        )
        or wanted in digests
    )


def suffix_of(file: FileRecord) -> str:
    """The file's model suffix, lower case; empty for an archive, a text, a picture."""
    return split_suffix(key_of(file.name))[1]


def is_other_format(name: str, file: FileRecord) -> bool:
    """Say whether *file* cannot be loaded under *name*, because the name promises another format."""
    wanted, own = split_suffix(key_of(name))[1], suffix_of(file)
    return bool(wanted and own) and not any({wanted, own} <= family for family in _FORMATS)


def choose(files: Sequence[Listed], reference: Reference, request: ModelRequest) -> Listed | None:
    """Choose among the *files* of one version.

    In this order: the id that the reference names; a checksum that the request
    states; what the link asks for; the name and then the folder of the request;
    the file that the site itself would send.
    """
    if reference.file is not None:
        return next((one for one in files if one.file.id == reference.file), None)
    for digest in request.digests:
        for one in files:
            if agrees(one.file.digests, digest):
                return one
    pool = [one for one in files if suffix_of(one.file)] or list(files)
    if reference.wishes:
        asked = server_choice([one.file for one in files], reference.wishes)
        if asked is not None:
            return next(one for one in files if one.file is asked)
    name = request.name.name if request.name is not None else ""
    if name:
        wanted = Wanted.of(name)
        named = [one for one in pool if evidence(wanted, names_of(one)) >= REDUCED]
        pool = named or [one for one in pool if not is_other_format(name, one.file)] or pool
    if request.folder:
        pool = [one for one in pool if fits(one.model, one.file, request.folder)] or pool
    chosen = next((one.file for one in pool if one.file.primary), None) or server_choice([one.file for one in pool], {})
    return next((one for one in pool if one.file is chosen), None)


def server_choice(files: Sequence[FileRecord], wishes: Mapping[str, str]) -> FileRecord | None:
    """The file that the service sends for an address without a file id; ``None``: it would answer 404.

    :param wishes: The query of the address: type, format, size, fp, quantType.
    """
    wanted = {**_PREFERRED, **{key: value for key, value in wishes.items() if key in _WEIGHTS}}

    def score(file: FileRecord) -> float:
        points = 2000.0 if file.type in _MAIN_TYPES else 1000.0
        for key in file.stated & _WEIGHTS.keys():  # a key that is null counts, as a miss
            points += _WEIGHTS[key] if metadata_of(file)[key] == wanted[key] else -_WEIGHTS[key]
        return points

    pool = [file for file in files if not wishes.get("type") or file.type == wishes["type"]]
    best = max(pool, key=score, default=None)  # the first of equals
    if best is None:
        return None
    stated = metadata_of(best)
    misses = any(stated[key] and stated[key] != value for key, value in wishes.items() if key in stated)
    return None if misses else best


def metadata_of(file: FileRecord) -> dict[str, str]:
    """Format, extent, precision and quantization under the names that download addresses use."""
    return {"format": file.format, "size": file.extent, "fp": file.precision, "quantType": file.quantization}


def is_loadable(file: FileRecord) -> bool:
    """Say whether a loader reads a file of this name."""
    return suffix_of(file) in MODEL_SUFFIXES
