"""Back end `directid`: known models by name, address and digest, asked first and without a network."""

from __future__ import annotations

from ._version import __version__ as __version__
from .backend import DirectIdBackend

backend = DirectIdBackend()
"""What the entry point names."""
