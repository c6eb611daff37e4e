"""What the user configured: where the mirror is, and how it is reached. Holds no secret, and takes none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from comfywatchman_core import BackendError

SCHEMES = {"file": "", "sftp": "sftp", "http": "", "https": "", "s3": "s3", "gs": "gs", "az": "az", "abfs": "az"}
"""Scheme of an address → the extra of this package that reads it, where it takes one."""

LINKS = ("auto", "hard", "copy")
"""``auto`` shares blocks where the file system can, and copies; ``hard`` makes another name of the mirror's own file
where that can be done; ``copy`` always copies."""

_KEYS = frozenset({"url", "options", "link", "distribution"})
_SECRET = re.compile(r"token|secret|passw|passphrase|credential|(^|_)key$|sas|auth|connection_string", re.IGNORECASE)


def _url(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("an address or a directory is wanted")
    text = value.strip()
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):  # more than a drive letter
        return Path(text).expanduser().absolute().as_uri()
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES or not text.isprintable() or "\\" in text:
        raise ValueError(f"it begins with none of {', '.join(f'{one}:' for one in SCHEMES)}")
    if parts.password is not None or parts.query or parts.fragment:
        raise ValueError("an address without password and query is wanted; credentials belong into the environment")
    if parts.username is not None and scheme != "sftp":
        raise ValueError("an address without a user is wanted")
    if scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ValueError("write file:///DIRECTORY")
    elif not parts.hostname:
        raise ValueError("it names no host or bucket")
    return text.rstrip("/")


def _options(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("a table is wanted")
    for name, inner in value.items():
        if _SECRET.search(str(name)):
            raise ValueError(f"{name!r} is a secret; set it in the environment that the store's own library reads")
        if isinstance(inner, Mapping):
            _options(inner)
    return dict(value)


def _link(value: object) -> str:
    if value not in LINKS:
        raise ValueError(f"one of {', '.join(LINKS)} is wanted")
    return str(value)


@frozen(kw_only=True)
class Settings:
    """The table ``[backends.mirror]``."""

    url: str = field(converter=_url)
    """Where the mirror is, without a slash at the end: a directory counts as ``file:``."""
    options: Mapping[str, Any] = field(factory=dict, converter=_options)
    """What else fsspec's file system takes, for instance ``endpoint_url``."""
    link: str = field(default="auto", converter=_link)
    """How files of a mirror on a mounted disk are taken; one of :data:`LINKS`."""

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Settings | None:
        """Read the table; ``None`` where no mirror is set. :raises BackendError: A setting cannot be used."""
        if not table.get("url"):
            return None
        values = {"url": table["url"]}
        for name in ("url", "options", "link"):
            if name not in table:
                continue
            try:
                cls(**{**values, name: table[name]})
            except (TypeError, ValueError) as error:
                # the value itself is not shown: it may hold a password
                where = f"[backends.mirror] {name}"
                raise BackendError(f"{where} cannot be used: {error}", hint=f"Correct {where}.") from None
            values[name] = table[name]
        return cls(**values)

    @property
    def scheme(self) -> str:
        return self.url.partition(":")[0].lower()

    @property
    def is_web(self) -> bool:
        """A web server: it is read through the core, and not written to."""
        return self.scheme in ("http", "https")

    @property
    def directory(self) -> Path:
        """Where a ``file:`` mirror is."""
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(self.url).path))

    @property
    def root(self) -> str:
        """The place as its file system spells it: ``BUCKET/PREFIX``, or a path."""
        if self.scheme == "file":
            return self.directory.as_posix().rstrip("/")
        parts = urlsplit(self.url)
        path = unquote(parts.path)
        if self.scheme == "sftp":
            return path.removeprefix("/~/") or "/"  # what has no slash before it is below the login's own directory
        return f"{parts.netloc}{path}"


def unknown_keys(table: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of *table* that mean nothing here."""
    return tuple(sorted(set(table) - _KEYS))
