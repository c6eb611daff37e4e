"""Make one request of many that ask for the same file."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from .models import Digest, ModelRequest
from .report import Problem

_MAX_HINTS = 32


def merge_requests(requests: Iterable[ModelRequest]) -> tuple[ModelRequest, ...]:
    """Merge requests for the same folder and name, in the order of their first appearance.

    The file is active if one of them is, and wanted by all their nodes. The
    first address counts; others become hints. Checksums are united: when two
    contradict each other no file can pass both, and :func:`digest_conflicts`
    says so.
    """
    groups: dict[tuple[str, str], list[ModelRequest]] = {}
    for request in requests:
        identity = str(request.name) if request.name is not None else f"\0{request.reference or request.url}"
        groups.setdefault((request.folder, identity), []).append(request)
    return tuple(group[0] if len(group) == 1 else _merged(group) for group in groups.values())


def _merged(group: list[ModelRequest]) -> ModelRequest:
    first = group[0]
    urls = [request.url for request in group if request.url]
    hints = dict.fromkeys([*urls[1:], *(hint for request in group for hint in request.hints)])
    if urls:
        hints.pop(urls[0], None)
    return evolve(
        first,
        url=urls[0] if urls else None,
        digests=tuple(dict.fromkeys(digest for request in group for digest in request.digests)),
        size=next((request.size for request in group if request.size is not None), None),
        reference=next((request.reference for request in group if request.reference), None),
        explicit=any(request.explicit for request in group),
        hints=tuple(hints)[:_MAX_HINTS],
        wanted_by=tuple(dict.fromkeys(ref for request in group for ref in request.wanted_by)),
        active=any(request.active for request in group),
    )


def digest_conflicts(requests: Iterable[ModelRequest]) -> tuple[Problem, ...]:
    """Tell of every request whose checksums contradict each other: one file cannot have both."""
    found = []
    for request in requests:
        by_algorithm: dict[str, list[Digest]] = {}
        for digest in request.digests:
            by_algorithm.setdefault(digest.algorithm, []).append(digest)
        for algorithm, digests in by_algorithm.items():
            if len(digests) > 1:
                values = ", ".join(digest.value for digest in digests)
                found.append(
                    Problem(
                        about=", ".join(dict.fromkeys(ref.workflow for ref in request.wanted_by)),
                        message=f"{request.label} is asked for with different {algorithm} digests: {values}",
                        hint="Decide which file is meant, and correct the other workflow.",
                        code="digest_conflict",
                    )
                )
    return tuple(found)
