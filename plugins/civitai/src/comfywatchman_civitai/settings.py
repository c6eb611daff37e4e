"""The table ``[backends.civitai]``, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import frozen

from comfywatchman_core import BackendError

from .references import HOSTS

DEFAULT_BASE_URL = "https://civitai.com"
DEFAULT_RATE = 1.0
"""Questions a second to the public service; other tools sleep half a second to two between calls."""
DEFAULT_BUDGET = 8


@frozen(kw_only=True)
class Settings:
    """What the user may set."""

    base_url: str = DEFAULT_BASE_URL
    """The service, or another host that speaks the same API; without a slash at the end."""
    rate: float = DEFAULT_RATE
    """Questions a second in the long run; 0 is no limit, and the default for a host of one's own."""
    budget: int = DEFAULT_BUDGET
    """Questions for one model that is looked up by name, at most."""
    keep_answers: bool = True
    """False keeps no answer for later runs."""

    @classmethod
    def of(cls, table: Mapping[str, object]) -> Settings:
        """Read the table. :raises BackendError: A value makes no sense."""
        base_url = _base_url(table.get("base_url") or DEFAULT_BASE_URL)
        public = (urlsplit(base_url).hostname or "") in HOSTS
        return cls(
            base_url=base_url,
            rate=_number(table, "requests_per_second", DEFAULT_RATE if public else 0.0, lowest=0.0),
            budget=int(_number(table, "requests_per_model", DEFAULT_BUDGET, lowest=1)),
            keep_answers=_flag(table, "keep_answers", default=True),
        )


def _base_url(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (the property raises for a port that is no number)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise _mistake("base_url", f"an address such as {DEFAULT_BASE_URL}")
    # "…/api/v1" is what the service's documentation calls its base; the paths asked here begin with it
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/").removesuffix("/api/v1")


def _number(table: Mapping[str, object], name: str, default: float, *, lowest: float) -> float:
    value = table.get(name, default)
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < lowest:
        raise _mistake(name, f"a number from {lowest:g}")
    return number


def _flag(table: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = table.get(name, default)
    if isinstance(value, str):  # from the environment
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    if not isinstance(value, bool):
        raise _mistake(name, "true or false")
    return value


def _mistake(name: str, wanted: str) -> BackendError:
    return BackendError(
        f"{name} in [backends.civitai] is not {wanted}",
        hint="Correct the settings file; `comfywatchman config` shows where each value comes from.",
    )
