"""The page on plan files: what exists is described, and the plan that is shown is one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from comfywatchman_core.planfile import PlannedFile, read_plan

from .pages import fields, first_words, page


def shown() -> str:
    (text,) = re.findall(r"^```json\n(.*?)^```$", page("plan.md"), re.MULTILINE | re.DOTALL)
    return str(text)


def test_every_member_of_a_planned_file_is_described_and_no_other() -> None:
    assert set(first_words(page("plan.md"))) == fields(PlannedFile)


def test_the_plan_that_is_shown_is_read_and_written_back_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "models.lock.json"
    file.write_text(shown())

    assert json.loads(read_plan(file).text()) == json.loads(shown())
    assert set(json.loads(shown())["models"][0]) == fields(PlannedFile)
