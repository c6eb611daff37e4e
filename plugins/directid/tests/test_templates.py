"""Every model that the official templates declare is answered from the table, without a network."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from comfywatchman_directid import DirectIdBackend
from comfywatchman_directid.sources import identify

import comfywatchman_core as cw
from comfywatchman_core import Candidate, Context, Digest, Match, ModelRequest

templates = pytest.importorskip("comfyui_workflow_templates_json")

# Names that the templates themselves declare at several addresses, none of which a bare name can choose.
SEVERAL_PLACES = 21


def _declarations(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        properties = value.get("properties")
        if isinstance(properties, dict):
            models = properties.get("models")
            yield from models if isinstance(models, list) else []
        for inner in value.values():
            yield from _declarations(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _declarations(inner)


@pytest.fixture(scope="module")
def declared() -> list[dict[str, Any]]:
    root = resources.files(templates)
    found: dict[str, dict[str, Any]] = {}
    pending = [root]
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_dir():
                pending.append(entry)
            elif entry.name.endswith(".json"):
                for model in _declarations(json.loads(entry.read_bytes())):
                    found[json.dumps(model, sort_keys=True)] = model
    return list(found.values())


@pytest.fixture(scope="module")
def directid() -> DirectIdBackend:
    return DirectIdBackend()


def request_of(model: dict[str, Any], *, url: bool) -> ModelRequest:
    digests = (Digest("sha256", model["hash"]),) if model.get("hash_type") == "SHA256" else ()
    return ModelRequest(
        name=model["name"],
        folder=model["directory"],
        url=model["url"] if url else None,
        digests=digests if url else (),
    )


def test_every_declaration_is_answered_surely_and_from_its_own_address(
    declared: list[dict[str, Any]], directid: DirectIdBackend, lend: Callable[..., Context]
) -> None:
    assert len({(model["name"], model["directory"]) for model in declared}) == 354
    slips = []
    for model in declared:
        offer = (directid.resolve_model(request_of(model, url=True), lend()) or ())[0]
        assert offer.match >= Match.SOURCE_ID, model
        read = identify(model["url"])
        assert read is not None
        if identify(offer.reference) != read:
            slips.append(model["name"])

    assert slips == ["moss_image_sft_int8_convrot.safetensors"]  # declared once with another model's address


def test_a_declared_digest_is_a_digest_match(
    declared: list[dict[str, Any]], directid: DirectIdBackend, lend: Callable[..., Context]
) -> None:
    hashed = [model for model in declared if model.get("hash_type") == "SHA256"]

    assert hashed
    for model in hashed:
        offers = directid.resolve_model(request_of(model, url=True), lend()) or ()
        assert offers[0].match is Match.DIGEST, model


def test_every_name_is_answered_without_its_address_too(
    declared: list[dict[str, Any]], directid: DirectIdBackend, lend: Callable[..., Context]
) -> None:
    sure, named = set(), set()
    for model in declared:
        offers: tuple[Candidate, ...] = tuple(directid.resolve_model(request_of(model, url=False), lend()) or ())
        assert offers, model
        assert offers[0].match >= Match.FILENAME, model
        (sure if offers[0].match is Match.SOURCE_ID else named).add((model["name"], model["directory"]))

    assert len(sure | named) == 354
    assert len(named) <= SEVERAL_PLACES


def test_the_whole_program_plans_every_needed_name_with_this_back_end_alone_and_opens_no_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workflows by their own loaders and addresses, as users have them: what is left for a source is to confirm."""

    def refused(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)
    config = cw.Config(models_dir=tmp_path / "models", state_dir=tmp_path / "state")

    with (
        resources.as_file(resources.files(templates)) as root,
        cw.Watchman(config, backends={"directid": DirectIdBackend()}) as watchman,
    ):
        report = watchman.plan(root)

    counted = collections.Counter(entry.status.value for entry in report.entries)
    assert counted == {"planned": 348, "inactive": 6}
    for entry in report.entries:
        if entry.status.value == "planned":
            assert entry.candidate is not None
            assert (entry.backend, entry.candidate.match >= Match.SOURCE_ID) == ("directid", True), entry.request.label
            assert {attempt.backend for attempt in entry.attempts} == {"directid"}
