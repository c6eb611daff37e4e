"""What the user configured: the endpoint, the publishers, the token; read at the moment of use.

The environment goes before the settings file, as everywhere in this program.
The names of the environment are those of huggingface_hub, which reads most of
them once, at its import; here they count when they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen

from comfywatchman_core import BackendError

HOME = "https://huggingface.co"
"""The Hub itself: where licences are accepted and tokens are made, whatever the endpoint."""

HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co")
"""Addresses on these mean the configured endpoint."""

MIRRORS = ("hf-mirror.com",)
"""Public mirrors with the Hub's own paths; addresses on them mean the configured endpoint too."""

PUBLISHERS = (
    "Comfy-Org",
    "comfyanonymous",
    "Kijai",
    "city96",
    "black-forest-labs",
    "stabilityai",
    "Lightricks",
    "QuantStack",
    "lightx2v",
    "Bingsu",
    "h94",
    "circlestone-labs",
    "kandinskylab",
    "alibaba-pai",
    "FireRedTeam",
    "VAST-AI",
)
"""Whose files are taken by name alone. Each is one list request a day."""

_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_API_TOKEN")
VARIABLES: Mapping[str, tuple[str, ...]] = {"endpoint": ("HF_ENDPOINT",), "token": _TOKEN_VARIABLES}
"""What goes before the settings."""
_TOKEN_BYTES = 4096
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})

_KEYS = frozenset(
    {
        "card_search",
        "distribution",
        "endpoint",
        "engine",
        "index_hours",
        "longest_wait",
        "mirrors",
        "publishers",
        "search",
        "token",
        "xet_silence",
    }
)


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise TypeError("a list of names is wanted")
    return tuple(value)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise TypeError("a number is wanted")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is wanted")
    return value


def _engine(value: object) -> str:
    if value not in ("http", "xet"):
        raise ValueError('"http" or "xet" is wanted')
    return str(value)


def _base_url(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("an address is wanted")
    text = value.strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an http or https address is wanted")
    if parts.username or parts.password or parts.query or parts.fragment:
        # It becomes part of every offer, and offers are stored.
        raise ValueError("an address without user, password and query is wanted")
    return text


@frozen(kw_only=True)
class Settings:
    """The table ``[backends.huggingface]`` under the environment. Holds no token."""

    endpoint: str = field(default=HOME, converter=_base_url)
    """Base URL of the Hub, or of a mirror; without a slash at the end."""
    publishers: tuple[str, ...] = field(default=PUBLISHERS, converter=_names)
    """Owners whose repositories are listed and trusted by file name, the most trusted first."""
    mirrors: tuple[str, ...] = field(default=MIRRORS, converter=_names)
    """Further hosts whose addresses mean the endpoint."""
    engine: str = field(default="http", converter=_engine)
    """``http``: the core's engine; ``xet``: the chunk store first, where a file has one."""
    index_hours: float = field(default=24.0, converter=_seconds)
    """How long the list of a publisher's files is used before it is asked for again; 0 asks in every run."""
    search: bool = field(default=True, converter=_flag)
    """Search repositories by name where no publisher has the file."""
    card_search: bool = field(default=False, converter=_flag)
    """Search model cards as the last resort; the Hub does not document that search."""
    longest_wait: float = field(default=60.0, converter=_seconds)
    """Seconds that a request limit is waited for; beyond, the failure says when to come again."""
    xet_silence: float = field(default=45.0, converter=_seconds)
    """Seconds without a byte after which the chunk store is given up for HTTP."""
    offline: bool = False
    """``HF_HUB_OFFLINE``: nothing is asked."""

    @classmethod
    def read(cls, table: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings. :raises BackendError: One of them cannot be used."""
        environ = os.environ if environ is None else environ
        values = {key: table[key] for key in table if key in _KEYS - {"token", "distribution"}}
        if text := environ.get("HF_ENDPOINT", "").strip():
            values["endpoint"] = text
        offline = is_true(environ.get("HF_HUB_OFFLINE") or environ.get("TRANSFORMERS_OFFLINE"))
        for key, value in values.items():
            try:
                cls(**{key: value})
            except (TypeError, ValueError) as error:
                where = "HF_ENDPOINT" if key == "endpoint" and text else f"[backends.huggingface] {key}"
                raise BackendError(f"{where} cannot be used: {error}", hint=f"Correct {where}.") from None
        return cls(**values, offline=offline)

    @property
    def api(self) -> str:
        """Base of the JSON API."""
        return f"{self.endpoint}/api"

    @property
    def site(self) -> str:
        """Where a person accepts a licence: the endpoint, or the Hub itself where the endpoint is a mirror of it."""
        host = urlsplit(self.endpoint).hostname or ""
        return HOME if host in self.mirrors or host in HOSTS else self.endpoint

    @property
    def is_home(self) -> bool:
        """True where the endpoint is the Hub itself."""
        parts = urlsplit(self.endpoint)
        return parts.scheme == "https" and parts.hostname in HOSTS and parts.port in (None, 443)

    @property
    def is_local(self) -> bool:
        """True where the endpoint is on this very machine."""
        return urlsplit(self.endpoint).hostname in ("localhost", "127.0.0.1", "::1")


def unknown_keys(table: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of *table* that mean nothing here."""
    return tuple(sorted(set(table) - _KEYS))


def is_true(text: str | None) -> bool:
    """Read a flag of the environment as huggingface_hub does."""
    return (text or "").strip().upper() in _TRUE


def read_token(table: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> str | None:
    """Find the user's token: environment, settings, then the file that ``hf auth login`` writes.

    ``token = false`` in the settings sends none; ``HF_HUB_DISABLE_IMPLICIT_TOKEN`` leaves only the settings.

    :returns: The token without blanks and line ends; ``None`` where there is none that could be sent.
    """
    environ = os.environ if environ is None else environ
    configured = table.get("token")
    if configured is False:
        return None
    implicit = not is_true(environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
    found = [environ.get(name) for name in _TOKEN_VARIABLES] if implicit else []
    found.append(configured if isinstance(configured, str) else None)
    for text in found:
        if token := _clean(text):
            return token
    return _clean(_stored_token(environ)) if implicit else None


def _clean(text: str | None) -> str | None:
    """A copied token often has a line end; one with blanks or strange characters inside cannot be sent at all."""
    token = (text or "").strip().strip("\"'").replace("\r", "").replace("\n", "")
    return token if token and token.isascii() and token.isprintable() and " " not in token else None


def _stored_token(environ: Mapping[str, str]) -> str | None:
    path = environ.get("HF_TOKEN_PATH") or os.path.join(_home(environ), "token")
    try:
        with open(Path(os.path.expandvars(path)).expanduser(), encoding="utf-8") as file:
            return file.read(_TOKEN_BYTES)
    except (OSError, ValueError, RuntimeError):
        return None


def _home(environ: Mapping[str, str]) -> str:
    cache = environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return environ.get("HF_HOME") or os.path.join(cache, "huggingface")
