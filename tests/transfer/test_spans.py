"""The account of a file's bytes never loses one, and never hands one out twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comfywatchman_core.transfer.spans import NO_END, Ledger, Span, merged

TOTAL = 1000


def take(ledger: Ledger, length: int = NO_END) -> Span:
    span = ledger.take(length)
    assert span is not None
    return span


def test_a_file_is_handed_out_from_its_start() -> None:
    ledger = Ledger(TOTAL)

    assert [(span.position, span.end) for span in (take(ledger, 300), take(ledger, 300), take(ledger))] == [
        (0, 300),
        (300, 600),
        (600, TOTAL),
    ]
    assert ledger.take() is None


def test_what_is_there_already_is_not_handed_out() -> None:
    ledger = Ledger(TOTAL, done=[(0, 100), (200, 300)])

    assert [(span.position, span.end) for span in (take(ledger), take(ledger))] == [(100, 200), (300, TOTAL)]
    assert ledger.received == 200


def test_a_span_that_is_given_back_is_handed_out_again_from_where_it_stopped() -> None:
    ledger = Ledger(TOTAL)
    span = take(ledger)
    ledger.advance(span, 400)
    ledger.give_back(span)

    assert take(ledger).position == 400


def test_the_prefix_ends_at_the_first_gap() -> None:
    ledger = Ledger(TOTAL)
    first, second = take(ledger, 500), take(ledger)
    ledger.advance(second, 500)
    assert ledger.prefix == 0
    ledger.advance(first, 100)
    assert ledger.prefix == 100
    ledger.advance(first, 400)
    assert ledger.prefix == TOTAL


def test_the_larger_half_of_the_work_is_stolen_and_nothing_smaller_than_is_worth_it() -> None:
    ledger = Ledger(TOTAL)
    slow, quick = take(ledger, 800), take(ledger)
    ledger.advance(quick, 200)

    stolen = ledger.steal(100)

    assert stolen is not None
    assert (stolen.position, stolen.end, slow.end) == (400, 800, 400)
    assert ledger.steal(201) is None


def test_bytes_beyond_a_shortened_end_are_not_counted() -> None:
    ledger = Ledger(TOTAL)
    span = take(ledger)
    ledger.shorten(span, 100)
    ledger.advance(span, 500)

    assert ledger.received == 100
    assert take(ledger).position == 100


def test_a_full_span_goes_on_with_what_follows_if_nobody_asked_for_that() -> None:
    ledger = Ledger(TOTAL)
    span = take(ledger)
    ledger.shorten(span, 100)
    other = take(ledger, 300)
    ledger.advance(span, 100)
    assert not ledger.extend(span, TOTAL, 50)

    ledger.give_back(other)

    assert ledger.extend(span, TOTAL, 50)
    assert (span.position, span.end) == (100, 150)
    ledger.advance(span, 50)
    assert not ledger.extend(span, 150, 50)
    assert take(ledger).position == 150


def test_a_file_of_unknown_size_is_complete_when_its_end_is_found() -> None:
    ledger = Ledger()
    span = take(ledger)
    ledger.advance(span, 123)
    assert (ledger.received, ledger.finished) == (123, False)

    ledger.learn_total(span.position)

    assert (ledger.total, ledger.received, ledger.finished, ledger.prefix) == (123, 123, True, 123)


def test_a_size_that_is_learnt_on_the_way_ends_what_is_on_its_way() -> None:
    ledger = Ledger(NO_END, done=[(0, 50)])
    span = take(ledger)

    ledger.learn_total(80)

    assert (span.position, span.end, ledger.left, ledger.done) == (50, 80, 30, [(0, 50)])


def test_files_beyond_four_gigabytes_are_counted_exactly() -> None:
    total = (4 << 30) + 12345
    ledger = Ledger(total, done=[(0, 4 << 30)])
    span = take(ledger)

    assert (span.position, ledger.left) == (4 << 30, 12345)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(5, 9), (0, 5)], [(0, 9)]),  # those that touch
        ([(0, 5), (2, 3)], [(0, 5)]),  # one within another
        ([(0, 1), (3, 4)], [(0, 1), (3, 4)]),
        ([(3, 3)], []),  # nothing
    ],
)
def test_ranges_are_put_together(ranges: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    assert merged(ranges) == expected


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**32))
@example(12, 13081)  # a span that was shortened to nothing, and gone on with
def test_whatever_connections_do_every_byte_is_brought_once(total: int, seed: int) -> None:
    chance = random.Random(seed)
    ledger = Ledger(total)
    brought = bytearray(total)
    held: list[Span] = []
    finished: list[Span] = []
    while not ledger.finished:
        step = chance.randrange(7)
        if step == 0 or not held:
            span = ledger.take(chance.randint(1, total)) or ledger.steal(1)
            held += [span] if span else []
        elif step == 1:
            ledger.give_back(held.pop(chance.randrange(len(held))))
        elif step == 2:
            ledger.shorten(chance.choice(held), chance.randint(0, total))
        elif step == 3 and finished:
            span = finished.pop()
            held += [span] if ledger.extend(span, total, chance.randint(1, total)) else []
        else:
            span = chance.choice(held)
            count = min(chance.randint(1, max(1, total // 4)), span.left)
            for place in range(span.position, span.position + count):
                brought[place] += 1
            ledger.advance(span, count)
        finished = [span for span in held if not span.left]
        held = [span for span in held if span.left > 0]
        assert sum(end - start for start, end in ledger.done) == ledger.received == total - ledger.left
        assert all(brought[: ledger.prefix])

    assert set(brought) == {1}
