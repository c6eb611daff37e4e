"""The core's own conformance kit."""

from __future__ import annotations

from comfywatchman_core import ModelRequest
from comfywatchman_core.testing import BackendContract


class TestContract(BackendContract):
    entry_point = "directid"
    known = ModelRequest(name="clip_l.safetensors", folder="text_encoders")
    unknown = ModelRequest(name="no-such-model-7f3a.safetensors", folder="loras")
