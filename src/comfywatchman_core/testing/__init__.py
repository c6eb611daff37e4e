"""What a back end's own tests need: the contract kit, servers good and bad, cassettes, model files, a network guard.

Plain modules, not a pytest plugin loaded from an entry point: tools that merely
have the core installed must not pay for it in their own test runs.
"""

from __future__ import annotations

from .faulty import Ending, Faulty, Scene, faulty
from .network import loopback_only
from .payloads import git_blob_sha1, safetensors, sha256
from .server import Asked, Origin, Reply, serve
from .spelling import spelled_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cassettes import cassette as cassette
    from .contract import BackendContract as BackendContract

__all__ = [
    "Asked",
    "BackendContract",
    "Ending",
    "Faulty",
    "Origin",
    "Reply",
    "Scene",
    "cassette",
    "faulty",
    "git_blob_sha1",
    "loopback_only",
    "safetensors",
    "serve",
    "sha256",
    "spelled_out",
]


def __getattr__(name: str) -> object:
    # A demonstration or a benchmark need not have pytest, nor what records.
    if name == "BackendContract":
        from .contract import BackendContract

        return BackendContract
    if name == "cassette":
        from .cassettes import cassette

        return cassette
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
