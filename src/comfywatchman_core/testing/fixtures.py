"""Fixtures of pytest for the tests of a back end.

In its ``conftest.py``::

    pytest_plugins = ["comfywatchman_core.testing.fixtures"]

Nothing is loaded by itself: tools that merely have the core installed do not pay for it in their test runs.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .faulty import Faulty, faulty
from .network import loopback_only


@pytest.fixture
def faulty_host() -> Iterator[Faulty]:
    """A storage host that breaks the rules of HTTP as its script says: cuts, resets, stalls, wrong lengths."""
    with faulty() as host:
        yield host


@pytest.fixture
def no_network() -> Iterator[list[str]]:
    """Refuse everything but loopback while a test runs, and fail the test if something was refused.

    For every test of a suite: ``pytestmark = pytest.mark.usefixtures("no_network")``, or an autouse fixture of
    your own that asks for it.
    """
    with loopback_only() as refused:
        yield refused
    assert refused == [], "this test tried to leave the machine"
