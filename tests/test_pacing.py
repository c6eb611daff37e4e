"""When a host may be asked again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from email.utils import format_datetime

import pytest

from comfywatchman_core.errors import Cancelled
from comfywatchman_core.pacing import HostGates, backoff, retry_after

NOW = 1_800_000_000.0


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def gates(clock: Clock, *, delay: float = 0.0) -> HostGates:
    return HostGates(delay=delay, clock=clock, sleep=clock.sleep)


def date(offset: float) -> str:
    from datetime import UTC, datetime

    return format_datetime(datetime.fromtimestamp(NOW + offset, UTC), usegmt=True)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("120", 120.0),
            (" 2 ", 2.0),
            ("1.5", 1.5),
            ("0", 0.0),
            ("-5", 0.0),
            ("99999", 99999.0),
            (date(90), 90.0),
            (date(-90), 0.0),  # a date that is over
            ("", None),
            ("soon", None),
            ("nan", None),
            ("inf", None),
            ("1e999", None),
            ("Fri, 99 Foo 2099 00:00:00 GMT", None),
        ],
    )
    def test_it_is_read_in_seconds_and_as_a_date(self, text: str, seconds: float | None) -> None:
        assert retry_after({"retry-after": text}, now=lambda: NOW) == seconds

    def test_without_the_header_nothing_is_known(self) -> None:
        assert retry_after({}) is None


class TestBackoff:
    def test_the_bound_doubles_with_each_attempt_up_to_the_longest(self) -> None:
        bounds = [backoff(attempt, draw=lambda: 1.0) for attempt in range(8)]

        assert bounds == [1, 2, 4, 8, 16, 32, 60, 60]

    def test_the_wait_is_anywhere_between_nothing_and_the_bound(self) -> None:
        assert backoff(3, draw=lambda: 0.0) == 0.0
        assert {backoff(3) <= 8.0 for _ in range(100)} == {True}

    def test_a_very_late_attempt_is_no_overflow(self) -> None:
        assert backoff(10**9, draw=lambda: 1.0) == 60.0


class TestGates:
    def test_an_open_gate_lets_through_at_once(self) -> None:
        clock = Clock()

        gates(clock).pass_through("https://a:443")

        assert clock.now == 100.0

    def test_a_closed_gate_holds_everybody_who_asks_that_origin_and_nobody_else(self) -> None:
        clock = Clock()
        shut = gates(clock)
        shut.close("https://a:443", 7.0)

        shut.pass_through("https://b:443")
        assert clock.now == 100.0

        shut.pass_through("https://a:443")
        assert clock.now >= 107.0

    def test_a_second_word_shortens_no_wait(self) -> None:
        shut = gates(Clock())
        shut.close("a", 9.0)
        shut.close("a", 2.0)

        assert shut.remaining("a") == pytest.approx(9.0)
        assert shut.remaining("b") == 0.0

    def test_a_delay_parts_the_requests_to_one_origin(self) -> None:
        clock = Clock()
        spaced = gates(clock, delay=3.0)
        for _ in range(3):
            spaced.pass_through("a")

        assert clock.now == pytest.approx(106.0, abs=0.3)

    def test_a_delay_gives_each_of_many_workers_its_own_turn(self) -> None:
        spaced = HostGates(delay=0.02)
        turns: list[float] = []

        def work() -> None:
            import time

            spaced.pass_through("a")
            turns.append(time.monotonic())

        workers = [threading.Thread(target=work) for _ in range(5)]
        for one in workers:
            one.start()
        for one in workers:
            one.join(10)

        turns.sort()
        assert len(turns) == 5
        assert turns[-1] - turns[0] >= 0.07

    @pytest.mark.parametrize(
        "wait", [lambda shut, stop: shut.pass_through("a", stop), lambda shut, stop: shut.sleep(50.0, stop)]
    )
    def test_whoever_is_told_to_stop_waits_no_longer(
        self, wait: Callable[[HostGates, Callable[[], bool]], None]
    ) -> None:
        clock = Clock()
        shut = gates(clock)
        shut.close("a", 50.0)

        with pytest.raises(Cancelled):
            wait(shut, lambda: clock.now >= 101.0)

        assert clock.now < 102.0
