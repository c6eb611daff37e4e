"""Put the settings of a run together: argument over environment over file over default.

No file is read from the current directory: a workflow repository that somebody
cloned must not be able to redirect endpoints and tokens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from .config import Config, Download, Rate, Rules, read_rate, user_place
from .errors import UsageError

_PREFIX = "COMFYWATCHMAN_"

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
    from cattrs import ClassValidationError, Converter, transform_error
    from cattrs.errors import ForbiddenExtraKeysError

    converter = Converter(forbid_extra_keys=True)
    for kind, reader in _strict_readers().items():
        if isinstance(kind, type):
            converter.register_structure_hook(kind, reader)
        else:
            converter.register_structure_hook_func(lambda asked, kind=kind: asked == kind, reader)  # type: ignore[misc]
    document, mistakes = _document(values)

    def structured(part: object, kind: Any, path: str) -> Any:
        try:
            return converter.structure(part, kind)
        except (ClassValidationError, ForbiddenExtraKeysError) as error:
            told = transform_error(error, path=path, format_exception=_mistake)
            mistakes.extend(line.replace("$.", "").replace("@ $", "").strip() for line in told)

    # One by one: bounds are checked when a table is built, which one wrong name in it would prevent.
    for name, value in tuple(document["download"].items()):
        if structured({name: value}, Download, "$.download") is None:
            del document["download"][name]
    config = structured(document, Config, "$")
    if mistakes:
        sources = sorted(set(origins.values()))
        raise UsageError(
            f"the settings cannot be used ({', '.join(sources)}): {'; '.join(mistakes)}",
            hint="`comfywatchman config` shows every setting and where it comes from.",
        )
    assert isinstance(config, Config)
    return config


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


def _mistake(error: BaseException, _: Any) -> str:
    from cattrs import ForbiddenExtraKeysError

    if isinstance(error, ForbiddenExtraKeysError):
        return f"no such setting: {', '.join(sorted(error.extra_fields))}"
    return str(error.args[0]) if error.args else type(error).__name__


def _strict_readers() -> dict[Any, Callable[[Any, Any], Any]]:
    """cattrs turns ``"false"`` into True and 3.7 into 3: settings are read as what they are written as."""

    def flag(value: Any, _: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, not {value!r}")
        return value

    def whole(value: Any, _: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"expected a whole number, not {value!r}")
        return value

    def rate(value: Any, _: Any) -> Rate:
        if not isinstance(value, (int, str)) or isinstance(value, bool):
            raise ValueError(f'expected a rate such as "10M", not {value!r}')
        return read_rate(value)

    def real(value: Any, _: Any) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ValueError(f"expected a number, not {value!r}")
        return float(value)

    def text(value: Any, _: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"expected text, not {value!r}")
        return value

    def texts(value: Any, _: Any) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"expected a list of texts, not {value!r}")
        return tuple(value)

    def path(value: Any, _: Any) -> Path | None:
        if value is None:
            return None
        if not isinstance(value, (str, os.PathLike)):
            raise ValueError(f"expected a path, not {value!r}")
        return Path(value)

    def paths(value: Any, _: Any) -> tuple[Path, ...]:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"expected a list of paths, not {value!r}")
        return tuple(Path(one) for one in value)

    def tables(value: Any, _: Any) -> Mapping[str, Any]:
        return dict(value)

    return {
        bool: flag,
        int: whole,
        Rate: rate,
        float: real,
        str: text,
        tuple[str, ...]: texts,
        Path | None: path,
        tuple[Path, ...]: paths,
        Mapping[str, Mapping[str, Any]]: tables,
        Mapping[str, str]: tables,
    }


def _has_secret(document: Mapping[str, Any]) -> bool:
    return any(is_secret(name) and bool(value) for name, value in _flatten(document).items())


def _is_shared(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)
