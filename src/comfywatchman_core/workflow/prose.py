"""Models that a text names: ``embedding:NAME``, ``<lora:NAME:1>``, and addresses in notes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from comfywatchman_core.names import same_name_key

from .nodes import names_a_file

_LONGEST_TEXT = 1 << 20
"""Characters of one text that are looked at; prompts have thousands."""

_EMBEDDING = re.compile(r"(?:^|(?<=\s))embedding:([^\s<\[]+)")
_PARENTHESIS = re.compile(r"\\[()]|[()]")
_LORA = re.compile(r"<lora:([^:<>\n]+)(?::[^<>\n]*)?>")
_LINK = re.compile(r"\[([^\]\n]{1,300})\]\(\s*<?(https?://[^\s<>()\"']+)|(https?://[^\s<>\"'`\]|]+)", re.IGNORECASE)

# Prompt syntax of packs that choose at random, not characters of a name.
_CHOICES = frozenset('{}|*?"')


def embeddings(text: str) -> Iterator[str]:
    """Find the names after ``embedding:`` as ComfyUI's tokeniser does.

    It takes weights in parentheses apart first, so ``(embedding:x:1.1)`` names
    ``x``; a name begins a segment or follows white space, ends at white space,
    ``<`` or ``[``, and loses commas (comfy/sd1_clip.py, 2026-08).
    """
    if "embedding:" not in text:
        return
    for segment in _segments(text[:_LONGEST_TEXT]):
        for found in _EMBEDDING.finditer(segment):
            name = found[1].strip(",")
            if name and not _CHOICES & set(name):
                yield name


def lora_tags(text: str) -> Iterator[str]:
    """Find the names in ``<lora:NAME:weight>``."""
    for found in _LORA.finditer(text[:_LONGEST_TEXT]):
        name = found[1].strip()
        if name and not _CHOICES & set(name):
            yield name


def links(text: str) -> Iterator[tuple[str, str]]:
    """Find addresses of model files in a note, with the name that the note or the address gives the file.

    :returns: Pairs of a comparable base name and the address.
    """
    for found in _LINK.finditer(text[:_LONGEST_TEXT]):
        address = (found[2] or found[3]).rstrip(".,;:!)")
        label = (found[1] or "").strip(" *`_")
        if names_a_file(label):
            yield same_name_key(label).rpartition("/")[2], address
        if names_a_file(address.partition("?")[0].partition("#")[0]):
            yield base_name(address), address


def base_name(address: str) -> str:
    """The last part of the path of *address*, comparable; empty when it cannot be read."""
    try:
        return same_name_key(unquote(urlsplit(address).path.rpartition("/")[2]))
    except ValueError:
        return ""


def _segments(text: str) -> Iterator[str]:
    """Split *text* where ComfyUI's weights begin and end; a weight itself is dropped.

    Only parentheses that pair up count, as there: behind one too many at the end of a group nothing is
    split any more, nor is anything inside a group that never ends.
    """
    opens, pairs = _paired(text)
    closing = {end: start for start, end in pairs if not opens or start < opens[0]}
    starting = {start for start in closing.values()}
    begin = 0
    for boundary in sorted((*closing, *starting)):
        segment = text[begin:boundary]
        if boundary in closing:
            segment = _unweighted(segment, colon_may_lead=closing[boundary] + 1 < begin)
        yield _unescaped(segment)
        begin = boundary + 1
    yield _unescaped(text[begin:])


def _paired(text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Pair the parentheses of *text* that are not escaped: those left open, and the pairs."""
    opens: list[int] = []
    pairs: list[tuple[int, int]] = []
    for found in _PARENTHESIS.finditer(text):
        if found[0] == "(":
            opens.append(found.start())
        elif found[0] == ")":
            if not opens:
                break
            pairs.append((opens.pop(), found.start()))
    return opens, pairs


def _unweighted(segment: str, *, colon_may_lead: bool) -> str:
    """Drop ``:1.1`` from the end of a group; a colon that is the group's first character begins no weight."""
    colon = segment.rfind(":")
    if colon > 0 or (colon == 0 and colon_may_lead):
        with suppress(ValueError):
            float(segment[colon + 1 :])
            return segment[:colon]
    return segment


def _unescaped(segment: str) -> str:
    return segment.replace("\\(", "(").replace("\\)", ")")
