"""Find, download and verify the model files that a ComfyUI workflow names.

Names listed in ``__all__`` are the public API; every other module is private
however it is spelled. They are imported on first use, so that
``import comfywatchman_core`` itself stays cheap.
"""

from __future__ import annotations

from ._version import __version__ as __version__

TYPE_CHECKING = False  # checkers know the name; importing typing costs 10 ms
if TYPE_CHECKING:
    from . import errors as errors
    from . import events as events
    from .config import Config as Config
    from .errors import AuthRequired as AuthRequired
    from .errors import BackendError as BackendError
    from .errors import ComfyWatchmanError as ComfyWatchmanError
    from .hooks import API_VERSION as API_VERSION
    from .hooks import Context as Context
    from .hooks import Downloader as Downloader
    from .hooks import Resolver as Resolver
    from .hooks import Verifier as Verifier
    from .hooks import hookimpl as hookimpl
    from .models import Artifact as Artifact
    from .models import Candidate as Candidate
    from .models import Check as Check
    from .models import Digest as Digest
    from .models import Match as Match
    from .models import ModelRequest as ModelRequest
    from .report import Report as Report
    from .reuse import share_blocks as share_blocks
    from .watchman import Watchman as Watchman
    from .watchman import ensure_models as ensure_models
    from .watchman import plan as plan
    from .watchman import scan as scan

_HOME = {
    "API_VERSION": "hooks",
    "Artifact": "models",
    "AuthRequired": "errors",
    "BackendError": "errors",
    "Candidate": "models",
    "Check": "models",
    "ComfyWatchmanError": "errors",
    "Config": "config",
    "Context": "hooks",
    "Digest": "models",
    "Downloader": "hooks",
    "Match": "models",
    "ModelRequest": "models",
    "Report": "report",
    "Resolver": "hooks",
    "Verifier": "hooks",
    "Watchman": "watchman",
    "ensure_models": "watchman",
    "errors": "",
    "events": "",
    "hookimpl": "hooks",
    "plan": "watchman",
    "scan": "watchman",
    "share_blocks": "reuse",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    from importlib import import_module

    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    if not home:
        return import_module(f".{name}", __name__)
    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
