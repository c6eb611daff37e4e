"""The calculator of the cost model, and that the page shows what it prints."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from attrs import evolve

ROOT = Path(__file__).parents[1]


@pytest.fixture
def calculator() -> ModuleType:
    found = importlib.util.spec_from_file_location("studio_cost", ROOT / "examples" / "studio_cost.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def studio(calculator: ModuleType, **changes: float) -> object:
    """Ten machines, a hundred bytes, a byte a second to the internet, and no other limit."""
    wide = dict.fromkeys(("link", "mirror", "source"), 1e9)
    usual = {"machines": 10, "size": 100, "largest": 1, "files": 100, "internet": 1, "jobs": 3, "overhead": 0}
    return calculator.Studio(**{**usual, **wide, **changes})


def test_only_machines_that_are_by_themselves_ask_the_internet_for_everything_each(calculator: ModuleType) -> None:
    alone, *others = calculator.costs(studio(calculator))

    assert alone.internet == 1000
    assert [way.internet for way in others] == [100, 100, 100]
    assert [way.local for way in others] == [1000, 100, 1100]


def test_where_the_internet_is_narrow_once_takes_a_tenth_of_ten_times(calculator: ModuleType) -> None:
    seconds = [round(way.seconds) for way in calculator.costs(studio(calculator))]

    assert seconds == [1000, 100, 100, 100]


@pytest.mark.parametrize(
    ("changes", "one", "ten"),
    [
        ({"internet": 1e9, "link": 1}, 100, 10),  # each machine's own line is what is narrow
        ({"internet": 1e9, "source": 1, "jobs": 5}, 20, 20),  # sources are asked for five at a time, by whomever
        ({"internet": 1e9, "link": 1, "largest": 50}, 100, 50),  # nobody is done before the largest file is
        ({"overhead": 1}, 200, 110),  # files are handed out to all
    ],
)
def test_a_fleet_is_quicker_where_its_machines_are_what_is_slow(
    calculator: ModuleType, changes: dict[str, float], one: float, ten: float
) -> None:
    here = studio(calculator, **changes)

    assert round(calculator.fetching(here, workers=1)) == one
    assert round(calculator.fetching(here, workers=10)) == ten


def test_twice_the_machines_take_twice_as_long_from_a_narrow_mirror(calculator: ModuleType) -> None:
    here = studio(calculator, internet=1e9, mirror=10)

    times = [next(iter(list(calculator.costs(one))[1:])).seconds for one in (here, evolve(here, machines=20))]

    assert [round(one) for one in times] == [110, 210]


@pytest.mark.parametrize(("text", "value"), [("2T", 2e12), ("500m", 5e8), ("1000", 1000), ("1.5G", 1.5e9)])
def test_amounts_are_read_as_they_are_sold(calculator: ModuleType, text: str, value: float) -> None:
    assert calculator.amount(text) == value


@pytest.mark.parametrize("text", ["", "x", "5X", "GB"])
def test_what_is_no_amount_is_refused(calculator: ModuleType, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        calculator.amount(text)


def test_the_page_shows_what_the_calculator_prints(calculator: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    calculator.main([])

    assert capsys.readouterr().out in (ROOT / "docs" / "explanation" / "cost-model.md").read_text("utf-8")
