"""What every back end must do, asked of this one."""

import pytest

from comfywatchman_core import ModelRequest
from comfywatchman_core.testing import BackendContract


class TestContract(BackendContract):
    entry_point = "shelf"
    known = ModelRequest(name="ink.safetensors", folder="loras")
    unknown = ModelRequest(name="no-such-model-7f3a.safetensors", folder="loras")
    needs_settings = True

    @pytest.fixture
    def settings(self, tmp_path):
        """A shelf with one model on it."""
        (tmp_path / "shelf" / "loras").mkdir(parents=True)
        (tmp_path / "shelf" / "loras" / "ink.safetensors").write_bytes(b"weights")
        return {"root": str(tmp_path / "shelf")}
