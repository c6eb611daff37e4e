"""The lines of the live display, at any width, whatever the names are."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from comfywatchman_core import events
from comfywatchman_core.cli.cells import Glyphs, cut_middle, shown
from comfywatchman_core.cli.rows import Rows
from comfywatchman_core.cli.tally import Tally, Transfer
from comfywatchman_core.events import TransferState

UNICODE = Rows(encoding="utf-8", glyphs=Glyphs.of("utf-8"))
ASCII = Rows(encoding="ascii", glyphs=Glyphs.of("ascii"))
NOW = 100.0


def transfer(label: str = "loras/ink.safetensors", **more: object) -> Transfer:
    known = {"source": "huggingface", "size": 40_000_000_000, "received": 12_400_000_000, "rate": 84e6, **more}
    return Transfer(label=label, **known)  # type: ignore[arg-type]


def row(one: Transfer, width: int, rows: Rows = UNICODE) -> str:
    (line,) = rows.transfers([one], width, NOW)
    return line.plain


@given(
    labels=st.lists(st.text(min_size=1, max_size=120), min_size=1, max_size=4),
    width=st.integers(2, 250),
    state=st.sampled_from([None, *TransferState]),
    size=st.none() | st.integers(0, 10**14),
    received=st.integers(0, 10**14),
    rate=st.none() | st.floats(1, 1e12),
    rows=st.sampled_from([UNICODE, ASCII]),
)
def test_a_line_is_never_wider_than_the_terminal(
    labels: list[str],
    width: int,
    state: TransferState | None,
    size: int | None,
    received: int,
    rate: float | None,
    rows: Rows,
) -> None:
    transfers = [
        transfer(label, state=state, size=size, received=received, rate=rate, seconds=12.0, reason="because " * 9)
        for label in labels
    ]

    for line in rows.transfers(transfers, width, NOW):
        assert cell_len(line.plain) < width
        assert not {unicodedata.category(character) for character in line.plain} & {"Cc", "Cf", "Cs", "Co", "Cn"}


@given(label=st.text(min_size=1, max_size=200), width=st.integers(3, 200))
def test_what_became_of_a_file_fits_into_a_line(label: str, width: int) -> None:
    line = UNICODE.settled("✓", label, ("2.8 GB", "verified", "huggingface", "0:33", "84 MB/s"), width)

    assert cell_len(line) < width


def test_a_wide_terminal_shows_everything() -> None:
    line = row(transfer(), 200)

    for part in ("loras/ink.safetensors", "━", "31 %", "12.4/40.0 GB", "84.0 MB/s", "5:29", "huggingface"):
        assert part in line


def test_a_narrow_terminal_keeps_the_end_of_the_name_how_far_it_is_and_how_fast() -> None:
    line = row(transfer("diffusion_models/a_model_with_a_name_of_some_length_fp8_scaled.safetensors"), 40)

    assert line.split()[-4:] == ["31", "%", "84.0", "MB/s"]
    assert line.startswith("diffu")
    assert "safetensors" in line


def test_names_are_cut_in_the_middle_so_that_both_ends_tell_them_apart() -> None:
    cut = cut_middle("loras/a_long_name_that_ends_in_v2.safetensors", 24, "…")

    assert cut.startswith("loras/a")
    assert cut.endswith("v2.safetensors")
    assert cell_len(cut) == 24


def test_signs_that_take_two_cells_are_counted_as_two() -> None:
    assert cell_len(cut_middle("水墨山水画风格模型", 10, "…")) <= 10
    assert cut_middle("水墨", 4, "…") == "水墨"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        # the seconds run down while the display is painted, without another event
        (
            transfer(state=TransferState.WAITING, since=NOW - 3, seconds=15.0, source="civitai"),
            "waiting 12 s for civitai",
        ),
        (transfer(state=TransferState.WAITING, reason="another process is at it"), "waiting: another process is at it"),
        (transfer(state=TransferState.STALLED, since=NOW - 8), "stalled for 8 s at 12.4 GB"),
        (transfer(state=TransferState.RESUMING), "resuming at 12.4 GB"),
        (transfer(state=TransferState.CONNECTING, received=0), "connecting"),
        (transfer(state=TransferState.VERIFYING), "verifying"),
    ],
)
def test_a_state_is_told_in_words_in_the_place_of_the_figures(one: Transfer, said: str) -> None:
    line = row(one, 100)

    assert said in line
    assert "%" not in line
    assert "MB/s" not in line


def test_a_size_that_is_not_known_leaves_its_columns_empty() -> None:
    line = row(transfer(size=None), 120)

    assert "12.4 GB" in line
    assert "%" not in line


def test_a_hostile_name_is_spelled_out_and_does_nothing() -> None:
    line = row(transfer("loras/\x1b]0;gotcha\x07\u202e.safetensors"), 200)

    assert line.isprintable()
    assert "\\u001b]0;gotcha\\u0007\\u202e" in line


def test_what_the_encoding_lacks_is_spelled_in_what_it_has() -> None:
    assert shown("墨", "ascii") == "\\u58a8"
    assert row(transfer("loras/水墨.safetensors"), 100, ASCII).isascii()


def totals(width: int, **tallied: object) -> str:
    tally = Tally(lambda: NOW)
    for name, value in tallied.items():
        setattr(tally, name, value)
    return "\n".join(line.plain for line in UNICODE.total(tally, width, NOW))


def test_the_total_says_what_it_does_not_know_yet() -> None:
    assert "reading workflows: 7" in totals(80, workflows=7)
    assert "0 of 17 files · 12 to search for" in totals(80, missing=17, found=5)
    assert totals(80, missing=0) == ""


def test_a_pause_of_the_search_is_told_with_its_seconds() -> None:
    tally = Tally(lambda: NOW)
    tally(events.Surveyed(needed=3, missing=3))
    tally(
        events.StateChanged(
            label="", state=TransferState.WAITING, seconds=12.0, reason="before asking https://civitai.com again"
        )
    )

    first, _ = UNICODE.total(tally, 80, NOW)
    assert first.plain.endswith("waiting 12 s before asking https://civitai.com again")
    (short, _) = UNICODE.total(tally, 30, NOW)
    assert short.plain.endswith("waiting 12 s")
    (only,) = UNICODE.total(tally, 80, NOW + 13)
    assert "waiting" not in only.plain
