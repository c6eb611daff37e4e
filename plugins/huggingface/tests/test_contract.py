"""The core's own conformance kit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from standins.hub import HubStandIn

from comfywatchman_core import ModelRequest
from comfywatchman_core.testing import BackendContract, safetensors


class TestContract(BackendContract):
    entry_point = "huggingface"
    known = ModelRequest(name="ae.safetensors", folder="vae")
    unknown = ModelRequest(name="no-such-model-7f3a.safetensors", folder="loras")
    endpoint_setting = "endpoint"

    @pytest.fixture
    def settings(self, hub: HubStandIn) -> Mapping[str, object]:
        hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": safetensors("ae"), "vae/x_ae.safetensors": b"x"})
        return {"endpoint": hub.url, "publishers": ["Comfy-Org"]}
