"""Whether everything is in place: paths, free space, back ends, tokens, sources, leftovers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from .backends import State, failure_of
from .config import Config
from .conversation import Conversation
from .folders import ModelFolders
from .models import Check

_LITTLE = 10 << 30
"""Free bytes below which a warning is due: one large model fills them."""


@frozen
class Finding:
    """One thing that was looked at."""

    about: str
    """``paths``, ``space``, ``state``, or a back end's name."""
    check: Check


def examine(config: Config, folders: ModelFolders | None, conversation: Conversation) -> Iterator[Finding]:
    """Look at everything, one thing after the other.

    :param folders: ``None`` where nothing says where models are.
    :param conversation: Lends back ends what they need to ask their sources.
    """
    if folders is None:
        note = "nothing says where models are: pass --comfyui or --models-dir"
        yield Finding("paths", Check("models", False, note=note))
    else:
        yield from _places(folders)
    yield _state(config.state)
    for listing in conversation.around.backends.listings:
        if listing.state != State.DISABLED:
            check = Check("loaded", listing.state == State.READY, note=listing.reason or listing.version)
            yield Finding(listing.name, check)
    for name, diagnose in conversation.around.backends.with_method("diagnose"):
        try:
            for check in diagnose(conversation.lend(name)):  # type: ignore[attr-defined]
                yield Finding(name, check)
        except Exception as error:  # a back end that cannot be examined is a finding, not the end
            yield Finding(name, Check("reachable", False, note=failure_of(error, name).message))


def _places(folders: ModelFolders) -> Iterator[Finding]:
    models = folders.models
    if not models.is_dir():
        yield Finding("paths", Check("models", False, note=f"{models} is not there"))
        return
    writable = os.access(models, os.W_OK | os.X_OK)
    note = str(models) if writable else f"{models} cannot be written to"
    yield Finding("paths", Check("models", writable, note=note))
    seen: set[int] = set()
    for root in (models, *folders.all_roots()):
        if not root.is_dir() or (device := root.stat().st_dev) in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(root).free
        yield Finding("space", Check("free", free >= _LITTLE, note=f"{free / 1e9:.1f} GB free at {root}"))


def _state(directory: Path) -> Finding:
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    writable = os.access(existing, os.W_OK | os.X_OK)
    note = str(directory) if writable else f"{directory} cannot be written to: nothing is remembered"
    return Finding("state", Check("state", writable, note=note))
