"""What every test of this tree stands on: no network but loopback, no settings but its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman_core.testing import loopback_only

_FOREIGN = ("COMFYWATCHMAN_", "COMFYUI_", "CIVITAI_", "HF_", "HUGGING")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


@pytest.fixture(autouse=True)
def _network_guard() -> Iterator[None]:
    if os.environ.get("RECORD_CASSETTES") == "live":  # asked for by hand, to record from the sites themselves
        yield
        return
    with loopback_only() as refused:
        yield
    assert refused == [], "this test tried to leave the machine"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the user's settings nor tokens reach a test, nor the commands that it runs."""
    for name in tuple(os.environ):
        if name.startswith(_FOREIGN) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    for name, place in {
        "HOME": ".",
        "XDG_CONFIG_HOME": "config",
        "XDG_STATE_HOME": "state",
        "XDG_CACHE_HOME": "cache",
        "HF_HOME": "huggingface",
    }.items():
        monkeypatch.setenv(name, str(home / place))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    # Commands that tests start are guarded as well, through Python's own start-up hook.
    guard = Path(__file__).parent / "tests" / "guard"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(guard), os.environ.get("PYTHONPATH", "")))))
