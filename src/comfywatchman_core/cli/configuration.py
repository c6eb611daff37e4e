"""``comfywatchman config``: every setting, its value, and where it came from."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import asdict

from comfywatchman_core.addresses import redact_text
from comfywatchman_core.config import Config
from comfywatchman_core.jsonlines import SCHEMA, closing_line
from comfywatchman_core.settings import is_secret, user_file

from .results import write_line


def effective(config: Config) -> Iterator[tuple[str, Any, str]]:
    """Yield each setting as dotted name, value and origin; a secret's value is ``set`` or ``not set``."""
    values: dict[str, Any] = {
        "comfyui": config.comfyui,
        "models_dir": config.models_dir,
        "extra_model_paths": list(config.extra_model_paths),
        "server": config.server,
        "offline": config.offline,
        "no_plugins": not config.plugins,
        "state_dir": config.state,
    }
    values |= {f"download.{name}": value for name, value in asdict(config.download).items()}
    values["backends.order"] = list(config.backends.order)
    values["backends.disabled"] = list(config.backends.disabled)
    for backend, table in sorted(config.backends.settings.items()):
        values |= {f"backends.{backend}.{name}": value for name, value in table.items()}
    for name, value in values.items():
        yield name, _shown(name, value), config.origins.get(name, "default")


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

    if options.json:
        for name, value, origin in effective(config):
            readable = [str(one) for one in value] if isinstance(value, list) else value
            write_json({"schema": SCHEMA, "event": "setting", "name": name, "value": readable, "origin": origin})
        write_json(closing_line(0))
        return 0
    write_line(f"# settings file: {options.config or user_file()}")
    for name, value, origin in effective(config):
        spelled = ", ".join(str(one) for one in value) if isinstance(value, list) else value
        write_line(f"{name} = {'' if spelled is None else spelled}  ({origin})")
    return 0
