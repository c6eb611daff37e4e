"""Put the settings of a run together: argument over environment over file over default.

No file is read from the current directory: a workflow repository that somebody
cloned must not be able to redirect endpoints and tokens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import AttrsInstance, evolve, fields

from .config import BackendTable, Config, Download, Rules, read_rate, user_place
from .errors import UsageError

_PREFIX = "COMFYWATCHMAN_"

_Table = TypeVar("_Table", bound=AttrsInstance)

_SECRET_KEY = re.compile(r"token|key|secret|password|auth", re.IGNORECASE)


def read_settings(
    *,
    arguments: Mapping[str, Any],
    environ: Mapping[str, str],
    file: str | os.PathLike[str] | None,
    use_file: bool,
    rules: Rules,
) -> Config:
    """Read every layer; the parameters are those of :meth:`Config.load`, and so is what it raises."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    warnings: list[str] = []
    if use_file:
        path, demanded = _file(file, environ)
        if demanded or os.path.isfile(path):  # a directory that may not be looked into is not the user's
            document = _read_toml(path)
            _overlay(values, origins, _flatten(document), str(path))
            if _has_secret(document) and _is_shared(path):
                warnings.append(f"{path} holds a token and others can read it; `chmod 600` it")
    _overlay(values, origins, _from_environment(environ), "environment")
    given = {name: value for name, value in arguments.items() if value is not None}
    _prefer_place(values, origins, given)
    _overlay(values, origins, given, "argument")
    config = _structure(values, origins)
    return evolve(config, rules=rules, origins=origins, warnings=tuple(warnings))


def user_file() -> Path:
    """The user's settings file, whether it exists or not."""
    from platformdirs import user_config_path

    return user_place(user_config_path, "/.config/comfywatchman") / "config.toml"


def is_secret(name: str) -> bool:
    """Say whether a setting of that dotted name must not be shown."""
    return bool(_SECRET_KEY.search(name.rpartition(".")[2]))


def _file(file: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    named = file or environ.get(_PREFIX + "CONFIG")
    return (Path(os.path.expanduser(named)), True) if named else (user_file(), False)


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib  # most users have no file

    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"the settings file {path} cannot be read: {error.strerror}",
            hint="Check --config and COMFYWATCHMAN_CONFIG.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings file {path} is not valid TOML: {error}", hint="Correct that line.") from error


def _flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names for what the core reads; a back end's table stays below ``backends.NAME``."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if name in ("download", "backends") and isinstance(value, Mapping):
            for key, inner in value.items():
                if name == "backends" and isinstance(inner, Mapping):
                    flat |= {f"{name}.{key}.{setting}": one for setting, one in inner.items()}
                else:
                    flat[f"{name}.{key}"] = inner
        else:
            flat[name] = value
    return flat


def _overlay(values: dict[str, Any], origins: dict[str, str], layer: Mapping[str, Any], origin: str) -> None:
    for name, value in layer.items():
        values[name] = value
        origins[name] = origin


def _prefer_place(values: dict[str, Any], origins: dict[str, str], given: Mapping[str, Any]) -> None:
    """An argument that names one place replaces the other kind of place from a file or the environment."""
    for named, other in (("comfyui", "models_dir"), ("models_dir", "comfyui")):
        if named in given and other not in given:
            values.pop(other, None)
            origins.pop(other, None)


_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def _flag(text: str) -> bool | str:
    lowered = text.strip().lower()
    return True if lowered in _TRUE else False if lowered in _FALSE else text


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


_ENVIRONMENT: dict[str, tuple[str, Callable[[str], Any]]] = {
    "COMFYUI": ("comfyui", str),
    "MODELS_DIR": ("models_dir", str),
    "STATE_DIR": ("state_dir", str),
    "OFFLINE": ("offline", _flag),
    "NO_PLUGINS": ("no_plugins", _flag),
    "DISABLE": ("backends.disabled", _names),
    "JOBS": ("download.jobs", _number),
    "CONNECTIONS": ("download.connections", _number),
    "LIMIT_RATE": ("download.limit_rate", str),
    "AUTO_DOWNLOAD": ("download.auto_download", _flag),
}
_ALSO_ACCEPTED = ("COMFYUI_PATH", "COMFYUI_ROOT")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for name in reversed(_ALSO_ACCEPTED):
        if environ.get(name):
            layer["comfyui"] = environ[name]
    for name, text in environ.items():
        if not name.startswith(_PREFIX) or not text:
            continue
        short = name.removeprefix(_PREFIX)
        if short in _ENVIRONMENT:
            setting, read = _ENVIRONMENT[short]
            layer[setting] = read(text)
        elif short != "CONFIG" and "_" in short:
            # COMFYWATCHMAN_CIVITAI_BASE_URL is base_url in [backends.civitai]: the core need not know which exist
            backend, _, setting = short.lower().partition("_")
            layer[f"backends.{backend}.{setting}"] = text
    return layer


