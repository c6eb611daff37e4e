"""A Hub that holds what the official templates of ComfyUI declare, between files that are easily taken for it.

Names, folders and addresses are read from the package of templates; the bytes
are made up. Files of one name are mirrors of each other, as far as it is known
that they are.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import frozen

from comfywatchman_core.testing import safetensors

from .hub import HubStandIn

OTHER_BYTES = {("Comfy-Org/Fibo-2.0", "vae/flux2-vae.safetensors")}
"""Official files that are known to differ from others of their name."""


@frozen
class Declared:
    """One model that a template declares."""

    name: str
    folder: str
    url: str

    @property
    def repo(self) -> str:
        return "/".join(urlsplit(self.url).path.split("/")[1:3])

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.url).path.partition("/resolve/main/")[2])


def declarations() -> list[Declared]:
    """Every (name, folder, address) that the installed templates declare on the Hub."""
    found: set[Declared] = set()
    for template in files("comfyui_workflow_templates_json").joinpath("templates").iterdir():
        if template.name.endswith(".json") and not template.name.startswith(("index", "fuse")):
            for model in _models(json.loads(template.read_text(encoding="utf-8"))):
                if str(model.get("url", "")).startswith("https://huggingface.co/"):
                    url = model["url"].partition("?")[0]
                    found.add(Declared(model["name"], model["directory"], url))
    return sorted(found, key=lambda one: (one.name, one.folder, one.url))


def _models(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        properties = value.get("properties")
        if isinstance(properties, dict) and isinstance(properties.get("models"), list):
            yield from (model for model in properties["models"] if isinstance(model, dict))
        for inner in value.values():
            yield from _models(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _models(inner)


def content(repo: str, path: str) -> bytes:
    """The bytes of an official file: by its name, because mirrors are alike."""
    name = path.rpartition("/")[2]
    return safetensors(f"{repo}/{name}" if (repo, path) in OTHER_BYTES else name, 64)


def fill(hub: HubStandIn, declared: list[Declared], *, decoys: bool = True) -> None:
    """Put the declared files into their repositories, and decoys around them."""
    repositories: dict[str, dict[str, bytes]] = defaultdict(dict)
    for one in declared:
        repositories[one.repo][one.path] = content(one.repo, one.path)
    if decoys:
        for one in declared:
            _add_decoys(repositories, one)
    for count, (repo, held) in enumerate(sorted(repositories.items())):
        hub.add_repo(repo, {"README.md": b"# model", **held}, downloads=count * 7 % 1000)


def _add_decoys(repositories: dict[str, dict[str, bytes]], one: Declared) -> None:
    stem, _, suffix = one.name.rpartition(".")
    folder = one.path.rpartition("/")[0]
    beside = repositories[one.repo]
    for name in (f"x_{one.name}", f"{stem}_v2.{suffix}", f"{stem}.gguf", _other_precision(stem) + f".{suffix}"):
        path = f"{folder}/{name}" if folder else name
        beside.setdefault(path, safetensors(f"decoy {one.repo} {path}", 64))
    # The same name with other bytes, where a careless search would take it: in repositories of strangers that
    # are called like the model, and in another folder of a trusted publisher.
    repositories[f"somebody/{stem}"][one.name] = safetensors(f"stranger {one.name}", 64)
    repositories[f"anybody/{stem}-copy"][f"deep/er/{one.name}"] = safetensors(f"second stranger {one.name}", 64)
    if one.folder == "diffusion_models":
        repositories["Comfy-Org/attic"][f"checkpoints/{one.name}"] = safetensors(f"attic {one.name}", 64)


def _other_precision(stem: str) -> str:
    for mine, other in (("fp16", "fp8"), ("fp8", "fp16"), ("bf16", "fp8"), ("int8", "fp16")):
        if mine in stem:
            return stem.replace(mine, other)
    return f"{stem}_fp8"
