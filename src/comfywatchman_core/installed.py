"""Which back ends are installed, from which distribution, and who may claim which name."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ._version import __version__
from .hooks import GROUP, Backend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

logger = logging.getLogger(__name__)

CORE = "core"
"""The name of the back end that is built in; no package may claim it."""


class State:
    """Why a back end is, or is not, in use; printed by ``comfywatchman backends``."""

    READY = "ready"
    DISABLED = "disabled"
    REFUSED = "refused"
    MISSING = "missing"


@frozen(kw_only=True)
class Listing:
    """One back end that was found, used or not."""

    name: str
    state: str
    reason: str = ""
    distribution: str = ""
    version: str = ""
    priority: int | None = None
    hooks: tuple[str, ...] = ()


@frozen(kw_only=True)
class Source:
    """Where a back end comes from."""

    name: str
    obtain: Callable[[], Any]
    distribution: str = ""
    version: str = ""
    refusal: str = ""

    def listing(self, state: str, reason: str) -> Listing:
        return Listing(name=self.name, state=state, reason=reason, distribution=self.distribution, version=self.version)


def sources(builtin: Mapping[str, Backend], distributions: Mapping[str, str], *, discover: bool) -> Iterator[Source]:
    """Every back end that could be used, the built-in ones first; nothing is imported yet.

    :param distributions: Back end name → distribution that may claim it, where several do.
    :param discover: False looks at no entry point at all.
    """
    for name, backend in builtin.items():
        yield Source(
            name=name,
            obtain=lambda backend=backend: backend,  # type: ignore[misc]
            distribution="comfywatchman-core" if name == CORE else "",
            version=__version__ if name == CORE else "",
        )
    if not discover:
        return
    for name, claims in sorted(_entry_points().items()):
        chosen = [claim for claim in claims if _same(_distribution(claim), distributions.get(name, ""))]
        if name in builtin:
            claim, refusal = claims[0], "this name belongs to the core"
        elif len(claims) == 1 or len(chosen) == 1:
            claim, refusal = (chosen or claims)[0], ""
            if name in distributions and not chosen:
                refusal = f"the settings name another distribution, {distributions[name]}, for this back end"
        else:
            claim = claims[0]
            refusal = (
                f"several installed packages claim this name: {', '.join(sorted(_distribution(c) for c in claims))}; "
                f'name the one to use as `distribution = "…"` in [backends.{name}]'
            )
        version = _stated(claim, "Version") if not refusal.startswith("several") else ""
        yield Source(
            name=name,
            obtain=claim.load,
            distribution=", ".join(sorted(_distribution(c) for c in claims)) if refusal else _distribution(claim),
            version=version,
            refusal=refusal,
        )


def _entry_points() -> dict[str, list[EntryPoint]]:
    """Entry points by name; the same object found twice on ``sys.path`` counts once."""
    from importlib.metadata import entry_points

    try:
        found = list(entry_points(group=GROUP))
    except Exception:  # the broken metadata of any package whatever hides those of all others
        found = list(_entry_points_one_by_one())
    claims: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for point in found:
        claims.setdefault(point.name, {}).setdefault((_distribution(point).lower(), point.value), point)
    return {name: list(points.values()) for name, points in claims.items()}


def _entry_points_one_by_one() -> Iterator[EntryPoint]:
    from importlib.metadata import distributions

    seen: set[str] = set()
    for distribution in distributions():
        name = str(distribution.metadata["Name"])
        if name in seen:
            continue
        seen.add(name)
        try:
            yield from distribution.entry_points.select(group=GROUP)
        except Exception as error:  # what it would have offered cannot be known
            logger.warning("the entry points of %s cannot be read: %s", name, error)


def _distribution(point: EntryPoint) -> str:
    return _stated(point, "Name") or "?"


def _stated(point: EntryPoint, field: str) -> str:
    """What the metadata says; empty where somebody took the directory apart, and nothing is left to say it."""
    if point.dist is None or field not in point.dist.metadata:
        return ""
    return str(point.dist.metadata[field])


def _same(one: str, other: str) -> bool:
    def normal(text: str) -> str:
        return re.sub(r"[-_.]+", "-", text).lower()

    return bool(other) and normal(one) == normal(other)
