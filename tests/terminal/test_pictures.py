"""What a user sees in a terminal: while files arrive, after, when some fail, and when it is stopped."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import pytest

if os.name == "nt":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

from standins.faulty import Ending, Faulty, Scene, faulty

from comfywatchman_core.testing import safetensors

from .screen import Terminal, terminal

LONG = "flux1-dev-kontext_fp8_scaled_with_a_name_that_goes_on_for_longer_than_most_terminals_are_wide.safetensors"
WIDE = "水墨山水画风格模型_高清版本.safetensors"
SIZE = 600_000


@pytest.fixture
def host() -> Iterator[Faulty]:
    with faulty() as running:
        yield running


@pytest.fixture
def shown(host: Faulty, tmp_path: Path) -> Shown:
    return Shown(host, tmp_path)


class Shown:
    """Runs the command for files of the host, each served by a scene."""

    def __init__(self, host: Faulty, place: Path) -> None:
        self.models = place / "models"
        self._host = host

    def __call__(
        self, files: dict[str, Scene], *arguments: str, columns: int = 80, rows: int = 24, **environ: str
    ) -> AbstractContextManager[Terminal]:
        addresses = [self.put(name, scene) for name, scene in files.items()]
        command = [sys.executable, "-m", "comfywatchman_core", "get", *addresses]
        command += ["--models-dir", str(self.models), "--folder", "loras", "--no-plugins", "--no-config", *arguments]
        return terminal(command, columns=columns, rows=rows, environ=environ)

    def put(self, name: str, scene: Scene, size: int = SIZE) -> str:
        path = f"/{quote(name)}"
        self._host.files[path] = safetensors(name, size)
        self._host.play(path, scene)
        return self._host.url + path


def half(drip: float = 0.05) -> Scene:
    """The first half of the file, and then hardly anything; or nothing at all, on an open connection."""
    sends = SIZE // 2 + 200
    return Scene(ranges=False, pace=SIZE, sends=sends, drip=drip, then=Ending.SILENCE, headers={"Accept-Ranges": None})


def rows_of(lines: Sequence[str], name: str) -> list[str]:
    """The lines of the picture that belong to the file of that name, however it was cut."""
    return [line for line in lines if line.startswith("loras/") and line.split()[0].endswith(name[-13:])]


def under_way(lines: Sequence[str]) -> bool:
    return all(len(rows_of(lines, name)) == 1 and "%" in rows_of(lines, name)[0] for name in (LONG, WIDE, "ink_v2.sft"))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_while_files_arrive_each_has_one_line_and_the_run_has_one_and_stopping_leaves_what_is_kept(
    shown: Shown, columns: int
) -> None:
    with shown({name: half() for name in (LONG, WIDE, "ink_v2.sft")}, columns=columns) as screen:
        during = screen.wait_for(lambda lines: under_way(lines) and bool(re.search("3 files.*50 %", lines[-1])))
        screen.press(b"\x03")
        code = screen.wait()

    assert len(during) == 4, "three files and the total, and no line that was broken"
    total = during[-1]
    assert re.search(r"\b0(/| of )3 files", total)
    assert "50 %" in total
    if columns >= 80:
        assert "300/600 kB" in rows_of(during, WIDE)[0]
        assert rows_of(during, WIDE)[0].endswith("127.0.0.1")
        assert re.search("90[01] kB of 1.8 MB", total)
    if columns == 200:
        assert f"loras/{LONG}" in rows_of(during, LONG)[0]
        assert f"loras/{WIDE}" in rows_of(during, WIDE)[0]
        assert "━" in rows_of(during, WIDE)[0]
    else:
        assert "…" in rows_of(during, LONG)[0]

    assert code == 130
    assert screen.is_sane
    assert not any(re.search(r"\d %|files ·|stopping", line) for line in screen.history), (
        "nothing of the display is left"
    )
    assert "stopped at 300 kB of 600 kB, which are kept" in screen.prose
    kept = "kept for the next run: 90[0-9] kB of 1.8 MB, in 3 files that are not complete"
    assert re.search(kept, screen.prose)
    assert f"stopped by Ctrl-C; to go on: comfywatchman get {shown.put(LONG, Scene())}" in screen.text
    assert f"--models-dir {shown.models} --folder loras" in screen.text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_afterwards_every_file_stands_there_with_its_whole_path(shown: Shown, columns: int) -> None:
    with shown({LONG: Scene(), WIDE: Scene()}, columns=columns) as screen:
        code = screen.wait()

    assert code == 0
    assert screen.is_sane
    assert str(shown.models / "loras" / LONG) in screen.text
    assert len([line for line in screen.history if line.startswith("✓ loras/")]) == 2, "told as they came, each once"
    assert len([line for line in screen.history if line.startswith("downloaded loras/")]) == 2
    assert "2 downloaded" in " ".join(screen.history)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_failed_stands_last_with_what_to_do_and_the_command_to_copy(shown: Shown, columns: int) -> None:
    address = f"{shown.put('wrong.safetensors', Scene())}#sha256={'0' * 64}"
    with shown({"good.safetensors": Scene()}, address, columns=columns) as screen:
        code = screen.wait()

    assert code == 7
    assert screen.is_sane
    told = [line for line in screen.history if line.startswith(("✗ ", "downloaded ", "failed "))]
    assert [line.split()[0] for line in told] == ["✗", "downloaded", "failed"]
    assert all(len(line) < columns for line in told)
    text = screen.text
    assert re.search(r"expected\s+0{64}", text)
    command = re.search(r"`(comfywatchman get [^`]+ --accept-digest [0-9a-f]{64})`", text)
    assert command is not None
    assert f"--models-dir {shown.models} --folder loras" in command[1]


def test_a_terminal_that_becomes_narrow_and_wide_again_shows_every_file_once(shown: Shown) -> None:
    names = (LONG, WIDE, "ink_v2.sft")
    with shown({name: half() for name in names}, columns=120) as screen:
        screen.wait_for(under_way)
        for columns in (60, 40, 100):
            screen.resize(columns, 24)
            lines = screen.wait_for(
                lambda lines, columns=columns: under_way(lines) and len(lines) == 4 and _fills(lines, columns)
            )
            assert all(len(rows_of(lines, name)) == 1 for name in names)


def _fills(lines: Sequence[str], columns: int) -> bool:
    """The picture is laid out for this width: there is a source from 80 columns on, the time left from 60."""
    has_time = re.search(r"B/s +\d", lines[0]) is not None
    return ("127.0.0.1" in lines[0], has_time) == (columns >= 80, columns >= 60)


def test_a_stalled_file_says_so(shown: Shown) -> None:
    with shown({"ink_v2.sft": half(drip=0)}) as screen:
        (row,) = rows_of(screen.wait_for(lambda lines: any("stalled" in line for line in lines)), "ink_v2.sft")

    assert re.search(r"stalled for \d s at 300 kB", row)


def test_a_file_that_waits_for_its_source_counts_the_seconds(shown: Shown) -> None:
    busy = Scene(status=429, headers={"Retry-After": "30"}, body=b"later")
    with shown({"ink_v2.sft": busy}) as screen:
        before = screen.wait_for(lambda lines: any("waiting" in line for line in lines))
        first = _seconds(before)
        screen.wait_for(lambda lines: 0 < _seconds(lines) < first)

    assert "127.0.0.1" in rows_of(before, "ink_v2.sft")[0]


def _seconds(lines: Sequence[str]) -> int:
    found = re.search(r"waiting (\d+) s", "\n".join(lines))
    return int(found[1]) if found else 0


def test_more_files_than_the_terminal_has_lines_are_counted(shown: Shown) -> None:
    names = [f"ink_{number}.sft" for number in range(9)]
    with shown({name: half() for name in names}, "-j", "9", rows=10) as screen:
        lines = screen.wait_for(lambda lines: "… 4 more" in lines)

    assert len(lines) == 7, "five files, how many more there are, and the total"


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"CI": "true"}], ids=["dumb terminal", "log of a CI"])
def test_where_nothing_can_be_repainted_there_are_lines_and_no_control_character(
    shown: Shown, environ: dict[str, str]
) -> None:
    with shown({LONG: Scene()}, **environ) as screen:
        assert screen.wait() == 0

    assert b"\x1b" not in screen.raw
    assert f"downloading loras/{LONG} from 127.0.0.1, 600 kB" in screen.text
    assert f"done loras/{LONG}" in screen.text


def test_no_color_is_obeyed_by_the_display_and_the_results(shown: Shown) -> None:
    with shown({"ink_v2.sft": Scene()}, NO_COLOR="1") as screen:
        assert screen.wait() == 0

    assert re.findall(rb"\x1b\[[0-9;]*m", screen.raw) == []
    assert "✓ loras/ink_v2.sft" in screen.text


def test_colour_shows_what_is_well_and_what_is_not(shown: Shown) -> None:
    with shown({"ink_v2.sft": Scene(), "gone.safetensors": Scene(status=404, body=b"")}) as screen:
        assert screen.wait() == 4

    assert b"\x1b[32mdownloaded" in screen.raw
    assert b"\x1b[31mfailed" in screen.raw


def test_no_progress_prints_lines_in_a_terminal_too(shown: Shown) -> None:
    with shown({"ink_v2.sft": Scene()}, "--no-progress") as screen:
        assert screen.wait() == 0

    assert "downloading loras/ink_v2.sft" in screen.text
    assert "✓" not in screen.text


def test_quiet_shows_nothing_when_all_is_well(shown: Shown) -> None:
    with shown({"ink_v2.sft": Scene()}, "-q") as screen:
        assert screen.wait() == 0

    assert screen.raw == b""


def test_a_terminal_without_unicode_gets_signs_that_it_has(shown: Shown) -> None:
    with shown({LONG: half()}, columns=60, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0") as screen:
        lines = screen.wait_for(lambda lines: any("50 %" in line for line in lines))

    assert screen.raw.isascii()
    assert any("..." in line for line in lines)
    assert all(len(line) < 60 for line in lines)
