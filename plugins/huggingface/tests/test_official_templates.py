"""All model names of the official templates, with and without their addresses, between files that look like them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.hub import HubStandIn
from standins.hub_desk import Desk, taken
from standins.hub_limits import ANONYMOUS
from standins.hub_templates import Declared, content, declarations, fill

from comfywatchman_core import Match, ModelRequest
from comfywatchman_core.testing import sha256

DECLARED = declarations()
CONTRADICTED = ("moss_image_sft_int8_convrot.safetensors", "moss_image_base_int8_convrot.safetensors")
"""A name, and the other file that an address in the templates gives for it by mistake."""


@pytest.fixture(scope="module")
def full_hub() -> Iterator[HubStandIn]:
    with HubStandIn() as hub:
        fill(hub, DECLARED)
        yield hub


@pytest.fixture
def open_desk(full_hub: HubStandIn, tmp_path: Path) -> Desk:
    """The back end as it comes, without a token."""
    full_hub.requests.clear()
    full_hub.limits.reset()
    return Desk(full_hub.url, tmp_path)


def bytes_of(one: Declared) -> str:
    return sha256(content(one.repo, one.path))


def test_the_templates_are_those_that_the_figures_were_counted_in() -> None:
    assert len({one.name for one in DECLARED}) == 353
    assert len({one.repo for one in DECLARED}) == 140
    assert len(DECLARED) == 381


def test_every_declared_address_leads_to_its_file_at_one_request_each(open_desk: Desk, full_hub: HubStandIn) -> None:
    requests = [ModelRequest(name=one.name, folder=one.folder, url=one.url) for one in DECLARED]
    open_desk.backend.prepare(requests, open_desk.context)

    for one, request in zip(DECLARED, requests, strict=True):
        offer = taken(open_desk.backend.resolve_model(request, open_desk.context))
        assert offer is not None, one
        if (one.name, one.path.rpartition("/")[2]) == CONTRADICTED:
            assert (offer.name, offer.match) == (one.name, Match.FILENAME)
        else:
            assert (offer.sha256, offer.match) == (bytes_of(one), Match.SOURCE_ID), one

    # Two addresses end in another name than the one wanted; each of those costs a second look.
    assert [asked.method for asked in full_hub.requests] == ["HEAD"] * (len(DECLARED) + 2)
    assert full_hub.counted("resolvers") <= ANONYMOUS["resolvers"]


def test_without_addresses_a_name_is_found_or_honestly_ambiguous_and_never_wrong(
    open_desk: Desk, full_hub: HubStandIn
) -> None:
    right = defaultdict(set)
    for one in DECLARED:
        if (one.name, one.path.rpartition("/")[2]) != CONTRADICTED:
            right[one.name].add(bytes_of(one))
    requests = [
        ModelRequest(name=name, folder=folder) for name, folder in sorted({(one.name, one.folder) for one in DECLARED})
    ]
    open_desk.backend.prepare(requests, open_desk.context)

    outcomes: Counter[str] = Counter()
    for request in requests:
        offers = open_desk.backend.resolve_model(request, open_desk.context) or ()
        offer = taken(offers)
        name = str(request.name)
        if offer is not None:
            assert offer.sha256 in right[name], f"wrong file for {name}: {offer.reference}"
            outcomes["right"] += 1
        elif any(one.match is Match.FILENAME for one in offers):
            outcomes["ambiguous"] += 1
        else:
            outcomes["proposed"] += bool(offers)
            outcomes["nothing"] += not offers

    # Two names stand for different files at trusted publishers; eighteen lie with owners that nobody vouches for.
    assert outcomes == {"right": 334, "ambiguous": 2, "proposed": 18, "nothing": 0}
    assert full_hub.counted("api") <= 220 < ANONYMOUS["api"]
    assert full_hub.counted("resolvers") <= 20
    assert full_hub.limits.used("api") < ANONYMOUS["api"]


def test_a_second_run_lists_nobody_again(open_desk: Desk, full_hub: HubStandIn) -> None:
    request = ModelRequest(name="clip_vision_h.safetensors", folder="clip_vision")
    open_desk.backend.resolve_model(request, open_desk.context)
    full_hub.requests.clear()
    open_desk.new_run()

    assert taken(open_desk.backend.resolve_model(request, open_desk.context)) is not None
    assert not any(asked.path == "/api/models" for asked in full_hub.requests)
