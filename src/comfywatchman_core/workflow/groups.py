"""Group nodes, the kind of groups before subgraphs: their members, with the values of one instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .nodes import names_a_file


def group_values(members: list[Mapping[str, Any]], node: Mapping[str, Any]) -> list[Any]:
    """Share the flattened values of a group node's instance out among its members."""
    values = node.get("widgets_values")
    given = values if isinstance(values, list) else []
    lengths = [len(kept) if isinstance(kept := member.get("widgets_values"), list) else 0 for member in members]
    if not given or sum(lengths) != len(given):
        return _exchange_files(members, given)
    shares, at = [], 0
    for length in lengths:
        shares.append(given[at : at + length])
        at += length
    return shares


def _exchange_files(members: list[Mapping[str, Any]], given: list[Any]) -> list[Any]:
    """Put the file names of a group node's instance in the places of its definition's, in order."""
    files = [value for value in given if isinstance(value, str) and names_a_file(value)]
    stored = [member.get("widgets_values") for member in members]
    kept = [value for values in stored if isinstance(values, list) for value in values]
    if len(files) != sum(isinstance(value, str) and names_a_file(value) for value in kept):
        return stored
    following = iter(files)
    return [
        [next(following) if isinstance(value, str) and names_a_file(value) else value for value in values]
        if isinstance(values, list)
        else values
        for values in stored
    ]


def unlinked(member: Mapping[str, Any]) -> list[Any]:
    """Inputs of a group's member without their links, which are numbered in no graph at hand."""
    inputs = member.get("inputs")
    return [
        {**entry, "link": None} for entry in (inputs if isinstance(inputs, list) else ()) if isinstance(entry, dict)
    ]
