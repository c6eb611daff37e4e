"""How many requests each rung of the search costs; the table in the README is this one."""

from __future__ import annotations

from typing import Any

import pytest
from standins.hub import HubStandIn
from standins.hub_desk import Desk

from comfywatchman_core import Digest
from comfywatchman_core.testing import safetensors, sha256

MODEL = safetensors("ae", 3000)
URL = "https://huggingface.co/Comfy-Org/flux/resolve/main/vae/ae.safetensors"
LISTED = 2
"""One list for each publisher of the desk."""


@pytest.fixture(autouse=True)
def neighbourhood(hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": MODEL})
    hub.add_repo("Comfy-Org/gated", {"vae/closed.safetensors": MODEL}, gated="auto")
    hub.add_repo("somebody/dreaming_v8", {"dreaming_v8.safetensors": MODEL})
    hub.add_repo("Comfy-Org/old", {"vae/moved.safetensors": MODEL})
    hub.rename("Comfy-Org/old", "Comfy-Org/new")
    for number in range(9):
        hub.add_repo(f"Kijai/mirror-{number}", {"vae/often.safetensors": MODEL})


@pytest.mark.parametrize(
    ("asked_for", "api", "resolvers"),
    [
        # an address
        ({"url": URL}, 0, 1),
        ({"url": URL, "digests": (Digest("sha256", sha256(MODEL)),)}, 0, 1),
        # an address of a repository that was renamed
        ({"name": "moved.safetensors", "url": URL.replace("flux", "old").replace("ae.", "moved.")}, 0, 2),
        # an address of a gated repository, without a token: its public facts, and mirrors looked for by name
        (
            {"name": "closed.safetensors", "url": URL.replace("flux", "gated").replace("ae.", "closed.")},
            1 + LISTED + 1,
            1,
        ),
        # a name that a publisher has
        ({}, LISTED + 1, 0),
        # a name that nine repositories of a publisher have: three are asked, the others get one cheap request each
        ({"name": "often.safetensors"}, LISTED + 3, 6),
        # a name that only a stranger has
        ({"name": "dreaming_v8.safetensors", "folder": "checkpoints"}, LISTED + 2, 0),
        # a name that nobody has: three searches
        ({"name": "nothing_of_the_sort_at_all.safetensors"}, LISTED + 3, 0),
        # a generic name, and somebody else's reference
        ({"name": "", "folder": "", "reference": "civitai:1"}, 0, 0),
    ],
)
def test_a_rung_costs_what_it_is_said_to_cost(
    desk: Desk, hub: HubStandIn, asked_for: dict[str, Any], api: int, resolvers: int
) -> None:
    desk.resolve(**asked_for)

    assert (hub.counted("api"), hub.counted("resolvers"), hub.counted("pages")) == (api, resolvers, 0)


def test_a_second_name_of_the_run_costs_only_its_own_confirmation(desk: Desk, hub: HubStandIn) -> None:
    desk.resolve()
    before = hub.counted("api")

    desk.resolve("often.safetensors")

    assert hub.counted("api") - before == 3


def test_a_transfer_costs_one_request_and_no_question(desk: Desk, hub: HubStandIn) -> None:
    (offer,) = desk.resolve(url=URL) or []
    hub.requests.clear()

    desk.download(offer)

    assert [(asked.method, "/resolve/" in asked.path) for asked in hub.requests] == [("GET", True)]
