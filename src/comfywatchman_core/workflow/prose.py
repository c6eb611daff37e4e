"""Models that a text names: ``embedding:NAME``, ``<lora:NAME:1>``, and addresses in notes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from comfywatchman_core.names import same_name_key

_LONGEST_TEXT = 1 << 20
"""Characters of one text that are looked at; prompts have thousands."""
_DEEPEST_WEIGHT = 50
"""Nested parentheses that are taken apart; deeper ones are looked at as they stand."""

_EMBEDDING = re.compile(r"(?:^|(?<=\s))embedding:([^\s<\[]+)")
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
    """Find addresses in a note, with the name that the note or the address gives the file.

    :returns: Pairs of a comparable base name and the address.
    """
    for found in _LINK.finditer(text[:_LONGEST_TEXT]):
        address = (found[2] or found[3]).rstrip(".,;:!)")
        if found[1]:
            yield same_name_key(found[1].strip(" *`_").rpartition("/")[2]), address
        yield base_name(address), address


def base_name(address: str) -> str:
    """The last part of the path of *address*, comparable; empty when it cannot be read."""
    try:
        return same_name_key(unquote(urlsplit(address).path.rpartition("/")[2]))
    except ValueError:
        return ""


def _segments(text: str) -> Iterator[str]:
    """Split *text* where ComfyUI's weights begin and end; a weight itself is dropped."""
    waiting = [(text.replace("\\)", "\0\1").replace("\\(", "\0\2"), 0)]
    while waiting:
        part, depth = waiting.pop()
        if "(" not in part or depth >= _DEEPEST_WEIGHT:
            yield part.replace("\0\1", ")").replace("\0\2", "(")
            continue
        inner: list[tuple[str, int]] = []
        for piece in _top_level(part):
            if len(piece) >= 2 and piece[0] == "(" and piece[-1] == ")":
                inner.append((_unweighted(piece[1:-1]), depth + 1))
            else:
                # An unbalanced piece stays as it is: nothing in it can be split again.
                inner.append((piece, _DEEPEST_WEIGHT))
        waiting += reversed(inner)


def _top_level(text: str) -> Iterator[str]:
    """Split *text* into its outermost parentheses and what lies between them."""
    start = nesting = 0
    for found in re.finditer(r"[()]", text):
        at = found.start()
        if found[0] == "(":
            if nesting == 0 and at > start:
                yield text[start:at]
                start = at
            nesting += 1
        else:
            nesting -= 1
            if nesting == 0:
                yield text[start : at + 1]
                start = at + 1
    if start < len(text):
        yield text[start:]


def _unweighted(text: str) -> str:
    colon = text.rfind(":")
    if colon > 0:
        try:
            float(text[colon + 1 :])
        except ValueError:
            return text
        return text[:colon]
    return text
