"""The engine's decisions, each without network and with the clock in hand."""

from __future__ import annotations

import threading

import pytest

from comfywatchman_core.errors import BackendError, ErrorCode
from comfywatchman_core.events import BytesReceived, Event, StateChanged, TransferState
from comfywatchman_core.transfer.pace import Pace
from comfywatchman_core.transfer.patience import Patience
from comfywatchman_core.transfer.progress import Progress
from comfywatchman_core.transfer.ramp import Ramp
from comfywatchman_core.transfer.slots import Slots
from comfywatchman_core.transport import TransportError

MIB = 1 << 20


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def status(code: int, retry_after: float | None = None) -> BackendError:
    return BackendError("no", http_status=code, retry_after=retry_after)


class TestPatience:
    def test_pauses_grow_and_are_drawn_at_random_from_their_whole_length(self) -> None:
        longest = Patience(8, draw=lambda: 1.0)
        shortest = Patience(8, draw=lambda: 0.0)

        assert [longest.pause_after(status(503)) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert shortest.pause_after(status(503)) == 0

    def test_the_source_is_left_alone_for_as_long_as_it_asks(self) -> None:
        patience = Patience(3, draw=lambda: 0.5)

        assert patience.pause_after(status(429, retry_after=7)) == 7
        assert patience.pause_after(status(429, retry_after=0)) > 0

    def test_who_asks_to_be_left_alone_for_very_long_is_given_up(self) -> None:
        with pytest.raises(BackendError):
            Patience(3).pause_after(status(429, retry_after=99999))

    @pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451])
    def test_a_refusal_at_the_start_is_final(self, code: int) -> None:
        with pytest.raises(BackendError):
            Patience(3).pause_after(status(code))

    def test_a_certificate_is_never_asked_for_twice(self) -> None:
        with pytest.raises(TransportError):
            Patience(3).pause_after(TransportError("certificate", retryable=False))

    @pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
    def test_a_source_that_refuses_in_the_middle_of_a_file_is_asked_again(self, code: int) -> None:
        patience = Patience(1, draw=lambda: 0.5)
        patience.progress(1 * MIB)

        assert patience.pause_after(status(code)) == 0.5
        with pytest.raises(BackendError):
            patience.pause_after(status(code))

    def test_a_page_in_the_place_of_the_rest_of_a_file_is_asked_past(self) -> None:
        page = BackendError("a page", code=ErrorCode.NOT_A_MODEL, http_status=200)
        patience = Patience(1, draw=lambda: 0.5)
        with pytest.raises(BackendError):
            patience.pause_after(page)

        patience.progress(1 * MIB)

        assert patience.pause_after(page) == 0.5

    def test_only_attempts_in_a_row_that_brought_nothing_count(self) -> None:
        patience = Patience(2)
        for _ in range(10):
            patience.pause_after(TransportError("cut"))
            patience.progress(1 * MIB)
        patience.pause_after(TransportError("cut"))
        patience.pause_after(TransportError("cut"))

        with pytest.raises(TransportError):
            patience.pause_after(TransportError("cut"))

    def test_crumbs_do_not_keep_a_transfer_alive_for_ever(self) -> None:
        patience = Patience(2)

        def one_byte_at_a_time() -> None:
            for _ in range(1000):
                patience.progress(1)
                patience.pause_after(TransportError("cut"))

        with pytest.raises(TransportError):
            one_byte_at_a_time()


class Line:
    """A line, and a server behind it, in place of a download that the ramp steers."""

    def __init__(
        self,
        *,
        each: float,
        together: float = float("inf"),
        size: int = 1 << 30,
        most: int = 8,
        waiting: float = 0.9,
    ) -> None:
        self.clock = Clock()
        self.waiting = waiting
        self.ramp = Ramp(most, clock=self.clock)
        self.each, self.together = each, together
        self.received, self.size = 0.0, size

    def run(self, seconds: float, latency: float = 0.001) -> list[int]:
        """The number of connections at every twentieth of a second."""
        numbers = []
        for _ in range(int(seconds * 20)):
            self.clock.now += 0.05
            rate = min(self.ramp.target * self.each, self.together)
            self.received = min(self.size, self.received + rate * 0.05)
            left = self.size - int(self.received)
            numbers.append(
                self.ramp.look(
                    flowing=self.ramp.target,
                    received=int(self.received),
                    left=left,
                    latency=latency,
                    waiting=self.waiting,
                )
            )
        return numbers


