"""Parse JSON as ComfyUI and its tools write it, within bounds on the memory that it takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from .source import MAX_TEXT, Damaged

_MAX_PARTS = 1_000_000
"""Objects, lists and elements of one document. A part costs up to a few hundred bytes once it is parsed."""


def parse_json(text: bytes | str) -> Any:
    """Parse *text*: UTF-8, also with a byte order mark or broken, and with Python's ``NaN`` and ``Infinity``.

    :raises Damaged: It is no JSON, or too large to be a workflow.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_TEXT:
        raise Damaged(f"the document has {len(data)} bytes, more than a workflow may have ({MAX_TEXT})")
    if len(data) > _MAX_PARTS and data.count(b",") + data.count(b"{") + data.count(b"[") > _MAX_PARTS:
        raise Damaged(f"the document has more than {_MAX_PARTS} parts, which is no workflow")
    fast = _fast_parser()
    if fast is not None:
        try:
            return fast(data)
        except ValueError:
            pass  # not JSON to the letter; what ComfyUI writes often is not
    try:
        try:
            return json.loads(data)
        except UnicodeDecodeError:
            return json.loads(data.decode("utf-8-sig", "replace"))
    except json.JSONDecodeError as error:
        raise Damaged(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise Damaged("not JSON: it is nested too deeply") from error
    except ValueError as error:
        raise Damaged(f"not JSON: {str(error)[:200]}") from error


@cache
def _fast_parser() -> Callable[[bytes], Any] | None:
    """The parser of orjson where it is installed: three times as fast, and as strict as the standard.

    It refuses NaN, byte order marks, lone surrogates and broken UTF-8, all of which stand in real workflows.
    """
    try:
        import orjson
    except ImportError:
        return None
    loads: Callable[[bytes], Any] = orjson.loads
    return loads
