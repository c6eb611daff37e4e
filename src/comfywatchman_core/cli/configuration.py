"""``comfywatchman config``: every setting, its value, and where it came from."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import asdict

from comfywatchman_core.addresses import redact_text
from comfywatchman_core.config import Config
from comfywatchman_core.jsonlines import SCHEMA, closing_line
from comfywatchman_core.settings import is_secret, user_file
from comfywatchman_core.watchman import Watchman

from .results import write_line


def effective(
    config: Config, variables: Iterable[tuple[str, str, Sequence[str]]] = ()
) -> Iterator[tuple[str, Any, str]]:
    """Yield each setting as dotted name, value and origin; a secret's value is ``set`` or ``not set``.

    :param variables: Back end, setting, and the variables of the environment that go before it.
    """
    origins = {"plugins": config.origins.get("no_plugins", "default"), **config.origins}
    values: dict[str, Any] = {
        "comfyui": config.comfyui,
        "models_dir": config.models_dir,
        "extra_model_paths": list(config.extra_model_paths),
        "server": config.server,
        "offline": config.offline,
        "plugins": config.plugins,
        "state_dir": config.state,
    }
    values |= {f"download.{name}": value for name, value in asdict(config.download).items()}
    values["backends.order"] = list(config.backends.order)
    values["backends.disabled"] = list(config.backends.disabled)
    for backend, table in sorted(config.backends.settings.items()):
        values |= {f"backends.{backend}.{name}": value for name, value in table.items()}
    for backend, setting, names in variables:
        name = f"backends.{backend}.{setting}"
        if (found := next((one for one in names if os.environ.get(one, "").strip()), None)) is not None:
            values[name], origins[name] = os.environ[found], found
        elif is_secret(name):
            values.setdefault(name, None)
    for name, value in values.items():
        yield name, _shown(name, value), origins.get(name, "default")


def _shown(name: str, value: Any) -> Any:
    """*value* as it may be printed: secrets, at any depth, only as set or not set."""
    if is_secret(name):
        return "set" if value else "not set"
    if isinstance(value, Mapping):
        return {key: _shown(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shown("", inner) for inner in value]
    if isinstance(value, str):
        return redact_text(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def show(config: Config, options: Namespace) -> int:
    """Print the settings; returns the exit code."""
    from .listening import write_json

    with Watchman(config) as watchman:
        settings = list(effective(config, watchman.backends.variables()))
    if options.json:
        for name, value, origin in settings:
            readable = [str(one) for one in value] if isinstance(value, list) else value
            write_json({"schema": SCHEMA, "event": "setting", "name": name, "value": readable, "origin": origin})
        write_json(closing_line(0))
        return 0
    write_line(f"# settings file: {options.config or user_file()}")
    for name, value, origin in settings:
        write_line(f"{name} = {_spelled(value)}  ({origin})")
    return 0


def _spelled(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
