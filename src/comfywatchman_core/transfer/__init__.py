"""The core's own transfer engine: the back end that takes any http address, asked last."""

from __future__ import annotations

from .engine import Engine
from .settings import TransferSettings

__all__ = ["Engine", "TransferSettings"]
