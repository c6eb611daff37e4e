"""Read ``extra_model_paths.yaml`` exactly as ComfyUI does (utils/extra_config.py, 2026-08)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from comfywatchman_core.errors import UsageError

_LARGEST = 1 << 20


@frozen
class ExtraPath:
    """One directory that the file adds to one folder key."""

    key: str
    """As written; aliases are not resolved yet."""
    directory: Path
    is_default: bool
    """The section wants to come first."""


def read_extra_paths(file: Path) -> tuple[ExtraPath, ...]:
    """Read the directories that *file* adds, in its order. They need not exist.

    :raises UsageError: ComfyUI itself could not start with this file.
    """
    import yaml  # only when such a file is there

    try:
        with open(file, "rb") as stream:
            text = stream.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise UsageError(f"{file} has more than {_LARGEST} bytes, too many for a list of folders")
        sections = yaml.safe_load(text.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{file} is not valid YAML: {' '.join(str(error).split())[:300]}",
            hint="Compare it with extra_model_paths.yaml.example beside ComfyUI's main.py.",
        ) from error
    if sections is None:
        return ()  # only comments: the example file with everything commented out
    if not isinstance(sections, dict):
        raise _misfit(file, "it is no list of named sections")
    return tuple(extra for name, section in sections.items() for extra in _section(file, str(name), section))


def _section(file: Path, name: str, section: object) -> Iterator[ExtraPath]:
    if section is None:
        return
    if not isinstance(section, dict):
        raise _misfit(file, f"section {name!r} holds no folders")
    here = os.path.dirname(os.path.abspath(file))
    base = section.get("base_path")
    if base is not None:
        if not isinstance(base, str):
            raise _misfit(file, f"base_path of section {name!r} is no path")
        base = os.path.expandvars(os.path.expanduser(base))  # nowhere else in the file are ~ and $VAR read
        base = os.path.join(here, base)
    # Any value that is true counts, so the string "false" does as well.
    is_default = bool(section.get("is_default"))
    for key, lines in section.items():
        if key in ("base_path", "is_default"):
            continue
        if not isinstance(lines, str):
            raise _misfit(file, f"{key!r} of section {name!r} is no path")
        for line in lines.split("\n"):
            if line:
                yield ExtraPath(str(key), Path(os.path.normpath(os.path.join(base or here, line))), is_default)


def _misfit(file: Path, why: str) -> UsageError:
    return UsageError(
        f"{file} cannot be used: {why}",
        hint="Compare it with extra_model_paths.yaml.example beside ComfyUI's main.py.",
    )
