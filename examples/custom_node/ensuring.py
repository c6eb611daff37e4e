"""What the route does, without anything of ComfyUI: a workflow in, what became of it out."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import comfywatchman_core as cw

Tell = Callable[[Mapping[str, Any]], object]


def ensure(workflow: object, base: str, tell: Tell, stop: threading.Event) -> dict[str, Any]:
    """Get what *workflow* needs, a graph of the editor or a prompt of the API.

    :param base: ComfyUI's own directory, so that its `extra_model_paths.yaml` counts.
    :param tell: Told how far each file is; from other threads.
    :returns: `ok`, and for each file its `label`, `status`, and why it is missing.
    """

    def listen(event: cw.events.Event) -> None:
        if isinstance(event, cw.events.BytesReceived):
            tell({"label": event.label, "received": event.received, "size": event.size})

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "workflow.json")
        file.write_text(json.dumps(workflow), "utf-8")
        report = cw.ensure_models(file, comfyui=base, on_event=listen, cancel=stop)
    return {
        "ok": report.ok,
        "files": [
            {
                "label": entry.request.label,
                "status": entry.status.value,
                "error": entry.error and f"{entry.error.message} {entry.error.hint or ''}".strip(),
            }
            for entry in report.entries
        ],
        "problems": [problem.message for problem in report.problems],
    }
