"""The share in use: where its files are found, how they are taken, and what it says when it is not there."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comfywatchman_share import ShareBackend
from comfywatchman_share.lending import lend

import comfywatchman_core as cw
from comfywatchman_core.testing import safetensors, sha256

INK = safetensors("ink", 20_000)
Get = Callable[..., cw.Report]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A share with one model on it."""
    place = tmp_path / "share"
    (place / "loras").mkdir(parents=True)
    (place / "loras" / "ink.safetensors").write_bytes(INK)
    return place


@pytest.fixture
def placed(tmp_path: Path) -> Path:
    """Where the model is to lie."""
    return tmp_path / "models" / "loras" / "ink.safetensors"


@pytest.fixture
def get(tmp_path: Path, root: Path) -> Get:
    """Ask for a model with some settings of the back end."""

    def get(what: str = "loras/ink.safetensors", settings: dict[str, str] | None = None, **options: Any) -> cw.Report:
        table = {"root": str(root), **(settings or {})}
        file = tmp_path / "config.toml"
        file.write_text("[backends.share]\n" + "".join(f"{key} = {json.dumps(text)}\n" for key, text in table.items()))
        arguments = {"models_dir": tmp_path / "models", "state_dir": tmp_path / "state"}
        config = cw.Config.load(arguments=arguments, environ={}, file=file)
        with cw.Watchman(config, backends={"share": ShareBackend()}) as watchman:
            return watchman.ensure_models(what, **options)

    return get


def code_of(report: cw.Report) -> str:
    (entry,) = report.entries
    assert entry.error is not None
    return entry.error.code


@pytest.mark.parametrize("link", ["auto", "hard", "copy"])
def test_however_it_is_taken_the_model_has_the_bytes_of_the_share(get: Get, placed: Path, link: str) -> None:
    report = get(settings={"link": link})

    report.raise_if_failed()
    assert placed.read_bytes() == INK
    assert report.entries[0].backend == "share"


def test_a_hard_link_is_the_very_file_and_a_copy_is_not(get: Get, root: Path, placed: Path) -> None:
    get(settings={"link": "hard"}).raise_if_failed()
    linked = placed.samefile(root / "loras" / "ink.safetensors")
    placed.unlink()
    get(settings={"link": "copy"}).raise_if_failed()

    assert linked
    assert not placed.samefile(root / "loras" / "ink.safetensors")


def test_a_link_that_cannot_be_made_is_a_copy(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source, target = root / "loras" / "ink.safetensors", tmp_path / "part"
    context = cw.Context(name="share", settings={}, emit=lambda event: None, fetch=_fetches_nothing)

    artifact = lend(source, target, "hard", cw.Candidate(match=cw.Match.FILENAME, url="share:x"), context)

    assert artifact.size == len(INK)
    assert target.read_bytes() == INK


def _fetches_nothing(candidate: cw.Candidate, target: Path, **more: Any) -> cw.Artifact:
    raise AssertionError("nothing is handed on")


def test_a_digest_beside_the_file_verifies_it(get: Get, root: Path) -> None:
    (root / "loras" / "ink.safetensors.sha256").write_text(f"{sha256(INK)}  ink.safetensors\n")

    (entry,) = get().entries

    assert entry.verification is not None
    assert entry.verification.verdict == "verified"


def test_bytes_that_are_not_those_of_the_digest_beside_them_are_refused(get: Get, root: Path, placed: Path) -> None:
    (root / "loras" / "ink.safetensors.sha256").write_text("0" * 64)

    assert code_of(get()) == "checksum_mismatch"
    assert not placed.exists()


def test_a_heap_of_files_without_folders_is_a_share_too(get: Get, root: Path, placed: Path) -> None:
    (root / "loras" / "ink.safetensors").rename(root / "ink.safetensors")

    get().raise_if_failed()

    assert placed.read_bytes() == INK


def test_a_share_that_is_not_mounted_is_unavailable_and_never_not_found(get: Get, tmp_path: Path) -> None:
    report = get(settings={"root": str(tmp_path / "nowhere")})

    assert code_of(report) == "unavailable"
    assert any("is not there" in (a.failure.message if a.failure else "") for a in report.entries[0].attempts)


def test_what_is_not_on_the_share_is_not_found(get: Get) -> None:
    assert code_of(get("loras/paper.safetensors")) == "not_found"


def test_a_setting_that_is_misspelt_is_told(get: Get) -> None:
    report = get(settings={"link": "symbolic"})

    assert "symbolic" in str(report.entries[0].error)


def test_a_plan_finds_the_model_again_by_its_reference(get: Get, root: Path, placed: Path) -> None:
    context = cw.Context(name="share", settings={"root": str(root)}, emit=lambda event: None, fetch=_fetches_nothing)
    backend = ShareBackend()
    (offer,) = backend.resolve_model(cw.ModelRequest(name="ink.safetensors", folder="loras"), context) or ()

    (again,) = backend.resolve_model(cw.ModelRequest(reference=offer.reference), context) or ()

    assert (again.match, again.url) == (cw.Match.SOURCE_ID, offer.url)
    assert str(root) not in offer.url


@pytest.mark.parametrize("reference", ["share:../secret.safetensors", "share:/etc/x.safetensors", "share:C:\\x.pt"])
def test_a_reference_never_leads_out_of_the_share(root: Path, reference: str) -> None:
    (root.parent / "secret.safetensors").write_bytes(INK)
    context = cw.Context(name="share", settings={"root": str(root)}, emit=lambda event: None, fetch=_fetches_nothing)

    with pytest.raises(cw.BackendError) as caught:
        ShareBackend().resolve_model(cw.ModelRequest(reference=reference), context)

    assert caught.value.code == "unsafe_name"


def test_a_copy_that_is_cancelled_stops(root: Path, tmp_path: Path) -> None:
    source, target = root / "loras" / "ink.safetensors", tmp_path / "part"
    stop = threading.Event()
    context = cw.Context(
        name="share", settings={}, emit=lambda event: stop.set(), fetch=_fetches_nothing, cancelled=stop.is_set
    )

    with pytest.raises(cw.errors.Cancelled):
        lend(source, target, "copy", cw.Candidate(match=cw.Match.FILENAME, url="share:x"), context)

    assert target.stat().st_size < len(INK)


def test_progress_is_told_from_beginning_to_end(get: Get) -> None:
    told: list[cw.events.Event] = []

    get(on_event=told.append)

    (started,) = (one for one in told if isinstance(one, cw.events.DownloadStarted))
    (finished,) = (one for one in told if isinstance(one, cw.events.DownloadFinished))
    assert (started.label, started.size, finished.artifact.size) == ("loras/ink.safetensors", len(INK), len(INK))
