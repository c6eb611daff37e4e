"""What a back end's own tests need: the contract kit, small servers, small model files.

Plain modules, not a pytest plugin loaded from an entry point: tools that merely
have the core installed must not pay for it in their own test runs.
"""

from __future__ import annotations

from .payloads import git_blob_sha1, safetensors, sha256
from .server import Asked, Origin, Reply, serve

__all__ = ["Asked", "Origin", "Reply", "git_blob_sha1", "safetensors", "serve", "sha256"]
