"""What a back end's own tests need: the contract kit, small servers, small model files, a guard against the network.

Plain modules, not a pytest plugin loaded from an entry point: tools that merely
have the core installed must not pay for it in their own test runs.
"""

from __future__ import annotations

from .network import loopback_only
from .payloads import git_blob_sha1, safetensors, sha256
from .server import Asked, Origin, Reply, serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .contract import BackendContract as BackendContract

__all__ = [
    "Asked",
    "BackendContract",
    "Origin",
    "Reply",
    "git_blob_sha1",
    "loopback_only",
    "safetensors",
    "serve",
    "sha256",
]


def __getattr__(name: str) -> object:
    if name == "BackendContract":  # imports pytest, which a demonstration or a benchmark need not have
        from .contract import BackendContract

        return BackendContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
