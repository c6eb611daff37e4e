"""How much work one workflow may cost, so that no file keeps the scan busy however little it weighs.

A few kilobytes of subgraphs within subgraphs, or of links that all carry one
long text, stand for more work than any machine can do. What is counted is
what is really looked at: values, once for each time that they are, and long
texts by their length.
"""

from __future__ import annotations

from typing import Any

from comfywatchman_core.errors import WorkflowError

_LIMIT = 2_000_000
"""Values looked at. The largest workflows that people run have some ten thousand."""
_CHARACTERS = 32
"""Characters of a text that count as one value."""
REFERENCE = 20
"""Values that one reference counts as: it is kept, and a request is made of it."""


class Effort:
    """The work that is left for one workflow."""

    def __init__(self) -> None:
        self._left = _LIMIT

    def spend(self, values: int, characters: int = 0) -> None:
        """Count work before it is done. :raises WorkflowError: It is more than any real workflow takes."""
        self._left -= values + characters // _CHARACTERS
        if self._left < 0:
            raise WorkflowError(
                "it takes too much work to read",
                hint="Its parts contain or feed each other many times over; no ComfyUI could run it.",
            )


def weight_of(value: Any) -> int:
    """The work of looking at everything inside *value* once."""
    weight = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        weight += 1
        if isinstance(one, str):
            weight += len(one) // _CHARACTERS
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return weight
