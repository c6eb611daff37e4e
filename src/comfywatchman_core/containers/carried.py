"""What was found in a container, before anything of it is parsed."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

MAX_TEXT = 32 << 20
"""Bytes of one text that is taken out of a container, after decompression."""


@frozen(kw_only=True)
class Carried:
    """Texts that stood in a container's metadata."""

    container: str
    """``json``, ``png``, ``webp``, …: what the content is, whatever the file's name says."""
    workflow: bytes | str | None = None
    """The saved graph; for ``json`` the whole document."""
    prompt: bytes | str | None = None
    """The graph as it was sent to the server."""
    parameters: str | None = None
    """Generation parameters in the prose of other front ends."""

    @property
    def is_empty(self) -> bool:
        return self.workflow is None and self.prompt is None and self.parameters is None


def from_pairs(container: str, pairs: Iterable[tuple[str, bytes | str]]) -> Carried:
    """Pick the texts that matter out of named ones; the first of a name counts, and names are compared without case."""
    found: dict[str, bytes | str] = {}
    for name, text in pairs:
        name = name.strip().lower()
        if name in ("workflow", "prompt", "parameters") and text:
            found.setdefault(name, text)
    parameters = found.get("parameters")
    if isinstance(parameters, bytes):
        parameters = parameters.decode("utf-8", "replace")
    return Carried(
        container=container, workflow=found.get("workflow"), prompt=found.get("prompt"), parameters=parameters
    )
