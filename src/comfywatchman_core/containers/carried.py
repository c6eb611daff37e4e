"""What was found in a container, before anything of it is parsed."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from .source import MAX_TEXT, Damaged

_NAMES = ("workflow", "prompt", "parameters")


@frozen(kw_only=True)
class Carried:
    """What stood in a container's metadata: texts, or objects where the container itself is JSON."""

    container: str
    """``json``, ``png``, ``webp``, …: what the content is, whatever the file's name says."""
    workflow: object = None
    """The saved graph; for ``json`` the whole document."""
    prompt: object = None
    """The graph as it was sent to the server."""
    parameters: str | None = None
    """Generation parameters in the prose of other front ends."""

    @property
    def is_empty(self) -> bool:
        return self.workflow is None and self.prompt is None and self.parameters is None


def from_pairs(container: str, pairs: Iterable[tuple[str, object]]) -> Carried:
    """Pick what matters out of named texts; the first of a name counts, and names are compared without case.

    Nothing is read beyond the saved graph, and damage behind something that was found does not matter.
    ``comment`` is where other savers put both graphs, as one JSON object.

    :raises Damaged: The container is broken before anything was found.
    """
    found: dict[str, object] = {}
    try:
        for name, value in pairs:
            name = name.strip().lower()
            if name == "comment" and as_text(value).lstrip()[:1] == "{":
                found.setdefault("workflow", value)
            elif name in _NAMES and value:
                found.setdefault(name, value)
            if "workflow" in found:
                break
    except Damaged:
        if not found:
            raise
    parameters = found.get("parameters")
    return Carried(
        container=container,
        workflow=found.get("workflow"),
        prompt=found.get("prompt"),
        parameters=as_text(parameters) if parameters is not None else None,
    )


def split_label(text: str) -> tuple[str, str]:
    """Take ``workflow:{…}`` apart, as it stands in Exif."""
    label, _, value = text.partition(":")
    return label, value.rstrip("\0")


def as_text(value: object) -> str:
    """Decode bytes as UTF-8, whatever is in them; anything that is no text is empty."""
    if isinstance(value, bytes):
        return value[:MAX_TEXT].decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
