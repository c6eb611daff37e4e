"""Random kills: a few in every run of the tests, a thousand in ``make soak``."""

from __future__ import annotations

import os
import random

import pytest
from transfer.soak import soak


def test_a_handful_of_kills_at_random_moments_breaks_no_promise() -> None:
    assert soak(6, random.randrange(10**6))["killed"] >= 6


@pytest.mark.slow
def test_a_thousand_kills_at_random_moments_break_no_promise() -> None:
    kills = int(os.environ.get("SOAK_KILLS", "1000"))

    assert soak(kills, random.randrange(10**6))["killed"] >= kills
