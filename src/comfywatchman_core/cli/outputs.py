"""The files that a command writes besides models: a plan, a page of the run."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from comfywatchman_core.errors import UsageError
from comfywatchman_core.htmlreport import write_page
from comfywatchman_core.planfile import make_plan, write_plan
from comfywatchman_core.report import Report


def check(options: Namespace) -> None:
    """Refuse, before hours of work, what could not be written after them. :raises UsageError: It could not."""
    for option, spelled in (("output", "-o"), ("report", "--report")):
        given = getattr(options, option, None)
        if given is None:
            continue
        path = Path(given)
        if path.is_dir():
            raise UsageError(f"{path} is a directory", hint=f"Pass the path of a file as {spelled}.")
        if not path.parent.is_dir():
            raise UsageError(f"there is no directory {path.parent}", hint=f"Make it, or pass another {spelled}.")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path.parent} cannot be written to", hint=f"Pass another {spelled}.")


def write(options: Namespace, report: Report) -> None:
    """Write what was asked for. :raises UsageError: It cannot be written."""
    if getattr(options, "output", None) is not None and report.interrupted is None:
        write_plan(make_plan(report.entries), Path(options.output))
    if getattr(options, "report", None) is not None:
        write_page(report, Path(options.report))
