"""What every back end must do, asked of this one: over a web server, and over a disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from comfywatchman_mirror.command import main

from comfywatchman_core import ModelRequest
from comfywatchman_core.testing import Asked, BackendContract, Reply, safetensors, serve


class OverAnyStore(BackendContract):
    entry_point = "mirror"
    known = ModelRequest(name="ink.safetensors", folder="loras")
    unknown = ModelRequest(name="no-such-model-7f3a.safetensors", folder="loras")
    needs_settings = True

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Path:
        (tmp_path / "mine" / "loras").mkdir(parents=True)
        (tmp_path / "mine" / "loras" / "ink.safetensors").write_bytes(safetensors("ink"))
        assert main(["push", "--mirror", str(tmp_path / "nas"), "--models-dir", str(tmp_path / "mine")]) == 0
        return tmp_path / "nas"


class TestOverADisk(OverAnyStore):
    @pytest.fixture
    def settings(self, disk: Path) -> Mapping[str, object]:
        return {"url": str(disk)}


class TestOverAWebServer(OverAnyStore):
    endpoint_setting = "url"

    @pytest.fixture
    def settings(self, disk: Path) -> Iterator[Mapping[str, object]]:
        def answer(asked: Asked) -> Reply:
            file = disk / asked.path.lstrip("/")
            return Reply.of_bytes(file.read_bytes(), asked) if file.is_file() else Reply(status=404)

        with serve(answer) as origin:
            yield {"url": origin.url}
