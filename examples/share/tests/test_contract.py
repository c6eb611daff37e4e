"""What every back end must do, asked of this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from comfywatchman_core import ModelRequest
from comfywatchman_core.testing import BackendContract, safetensors


class TestContract(BackendContract):
    entry_point = "share"
    known = ModelRequest(name="ink.safetensors", folder="loras")
    unknown = ModelRequest(name="no-such-model-7f3a.safetensors", folder="loras")
    needs_settings = True

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Mapping[str, object]:
        (tmp_path / "share" / "loras").mkdir(parents=True)
        (tmp_path / "share" / "loras" / "ink.safetensors").write_bytes(safetensors("ink"))
        return {"root": str(tmp_path / "share")}
