"""The settings of a run, as values: where things are, how downloads behave, what one run may do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NewType

from attrs import Factory, field, frozen, validators

from .errors import UsageError
from .models import Match

Rate = NewType("Rate", int)
"""Bytes a second; 0 is no limit."""

_LONGEST = 1_000_000.0
"""Seconds. More than a week is a mistake, and infinity is no number to wait for."""

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def read_rate(text: str | int) -> Rate:
    """Read a rate such as ``10M`` or ``500k`` as bytes a second; 0 is no limit. :raises ValueError: It is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?(?:/s)?", str(text).strip().lower())
    if not found:
        raise ValueError(f"not a rate: {text!r}; for example 10M, 500k or 0")
    return Rate(int(float(found[1]) * _UNITS[found[2]]))


def _path(text: str | os.PathLike[str] | None) -> Path | None:
    return None if text is None else Path(os.path.expanduser(text))


def _paths(texts: Sequence[str | os.PathLike[str]]) -> tuple[Path, ...]:
    return tuple(Path(os.path.expanduser(text)) for text in texts)


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    """One text is a list of one, and not a list of its letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def _digests(given: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(text.strip().lower().removeprefix("sha256:") for text in _texts(given))


def _match(given: Match | str) -> Match:
    try:
        return Match.from_label(given) if isinstance(given, str) else Match(given)
    except ValueError as error:
        labels = ", ".join(match.label for match in Match)
        raise UsageError(f"{str(given)[:80]!r} is no degree of certainty", hint=f"There are {labels}.") from error


@frozen(kw_only=True)
class Download:
    """The table ``[download]``."""

    auto_download: bool = True
    """False: everything up to the plan, and nothing is downloaded."""
    verify_hashes: bool = True
    """False: digests are computed and recorded, not compared."""
    max_retries: int = field(default=3, validator=validators.ge(0))
    """Attempts without progress after which a transfer is given up."""
    timeout_seconds: float = field(default=300.0, validator=[validators.gt(0), validators.le(_LONGEST)])
    """Bounds one API call, or one attempt of a transfer that makes no progress."""
    delay_between_downloads: float = field(default=0.0, validator=[validators.ge(0), validators.le(_LONGEST)])
    """Seconds, for each source."""
    jobs: int = field(default=3, validator=[validators.ge(1), validators.le(64)])
    """Files at a time."""
    connections: int = field(default=8, validator=[validators.ge(1), validators.le(64)])
    """Connections for one file, at most."""
    limit_rate: Rate = field(default=Rate(0), converter=read_rate)
    """Bytes a second over all transfers together; 0 is no limit. Written as ``10M``, ``500k``."""
    allow_private_urls: bool = False
    """Follow addresses of workflows into private networks."""
    link: str = field(default="auto", validator=validators.in_(("auto", "hard", "copy", "never")))
    """How bytes that are already on this machine are used again."""


@frozen(kw_only=True)
class BackendTable:
    """The table ``[backends]``; each back end's own table lies in it under its name."""

    order: tuple[str, ...] = ()
    """Asked first, in this order; the rest follow by priority."""
    disabled: tuple[str, ...] = ()
    """Not even imported."""
    settings: Mapping[str, Mapping[str, Any]] = field(factory=dict, repr=False)  # may hold tokens
    """Back end → its own table, unread by the core but for ``distribution``."""


@frozen(kw_only=True)
class Rules:
    """What one run may do; arguments of a command or a call, never settings."""

    include_inactive: bool = False
    """Act on what only muted or bypassed nodes name, too."""
    only: tuple[str, ...] = field(default=(), converter=_texts)
    """Globs over ``FOLDER/NAME``; empty is everything."""
    skip: tuple[str, ...] = field(default=(), converter=_texts)
    backends: tuple[str, ...] = field(default=(), converter=_texts)
    """Ask only these, in this order; empty asks all."""
    folder: str = ""
    """Destination for references and names that say none."""
    name: str = ""
    """For one reference: the name that it gets, in the place of the one that its source has."""
    min_match: Match = field(default=Match.FILENAME, converter=_match)
    """The least certainty that is downloaded unasked; its label will do."""
    require_checksum: bool = False
    accept_digests: tuple[str, ...] = field(default=(), converter=_digests)
    """SHA256 of files that are taken although their publisher states another."""
    allow_pickle: bool = False
    force: bool = False
    """Replace a different file that is in the way."""
    fail_fast: bool = False

    def __attrs_post_init__(self) -> None:
        for text in self.accept_digests:
            if not re.fullmatch(r"[0-9a-f]{64}", text):
                raise UsageError(f"not a SHA256: {text[:80]!r}", hint="--accept-digest takes 64 hexadecimal digits.")


@frozen(kw_only=True)
class Config:
    """Everything a run is told. Build it directly, or with :meth:`load` as the command does."""

    comfyui: Path | None = field(default=None, converter=_path)
    """ComfyUI's base directory."""
    models_dir: Path | None = field(default=None, converter=_path)
    """A models directory; with ``comfyui``, in the place of the one below it."""
    extra_model_paths: tuple[Path, ...] = field(default=(), converter=_paths)
    """More YAML files of the kind of ComfyUI's ``extra_model_paths.yaml``."""
    server: str | None = None
    """Address of a running ComfyUI that is asked which loaders and folders it has."""
    download: Download = Factory(Download)
    backends: BackendTable = Factory(BackendTable)
    plugins: bool = True
    """False: no installed back end is imported."""
    offline: bool = False
    """No socket is opened."""
    state_dir: Path | None = field(default=None, converter=_path)
    """Where history and caches live; ``None`` is the platform's place."""
    rules: Rules = Factory(Rules)
    origins: Mapping[str, str] = field(factory=dict, eq=False)
    """Setting (``download.jobs``) → where its value came from."""
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        *,
        arguments: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        file: str | os.PathLike[str] | None = None,
        use_file: bool = True,
        rules: Rules | None = None,
    ) -> Config:
        """Put the settings together.

        :param arguments: Dotted names (``download.jobs``) with values that win over all others; ``None`` is not given.
        :param environ: The environment; the process's own by default.
        :param file: A settings file that must exist; without one, the user's file is read if there is one.
        :param use_file: False reads no file at all.
        :raises UsageError: A file that cannot be read, or settings that make no sense; all mistakes at once.
        """
        from .settings import read_settings  # TOML and its converter: not for a Config that is built by hand

        return read_settings(
            arguments=arguments or {},
            environ=os.environ if environ is None else environ,
            file=file,
            use_file=use_file,
            rules=rules or Rules(),
        )

    @property
    def state(self) -> Path:
        """Where history and caches live."""
        if self.state_dir is not None:
            return self.state_dir
        from platformdirs import user_state_path

        return user_place(user_state_path, "/.local/state/comfywatchman")

    def settings_of(self, backend: str) -> Mapping[str, Any]:
        """The back end's own table."""
        return self.backends.settings.get(backend, {})


def user_place(find: Callable[..., Path], otherwise: str) -> Path:
    """What *find* of platformdirs says; *otherwise*, for a user who has no home.

    Containers run as any number, with neither HOME nor an entry in the list of users. Versions of platformdirs
    differ in what they make of that.

    :param otherwise: Below ``/``, where nobody but the administrator can put settings.
    """
    try:
        place = find("comfywatchman", appauthor=False)
    except RuntimeError:
        return Path(otherwise)
    return place if place.is_absolute() else Path(otherwise)
