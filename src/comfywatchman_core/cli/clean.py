"""``comfywatchman clean``: list and remove what unfinished and refused downloads left."""

from __future__ import annotations

from argparse import Namespace

from comfywatchman_core.errors import BackendError
from comfywatchman_core.folders import ModelFolders
from comfywatchman_core.jsonlines import SCHEMA, closing_line
from comfywatchman_core.leftovers import Leftover, leftovers, remove
from comfywatchman_core.report import EXIT_CODE_OF, ExitCode
from comfywatchman_core.units import size_text

from .results import write_line
from .terminal import complain


def found_below(folders: ModelFolders) -> list[Leftover]:
    """Every leftover below the model folders, each once, although roots lie within each other."""
    places = {one.path: one for root in folders.all_roots() if root.is_dir() for one in leftovers(root)}
    return [places[path] for path in sorted(places)]


def clean(folders: ModelFolders, options: Namespace) -> int:
    """Remove leftovers that no living process works on, or only list them; returns the exit code."""
    from .listening import write_json

    code = ExitCode.OK
    freed = count = 0
    for one in found_below(folders):
        done = "busy" if one.busy else "kept" if options.dry_run else "removed"
        if done == "removed":
            try:
                remove(one)
            except BackendError as error:
                complain(str(error), error.hint)
                done, code = "kept", EXIT_CODE_OF[error.code]
        if done == "removed":
            freed, count = freed + one.size, count + 1
        if options.json:
            line = {"event": "leftover", "path": str(one.path), "kind": one.kind.value, "size": one.size, "done": done}
            write_json({"schema": SCHEMA, **line})
        elif not options.quiet:
            write_line(f"{done:<8} {one.kind.value:<10} {size_text(one.size):>8}  {one.path}")
    if options.json:
        write_json(closing_line(code))
    elif not options.quiet:
        write_line(f"{count} removed, {size_text(freed)} freed")
    return int(code)
