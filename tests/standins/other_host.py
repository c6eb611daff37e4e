"""Makes a Dask worker one of a host of its own, as claims see it: ``dask worker --preload standins.other_host``.

``OTHER_HOST`` is the host's name, ``CLOCK_AHEAD`` the seconds that its clock is wrong by, and ``SILENCE`` the seconds
after which an owner counts as dead; heartbeats come often enough for that.
"""

from __future__ import annotations

import os
import socket
import time
from types import ModuleType

from comfywatchman_core import claims, owners, staging


def dask_setup(worker: object) -> None:
    """Called by Dask before the worker begins."""
    name, ahead = os.environ["OTHER_HOST"], float(os.environ.get("CLOCK_AHEAD", "0"))
    socket.gethostname = lambda: name  # type: ignore[assignment]
    owners.boot_id = lambda: f"start of {name}"
    wrong = ModuleType("time")
    wrong.__dict__.update(time.__dict__, time=lambda: time.time() + ahead)
    owners.time = claims.time = wrong
    silence = float(os.environ.get("SILENCE", "600"))
    owners.SILENT_ELSEWHERE = claims.SILENT_ELSEWHERE = silence
    claims.HEARTBEAT = staging.HEARTBEAT = silence / 8