def _structure(values: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
    """Build the frozen settings; every mistake is collected before anything is raised."""
    document, mistakes = _document(values)
    # One by one: bounds are checked when a table is built, which one wrong name in it would prevent.
    for name, value in tuple(document["download"].items()):
        if _built(Download, {name: value}, "download", mistakes) is None:
            del document["download"][name]
    tables = {"download": Download, "backends": BackendTable}
    inner = {name: _built(kind, document.pop(name), name, mistakes) for name, kind in tables.items()}
    config = _built(Config, document, "", mistakes, **inner)
    if mistakes or config is None:
        sources = sorted(set(origins.values()))
        raise UsageError(
            f"the settings cannot be used ({', '.join(sources)}): {'; '.join(mistakes)}",
            hint="`comfywatchman config` shows every setting and where it comes from.",
        )
    return config


def _built(kind: type[_Table], given: Mapping[str, Any], path: str, mistakes: list[str], **inner: Any) -> _Table | None:
    """Read *given* as what the fields of *kind* are annotated with; ``None`` where that adds to *mistakes*.

    :param path: Of the table; empty for the settings themselves.
    :param inner: Fields that are built already.
    """
    before = len(mistakes)
    place = f" @ {path}" if path else ""
    annotations = {one.name: str(one.type) for one in fields(kind)}
    read: dict[str, Any] = {}
    for name in (name for name in annotations if name in given):
        try:
            read[name] = _READERS[annotations[name]](given[name])
        except (ArithmeticError, TypeError, ValueError) as error:
            mistakes.append(f"{error} @ {path}{'.' if path else ''}{name}")
    if unknown := sorted(given.keys() - annotations.keys()):
        mistakes.append(f"no such setting: {', '.join(unknown)}{place}")
    if len(mistakes) > before:
        return None
    try:
        return kind(**read, **inner)
    except ValueError as error:
        mistakes.append(f"{error.args[0]}{place}")  # behind it attrs lists what its check was made of
        return None


_TABLES = ("download", "backends")
_NO_SETTINGS = ("rules", "origins", "warnings")
"""Fields of :class:`Config` that no layer may set."""


def _document(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Nest dotted names again; also returns what cannot be nested, in words."""
    document: dict[str, Any] = {"download": {}, "backends": {}}
    tables: dict[str, dict[str, Any]] = {}
    mistakes: list[str] = []
    for name, value in values.items():
        table, _, rest = name.partition(".")
        if name in _TABLES:
            mistakes.append(f"{name} is a table, not {value!r}")
        elif name in _NO_SETTINGS or (rest and table not in _TABLES) or name == "backends.settings":
            mistakes.append(f"no such setting: {name}")
        elif table == "backends" and "." in rest:
            backend, _, setting = rest.partition(".")
            tables.setdefault(backend, {})[setting] = value
        elif rest:
            document[table][rest] = value
        elif name == "no_plugins":
            document["plugins"] = not value if isinstance(value, bool) else value
        else:
            document[name] = value
    document["backends"]["settings"] = tables
    return document, mistakes


def _held(value: Any, kinds: tuple[type, ...], words: str) -> Any:
    """*value*, if it is of one of *kinds* as it is written: ``"3"`` is no number, and ``true`` is none either."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"expected {words}, not {value!r}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"expected a list of texts, not {value!r}")
    return tuple(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "bool": lambda value: _held(value, (bool,), "true or false"),
    "int": lambda value: _held(value, (int,), "a whole number"),
    "Rate": lambda value: read_rate(_held(value, (int, str), 'a rate such as "10M"')),
    "float": lambda value: float(_held(value, (int, float), "a number")),
    "str": lambda value: _held(value, (str,), "text"),
    "str | None": lambda value: None if value is None else _held(value, (str,), "text"),
    "tuple[str, ...]": _texts,
    "Path | None": lambda value: None if value is None else Path(_held(value, (str, os.PathLike), "a path")),
    "tuple[Path, ...]": lambda value: tuple(map(Path, _held(value, (list, tuple), "a list of paths"))),
    "Mapping[str, Mapping[str, Any]]": dict,
}
"""Annotation of a field, as config.py spells it → what reads its value."""


def _has_secret(document: Mapping[str, Any]) -> bool:
    return any(is_secret(name) and bool(value) for name, value in _flatten(document).items())


def _is_shared(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)
