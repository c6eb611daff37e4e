"""The core's own conformance kit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from standins.civitai import CivitaiStandIn, File, Version

from comfywatchman_core import ModelRequest
from comfywatchman_core.testing import BackendContract, safetensors


class TestContract(BackendContract):
    entry_point = "civitai"
    known = ModelRequest(name="ink_style.safetensors", folder="loras")
    unknown = ModelRequest(name="no-such-model-7f3a.safetensors", folder="loras")
    endpoint_setting = "base_url"

    @pytest.fixture
    def settings(self, civitai: CivitaiStandIn) -> Mapping[str, object]:
        civitai.add_model(name="Ink Style", versions=[Version("v1", [File("ink_style.safetensors", safetensors("a"))])])
        return {"base_url": civitai.url}
