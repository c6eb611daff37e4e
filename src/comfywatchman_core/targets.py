"""Which model files an audit looks at, and under which folder and name ComfyUI knows them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import frozen

from .audited import Condition, Verified
from .errors import UnsafeName, UsageError
from .folders import ModelFolders
from .inventory import walk
from .names import has_model_extension
from .planfile import Plan, PlannedFile


@frozen(kw_only=True)
class Target:
    """A file that is to be looked at."""

    path: Path
    folder: str
    name: str
    status: os.stat_result | None
    """``None`` where it is not there."""
    planned: str | None = None
    """The SHA256 that the plan holds it to."""

    @property
    def label(self) -> str:
        """``FOLDER/NAME``."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    def found(self, condition: Condition, **what: Any) -> Verified:
        """What was found out about it."""
        size = None if self.status is None else self.status.st_size
        return Verified(path=self.path, folder=self.folder, name=self.name, size=size, condition=condition, **what)


def targets(paths: Sequence[Path], folders: ModelFolders | None, plan: Plan | None) -> list[Target]:
    """Find the files: those of *paths*; without any, those of *plan*; without one, every model of *folders*.

    Of a directory, the files that end like a model, at any depth.

    :raises UsageError: A path is not there, or nothing says where models are.
    """
    planned = {} if plan is None else _planned(plan, folders)
    if not paths and plan is not None:
        return [_target(path, one.folder, one.name, one.sha256) for path, one in _places(plan, folders)]
    if not paths:
        return [_target(path, *known) for path, known in _all(_needed(folders)).items()]
    labels = _Labels(folders)
    found: dict[Path, Target] = {}
    for path in _below(paths):
        if path not in found:
            found[path] = _target(path, *labels.of(path), planned.get(path))
    return [target for target in found.values() if target.status is not None]


def _target(path: Path, folder: str, name: str, planned: str | None = None) -> Target:
    try:
        status = os.stat(path)
    except OSError:
        status = None
    return Target(path=path, folder=folder, name=name, status=status, planned=planned)


def _needed(folders: ModelFolders | None) -> ModelFolders:
    if folders is None:
        raise UsageError(
            "nothing says where models are",
            hint="Pass files or directories, or --comfyui DIR, or --models-dir DIR.",
        )
    return folders


def _planned(plan: Plan, folders: ModelFolders | None) -> dict[Path, str]:
    """Every place at which a file of *plan* may lie, with its digest."""
    return {
        root / one.name: one.sha256
        for one in plan.files
        if one.sha256 is not None
        for root in _needed(folders).roots(one.folder)
    }


def _places(plan: Plan, folders: ModelFolders | None) -> Iterator[tuple[Path, PlannedFile]]:
    """Where each file of *plan* is: in the first root that has it, as ComfyUI reads it, or where it belongs."""
    for one in plan.files:
        roots = _needed(folders).roots(one.folder)
        if not roots:
            raise UsageError(
                f"the plan names {one.folder}/{one.name}, and {one.folder} is not a folder for models",
                hint="Correct the plan, or say with --extra-model-paths where that folder is.",
            )
        there = next((root / one.name for root in roots if (root / one.name).is_file()), None)
        if there is None:
            try:
                there = _needed(folders).destination(one.folder, PurePosixPath(one.name))
            except UnsafeName:
                there = roots[0] / one.name
        yield there, one


def _all(folders: ModelFolders) -> dict[Path, tuple[str, str]]:
    found: dict[Path, tuple[str, str]] = {}
    for root, key in _Labels(folders).roots:
        for name in sorted(walk(root)):
            if has_model_extension(name):
                found.setdefault(root / name, (key, name))
    return found


def _below(paths: Iterable[Path]) -> Iterator[Path]:
    for given in paths:
        path = Path(os.path.abspath(given))
        if path.is_dir():
            for name in sorted(walk(path)):
                if has_model_extension(name):
                    yield path / name
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"there is no file at {given}", hint="Pass model files, or directories of them.")


class _Labels:
    """Tells which folder key a path belongs to."""

    def __init__(self, folders: ModelFolders | None) -> None:
        keys: dict[Path, str] = {}
        for key in folders.keys() if folders is not None else ():
            for root in folders.roots(key) if folders is not None else ():
                keys.setdefault(root, key)
        # The deepest first: of roots that lie within each other, the inner one is meant.
        self.roots = sorted(keys.items(), key=lambda one: -len(one[0].parts))

    def of(self, path: Path) -> tuple[str, str]:
        for root, key in self.roots:
            if path.is_relative_to(root):
                return key, path.relative_to(root).as_posix()
        return "", path.name
