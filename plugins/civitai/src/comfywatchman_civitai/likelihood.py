"""How likely a file was uploaded under a name, judged by the titles around it: whom to ask ``mini`` about."""

from __future__ import annotations

import re

from .naming import Wanted, name_words
from .queries import distinctive_words
from .records import Listed

_PRECISIONS = ("fp32", "fp16", "bf16", "fp8", "int8", "nf4", "nvfp4")


def likelihood(wanted: Wanted, found: Listed) -> float:
    """Estimate, 0 to 1, that *wanted* is the uploaded name of *found*."""
    words = distinctive_words(wanted.name)
    if not words:
        return 0.0
    model, version, file = found.model, found.version, found.file
    titles = f"{model.name} {version.name} {' '.join(version.trained_words)}"
    known = set(name_words(titles))
    joined = "".join(name_words(titles))
    covered = sum(word in known or (len(word) > 3 and word in joined) for word in words) / len(words)
    return (
        covered
        * _version_agreement(wanted.stem, f"{model.name} {version.name}")
        * _precision_agreement(wanted, file.precision)
    )


def _version_agreement(stem: str, titles: str) -> float:
    """1 where the numbers agree, less where one names a version that the other does not."""
    wanted, known = set(_numbers(stem)), set(_numbers(titles))
    if not wanted:
        return 0.9 if not known else 0.6
    if wanted <= known:
        return 1.0
    return 0.7 if wanted & known else 0.3


def _numbers(text: str) -> list[str]:
    text = re.sub(r"(?i)fp\d+|bf16|int\d+|nf4|sd[ _]?1\.?5|\d+(?:gb|mb|k)\b", " ", text)
    return [found.replace(".", "").replace("_", "") for found in re.findall(r"\d+(?:[._]\d+)*", text)]


def _precision_agreement(wanted: Wanted, precision: str) -> float:
    named = next((one for one in _PRECISIONS if one in wanted.stem), "")
    if not named or not precision:
        return 1.0
    return 1.0 if precision.startswith(named) else 0.5
