"""Back end `share`: models from a directory or a network share, cloned, linked or copied into place."""

from __future__ import annotations

from .backend import ShareBackend

backend = ShareBackend()
