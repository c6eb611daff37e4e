"""Back end `civitai`: finds models on Civitai by id, checksum and name, and downloads them politely."""

from __future__ import annotations

from .backend import CivitaiBackend

__all__ = ["CivitaiBackend", "backend"]

backend = CivitaiBackend()
