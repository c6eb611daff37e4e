"""Find the graphs in a JSON document: the document itself, or what servers and tools wrap around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from comfywatchman_core.containers import Damaged, parse_json
from comfywatchman_core.errors import NoWorkflow, WorkflowError

from .graph import is_graph
from .prompts import is_prompt

_MAX_WRAPPING = 5

_WRAPPERS = ("workflow", "prompt", "extra_data", "extra_pnginfo", "output", "input", "workflow_api", "data")
"""Keys under which tools put a graph: bodies sent to a server, its history, files of other front ends."""


def parse(text: object) -> Any:
    """Parse *text*; what a container holds as an object already is taken as it is.

    :raises WorkflowError: It is no JSON, or too large to be a workflow.
    """
    if not isinstance(text, (bytes, str)):
        return text
    try:
        return parse_json(text)
    except Damaged as error:
        raise WorkflowError(str(error), hint="Export the workflow from ComfyUI again.") from error


def graphs(document: Any) -> list[Any]:
    """Find the graphs in *document*: itself, or what a server's body or history wraps.

    Where a wrapper holds a saved graph and the prompt made from it, the saved graph is taken.

    :returns: At least one, each fit for :func:`is_graph` or :func:`is_prompt`.
    :raises NoWorkflow: There is none.
    """
    found = list(_find(document, _MAX_WRAPPING))
    if found:
        return found
    if isinstance(document, dict) and isinstance(document.get("templates"), list):
        raise NoWorkflow(
            "it holds node templates, not a workflow",
            hint="Insert the template into a workflow in ComfyUI, and save that.",
        )
    raise NoWorkflow("it is JSON, but neither a saved workflow nor an API prompt")


def _find(document: Any, depth: int) -> Iterator[Any]:
    if isinstance(document, str) and depth < _MAX_WRAPPING and document.lstrip()[:1] == "{":
        try:
            document = parse(document)
        except WorkflowError:
            return
    if is_graph(document) or is_prompt(document):
        yield document
    elif depth and isinstance(document, dict):
        yield from _unwrap(document, depth)
    elif depth and _is_queue_item(document):
        yield from _unwrap({"prompt": document[2], "extra_data": document[3]}, depth)


def _unwrap(document: dict[str, Any], depth: int) -> Iterator[Any]:
    held = [key for key in _WRAPPERS if key in document]
    if held:
        inside = [graph for key in held for graph in _find(document[key], depth - 1)]
        saved = [graph for graph in inside if is_graph(graph)]
        yield from (saved or inside)[:1]
        return
    for entries in (document.get("queue_running"), document.get("queue_pending")):
        for entry in entries if isinstance(entries, list) else ():
            yield from _find(entry, depth - 1)
    # A history maps ids of runs to what was queued.
    for entry in document.values():
        if isinstance(entry, dict) and _is_queue_item(entry.get("prompt")):
            yield from _find(entry, depth - 1)


def _is_queue_item(value: Any) -> bool:
    """Tell ``[number, id, prompt, extra_data, outputs]``, as the server keeps it."""
    return isinstance(value, list) and len(value) >= 4 and isinstance(value[2], dict)
