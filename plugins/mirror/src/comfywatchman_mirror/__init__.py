"""Back end ``mirror``: models that a team keeps near its machines, by digest."""

from __future__ import annotations

from ._version import __version__ as __version__
from .backend import MirrorBackend

backend = MirrorBackend()
"""What the entry point names."""