class TestRamp:
    def test_a_server_that_limits_each_connection_is_asked_over_all_that_are_allowed_within_half_a_second(
        self,
    ) -> None:
        assert Line(each=20 * MIB).run(0.5)[-1] == 8

    def test_a_line_that_one_connection_fills_keeps_one(self) -> None:
        line = Line(each=100 * MIB, together=100 * MIB, size=20 << 30)

        assert line.run(8).count(1) > 8 * 20 * 0.9

    def test_what_would_be_over_in_a_moment_is_left_to_one(self) -> None:
        assert set(Line(each=1000 * MIB, together=1000 * MIB).run(1)) == {1}

    def test_a_connection_that_this_machine_hardly_keeps_up_with_stays_alone(self) -> None:
        assert set(Line(each=100 * MIB, size=20 << 30, waiting=0.2).run(2)) == {1}

    def test_four_are_enough_where_eight_bring_no_more(self) -> None:
        line = Line(each=25 * MIB, together=100 * MIB, size=4 << 30)

        assert line.run(3)[-1] == 4

    def test_no_more_are_tried_for_a_while_where_the_server_turned_one_away(self) -> None:
        line = Line(each=20 * MIB, size=20 << 30)
        line.run(0.5)
        line.ramp.refuse(3)

        assert set(line.run(9)) == {3}
        assert line.run(3)[-1] == 8

    def test_a_server_that_keeps_turning_them_away_is_tried_less_and_less(self) -> None:
        line = Line(each=20 * MIB, size=100 << 30)
        line.run(0.5)
        tries = 0
        for _ in range(300):
            line.ramp.refuse(3)
            tries += line.run(1)[-1] > 3

        assert tries <= 5

    def test_over_a_long_way_several_get_up_to_speed_together(self) -> None:
        line = Line(each=20 * MIB)

        assert line.run(0.2, latency=0.2) == [8, 8, 8, 8]

    def test_over_a_long_way_more_than_eight_have_to_prove_their_worth(self) -> None:
        line = Line(each=20 * MIB, most=16)

        assert (line.run(0.2, latency=0.2)[-1], line.run(1.0, latency=0.2)[-1]) == (8, 16)

    def test_over_a_long_way_a_small_file_comes_alone(self) -> None:
        assert set(Line(each=20 * MIB, size=8 * MIB).run(0.2, latency=0.2)) == {1}

    def test_a_number_is_not_judged_before_bytes_can_have_come(self) -> None:
        line = Line(each=20 * MIB, most=16)

        assert set(line.run(0.35, latency=0.2)) == {8}


class TestSlots:
    def test_all_files_together_get_no_more_than_one_host_is_asked_for(self) -> None:
        slots = Slots(3)
        slots.first("a", lambda: None)

        assert [slots.another("a"), slots.another("a"), slots.another("a")] == [True, True, False]
        assert slots.another("b")

    def test_a_file_that_waits_for_its_first_is_noticed_and_gets_the_next(self) -> None:
        slots = Slots(1)
        slots.first("a", lambda: None)
        begun = threading.Event()
        waiter = threading.Thread(target=lambda: (slots.first("a", lambda: None), begun.set()), daemon=True)
        waiter.start()
        while not slots.is_wanted("a"):
            pass

        slots.give_back("a")

        assert begun.wait(10)
        assert not slots.another("a")
        assert not slots.is_wanted("a")

    def test_waiting_for_a_place_can_be_stopped(self) -> None:
        slots = Slots(1)
        slots.first("a", lambda: None)

        def stop() -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            slots.first("a", stop)
        assert not slots.is_wanted("a")


class TestPace:
    def test_all_transfers_together_keep_to_one_limit(self) -> None:
        clock = Clock()
        pace = Pace(1000, clock=clock)
        sent = 0
        while clock.now < 1010:
            waits = [pace.take(pace.portion(MIB)) for _ in range(3)]
            sent += 3 * pace.portion(MIB)
            clock.now += max(waits)

        assert sent == pytest.approx(10 * 1000, rel=0.35)

    def test_a_pause_is_not_made_up_for_by_a_rush(self) -> None:
        clock = Clock()
        pace = Pace(1000, clock=clock)
        clock.now += 3600

        assert pace.take(1000) > 0.8

    def test_without_a_limit_nobody_waits(self) -> None:
        assert Pace(0).take(1 << 40) == 0
        assert Pace(0).portion(MIB) == MIB


class TestProgress:
    def told(self, clock: Clock) -> tuple[Progress, list[Event]]:
        events: list[Event] = []
        return Progress(events.append, clock=clock), events

    def test_a_second_has_ten_events_at_most(self) -> None:
        clock = Clock()
        progress, events = self.told(clock)
        for count in range(10_000):
            clock.now += 0.001
            progress.bytes(count, 10_000, 1)

        assert 95 <= len(events) <= 101

    def test_the_rate_is_that_of_the_last_seconds(self) -> None:
        clock = Clock()
        progress, events = self.told(clock)
        received = 0
        for rate in (1000, 100):
            for _ in range(100):
                clock.now += 0.1
                received += rate // 10
                progress.bytes(received, None, 1)

        last = events[-1]
        assert isinstance(last, BytesReceived)
        assert last.rate == pytest.approx(100, rel=0.05)

    def test_a_transfer_that_stands_still_says_so_and_that_it_goes_on(self) -> None:
        clock = Clock()
        progress, events = self.told(clock)
        for received in (1, 1, 1, 2):
            clock.now += 2
            progress.bytes(received, 10, 1)

        kinds = [event.state if isinstance(event, StateChanged) else event.received for event in events]  # type: ignore[union-attr]
        assert kinds == [1, TransferState.STALLED, 2]

    def test_a_long_wait_is_told_again_and_again_but_not_all_the_time(self) -> None:
        clock = Clock()
        progress, events = self.told(clock)
        for second in range(30):
            clock.now += 1
            progress.state(TransferState.WAITING, 30 - second, "asked to")

        assert 5 <= len(events) <= 7

    def test_the_last_byte_is_always_told(self) -> None:
        progress, events = self.told(Clock())
        progress.bytes(5, 10, 1)
        progress.bytes(10, 10, 1, last=True)

        assert [event.received for event in events if isinstance(event, BytesReceived)] == [5, 10]
