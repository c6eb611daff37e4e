"""Mirrors of several kinds on this machine, and what pushes into them and gets from them."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from comfywatchman_mirror.command import main
from comfywatchman_mirror.settings import Settings
from comfywatchman_mirror.stores import Store
from standins import servers

import comfywatchman_core as cw
from comfywatchman_core.testing import Asked, Reply, safetensors, serve, sha256

INK = safetensors("ink", 200_000)
INK_SHA256 = sha256(INK)


@frozen(kw_only=True)
class Place:
    """A mirror, and the settings that lead to it."""

    settings: Mapping[str, Any]

    @property
    def url(self) -> str:
        return str(self.settings["url"])

    def store(self) -> Store:
        settings = Settings.read(self.settings)
        assert settings is not None
        return Store(settings)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with one file in it."""
    (tmp_path / "studio" / "loras").mkdir(parents=True)
    (tmp_path / "studio" / "loras" / "ink.safetensors").write_bytes(INK)
    return tmp_path / "studio"


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    """A place for a mirror on a mounted disk."""
    (tmp_path / "nas").mkdir()
    return Place(settings={"url": str(tmp_path / "nas")})


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 of moto's; buckets are made by whoever uses it."""
    pytest.importorskip("moto")
    port = servers.free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with servers.running(command, port, tmp_path_factory.mktemp("moto")):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(params=["disk", "sftp", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place for a mirror, of each kind that can be written."""
    if request.param == "disk":
        yield Place(settings={"url": str(tmp_path / "nas")})
    elif request.param == "sftp":
        pytest.importorskip("paramiko")
        monkeypatch.setenv("HOME", str(tmp_path))
        with servers.sftp(tmp_path / "sshd", tmp_path) as url:
            yield Place(settings={"url": f"{url}{tmp_path}/nas"})
    else:
        s3fs = pytest.importorskip("s3fs")
        address = request.getfixturevalue("s3_server")
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "kit",
            "AWS_SECRET_ACCESS_KEY": "kit-secret-5f2b9c",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        bucket = f"studio-{uuid.uuid4().hex[:8]}"
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(bucket)
        yield Place(settings={"url": f"s3://{bucket}/mirror"})


@pytest.fixture
def filled(disk: Place, models: Path, run: Run) -> Place:
    """A mirror on a mounted disk that has the file."""
    assert run("push", "--models-dir", str(models), at=disk)[0] == 0
    return disk


Run = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; returns its exit code and what it prints with ``--json``."""

    def run(*arguments: str, at: Place | None = None) -> tuple[int, list[dict[str, Any]]]:
        where = ("--mirror", at.url) if at is not None else ()
        code = main([*arguments, *where, "--json"])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@frozen(kw_only=True)
class Upstream:
    """A site on the internet that has the file, and counts who asks for it."""

    url: str
    asked: list[Asked]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serve(lambda asked: Reply.of_bytes(INK, asked)) as origin:
        yield Upstream(url=f"{origin.url}/ink.safetensors", asked=origin.asked)


Get = Callable[..., tuple[cw.Report, list[str]]]


@pytest.fixture
def get(tmp_path: Path) -> Get:
    """Get a model with a mirror configured; returns the report and the warnings."""

    def get(
        what: str,
        place: Place | Mapping[str, Any] | None,
        *,
        digest: str = "",
        others: Sequence[str] = (),
        back_ends: Any = None,
        **download: Any,
    ) -> tuple[cw.Report, list[str]]:
        warnings: list[str] = []
        settings = place.settings if isinstance(place, Place) else place or {}

        def listen(event: object) -> None:
            if isinstance(event, cw.events.Warned):
                warnings.append(event.message)

        config = cw.Config.load(
            arguments={
                "models_dir": tmp_path / "models",
                "state_dir": tmp_path / "state",
                "backends.disabled": ["directid", "huggingface", "civitai", "shelf", "share"],
                **{f"backends.mirror.{name}": value for name, value in settings.items()},
                **{f"download.{name}": value for name, value in download.items()},
            },
            environ={},
            use_file=False,
        )
        text = f"{what}#sha256={digest}" if digest else what
        report = cw.ensure_models([text, *others], config=config, folder="loras", on_event=listen, backends=back_ends)
        return report, warnings

    return get
