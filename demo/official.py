"""A few of ComfyUI's own workflow templates, and the model files that they declare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

TEMPLATES = (
    "audio_stable_audio_example",
    "flux_kontext_dev_basic",
    "image_qwen_image",
    "image_z_image_turbo",
    "sdxl_simple_example",
    "utility-gan_upscaler",
)


@frozen(order=True)
class Declared:
    """One model file that a template declares, at the Hub."""

    folder: str
    name: str
    repository: str
    path: str

    @property
    def reference(self) -> str:
        """How a table of known models names it."""
        return f"hf:{self.repository}/{self.path}"


def templates() -> dict[str, dict[str, Any]]:
    """The workflows by file name, as they ship in the package ``comfyui-workflow-templates-json``."""
    place = files("comfyui_workflow_templates_json") / "templates"
    return {f"{name}.json": json.loads((place / f"{name}.json").read_text("utf-8")) for name in TEMPLATES}


def declared(workflow: Any) -> Iterator[Declared]:
    """Every ``properties.models`` entry below *workflow*, sub-graphs included."""
    if isinstance(workflow, dict):
        for entry in workflow.get("models", []) if isinstance(workflow.get("models"), list) else []:
            if isinstance(entry, dict) and "url" in entry:
                owner, repository, _resolve, _revision, *path = urlsplit(entry["url"]).path.strip("/").split("/")
                yield Declared(entry["directory"], entry["name"], f"{owner}/{repository}", "/".join(path))
        for value in workflow.values():
            yield from declared(value)
    elif isinstance(workflow, list):
        for value in workflow:
            yield from declared(value)


def known_by_digest() -> frozenset[str]:
    """Names whose true digest the table of the directid back end states: stand-ins cannot have those bytes."""
    table = json.loads((files("comfywatchman_directid") / "data" / "known_models.json").read_text("utf-8"))
    return frozenset(row["name"] for row in table["models"] if row.get("sha256"))
