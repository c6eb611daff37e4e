"""The user's key: where it comes from, and the one header that carries it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attrs import field, frozen

from comfywatchman_core import AuthRequired

ENVIRONMENT = ("CIVITAI_API_KEY", "CIVITAI_TOKEN", "CIVITAI_API_TOKEN")
"""Variables that may hold the key; the first that is set counts."""

VARIABLES: Mapping[str, tuple[str, ...]] = {"token": ENVIRONMENT}
"""What goes before the settings."""

WHERE_TO_PUT_IT = (
    "Make a key in the account settings on Civitai, and set CIVITAI_API_KEY, or token in [backends.civitai]."
)


@frozen
class Key:
    """A key, and the name of the place it was found in. Never shown."""

    value: str = field(repr=False)
    origin: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.value}"}


def key_of(settings: Mapping[str, object]) -> Key | None:
    """Read the key at the moment of use; blanks and line ends around it are dropped.

    :returns: ``None`` where the user gave none.
    :raises AuthRequired: It cannot be sent as it is.
    """
    for name in ENVIRONMENT:
        if text := _stripped(os.environ.get(name)):
            return _checked(text, name)
    if text := _stripped(settings.get("token")):
        return _checked(text, "the token in [backends.civitai]")
    return None


def _stripped(text: object) -> str:
    text = text.strip().strip("\"'").strip() if isinstance(text, str) else ""
    return text[len("bearer ") :].strip() if text.lower().startswith("bearer ") else text


def _checked(text: str, origin: str) -> Key:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise AuthRequired(
            f"the key from {origin} holds characters that no key has",
            hint="Copy it again; it is one word of letters and digits.",
        )
    return Key(text, origin)
