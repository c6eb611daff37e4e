"""Print the oldest version of everything that the packages say they work with, as constraints for pip."""

import re
import sys
import tomllib
from pathlib import Path

FLOOR = re.compile(r"([A-Za-z0-9._-]+)[^>;]*>=\s*([0-9][0-9a-z.]*)")

for file in [Path("pyproject.toml"), *sorted(Path("plugins").glob("*/pyproject.toml"))]:
    project = tomllib.loads(file.read_text("utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        found = FLOOR.match(requirement)
        if found and not found[1].startswith("comfywatchman"):
            sys.stdout.write(f"{found[1]}=={found[2]}\n")
