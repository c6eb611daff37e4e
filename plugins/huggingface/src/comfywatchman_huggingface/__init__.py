"""Back end ``huggingface``: models on the Hugging Face Hub, by address, digest or file name."""

from __future__ import annotations

from ._version import __version__ as __version__
from .backend import HuggingFaceBackend

backend = HuggingFaceBackend()
