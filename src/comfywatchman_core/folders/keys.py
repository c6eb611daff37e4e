"""The folder keys of ComfyUI and of the packs that add their own; facts as data, in ``data/folders.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from attrs import frozen

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")


@frozen(kw_only=True)
class KeyTable:
    """What the package knows of folder keys."""

    core: Mapping[str, tuple[str, ...]]
    """Key to directories below ``models``, in the order in which ComfyUI looks."""
    packs: Mapping[str, str]
    """Key that a custom pack registers to its directory below ``models``."""
    borrowed: Mapping[str, tuple[str, frozenset[str]]]
    """Key that lists the directories of another key, with the suffixes it lists of them."""
    aliases: Mapping[str, str]
    extensions: Mapping[str, frozenset[str]]
    """Suffixes by key; the empty key holds those of every core key that is not named."""
    output: Mapping[str, str]
    """Key to the directory below ``output`` that ComfyUI looks into, last."""
    never: frozenset[str]
    """Names, in lower case, that are no model folder, or hold what ComfyUI runs or shows."""


@cache
def key_table() -> KeyTable:
    """The packaged table."""
    data: dict[str, Any] = json.loads(
        (files("comfywatchman_core") / "data" / "folders.json").read_text(encoding="utf-8")
    )
    return KeyTable(
        core={key: tuple(directories) for key, directories in data["keys"].items()},
        packs=data["pack_keys"],
        borrowed={key: (loan["from"], frozenset(loan["extensions"])) for key, loan in data["borrowed"].items()},
        aliases=data["aliases"],
        extensions={key: frozenset(suffixes) for key, suffixes in data["extensions"].items()},
        output=data["output"],
        never=frozenset(data["never"]),
    )


def canonical_key(key: str) -> str:
    """Spell a folder key as ComfyUI does today: ``unet`` is ``diffusion_models``, ``clip`` is ``text_encoders``."""
    return key_table().aliases.get(key, key)


def is_folder_key(text: str) -> bool:
    """Say whether *text* can name a folder of models.

    Known keys can, and any other plain name, since packs add their own:
    except those that name code, settings, or other things that are no models.
    """
    if _KEY.fullmatch(text) is None or text.endswith("."):
        return False
    return not is_forbidden(canonical_key(text))


def is_forbidden(name: str) -> bool:
    """Say whether *name*, a key or a directory, is one that no model is ever written into."""
    return name.lower() in key_table().never
