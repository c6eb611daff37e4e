"""Look into a file's header for what no metadata tells: a whole pipeline, or the denoiser alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from comfywatchman_core import BackendError

if TYPE_CHECKING:
    from comfywatchman_core import Context

FIRST_BYTES = 1 << 19
"""Enough for the header of most files, which lists some thousand tensors."""
MOST_BYTES = 8 << 20
"""A header longer than this is not read to its end."""

_LENGTH = 8
_OTHER_PARTS = re.compile(
    rb'"(?:first_stage_model|cond_stage_model|conditioner|text_encoders|text_encoder|vae|text_model)\.'
)
"""Tensors of the text encoder and the VAE, by the prefixes that checkpoint loaders split a file at."""


def is_whole_pipeline(url: str, *, context: Context, endpoint: str, headers: Mapping[str, str]) -> bool | None:
    """Say whether the ``.safetensors`` file at *url* holds text encoder or VAE beside the denoiser.

    Costs one ranged request, or two for a long header; never the file.

    :param endpoint: The configured base URL, below which *url* lies.
    :param headers: What carries the key; sent to the endpoint only.
    :returns: ``None`` where that cannot be told: no access, no such header, no ranges.
    """
    start = _first_bytes(url, FIRST_BYTES, context, endpoint, headers)
    if start is None or len(start) < _LENGTH:
        return None
    length = int.from_bytes(start[:_LENGTH], "little")
    header = start[_LENGTH : _LENGTH + length]
    if not header.startswith(b"{"):
        return None
    if _OTHER_PARTS.search(header):
        return True
    if len(header) == length:
        return False
    if length > MOST_BYTES:
        return None
    whole = _first_bytes(url, _LENGTH + length, context, endpoint, headers)
    if whole is None or len(whole) < _LENGTH + length:
        return None
    return bool(_OTHER_PARTS.search(whole[: _LENGTH + length]))


def _first_bytes(url: str, count: int, context: Context, endpoint: str, headers: Mapping[str, str]) -> bytes | None:
    try:
        answer = context.http.request(
            "GET",
            url,
            headers=headers,
            shared={"Range": f"bytes=0-{count - 1}", "Accept-Encoding": "identity"},
            endpoint=endpoint,
            limit=count,  # a server that ignores the range is cut off here
            retries=0,
        )
    except BackendError:
        return None  # whatever it is, the transfer will meet it and tell it better
    return answer.body if answer.status in (200, 206) else None
