"""How fast workflows are read: the official templates against bare ``json.loads`` of the same bytes, and 10,000 files.

    python benchmarks/scan.py

Times are of the processor, the best of several rounds: other work on the machine only ever adds to them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from comfywatchman_core.containers import parsing
from comfywatchman_core.errors import WorkflowError
from comfywatchman_core.folders import ModelFolders
from comfywatchman_core.inventory import Inventory
from comfywatchman_core.workflow import find_workflows, merge_requests, read_workflow, read_workflows

ROUNDS = 7
FILES = 10_000
TARGET = 2.5


def best(work: Callable[[Any], object], things: Iterable[Any], rounds: int = ROUNDS) -> float:
    """Seconds of processor time to do *work* with each of *things*, keeping no result; the fastest of *rounds* runs."""
    things = list(things)
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for one in things:
            work(one)
        times.append(time.process_time() - start)
    return min(times)


def templates() -> list[Path]:
    """The official template workflows, without the catalogues beside them."""
    import comfyui_workflow_templates_json as package

    listed = (Path(str(found)) for found in resources.files(package).joinpath("templates").iterdir())
    return sorted(
        path for path in listed if path.suffix == ".json" and "nodes" in (json.loads(path.read_bytes()) or {})
    )


def peak() -> int:
    """Megabytes of memory that this process has used at most; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) // 1024


def one_by_one(paths: list[Path]) -> None:
    """The official templates, file by file."""
    texts = [path.read_bytes() for path in paths]
    size = sum(len(text) for text in texts) / 1e6
    bare = best(json.loads, texts)
    version = metadata.version("comfyui-workflow-templates-json")
    print(f"{len(paths)} templates ({version}), {size:.1f} MB; json.loads alone {bare:.3f} s")
    for name, parser in (("with orjson", parsing._fast_parser()), ("without", None)):
        if name == "with orjson" and parser is None:
            continue
        parsing._fast_parser = lambda parser=parser: parser  # type: ignore[assignment]
        took = best(read_workflow, paths)
        print(
            f"  read_workflow {name:12} {took:.3f} s = {took / bare:.2f} x json.loads (target {TARGET}), "
            f"{len(paths) / took:.0f} files/s, {size / took:.0f} MB/s"
        )


def in_one_call(paths: list[Path]) -> None:
    """A directory of thousands, some of them broken: found, read, merged and looked up."""
    with tempfile.TemporaryDirectory() as directory:
        for number in range(FILES):
            place = Path(directory, f"{number % 100:02}")
            place.mkdir(exist_ok=True)
            source = paths[number % len(paths)]
            if number % 1000 == 999:
                (place / f"{number}.json").write_text("{broken")
            elif number < len(paths):
                (place / f"{number}.json").write_bytes(source.read_bytes())
            else:
                first = number % len(paths)
                os.link(Path(directory, f"{first % 100:02}", f"{first}.json"), place / f"{number}.json")
        before, start, wall = peak(), time.process_time(), time.perf_counter()
        broken, requests = 0, []
        for _, read in read_workflows(find_workflows(Path(directory))):
            if isinstance(read, WorkflowError):
                broken += 1
            else:
                requests += read.requests
        merged = merge_requests(requests)
        inventory = Inventory(ModelFolders.for_models_dir(Path(directory, "models")))
        inventory.prepare(merged)
        for request in merged:
            inventory.locate(request)
        took, waited = time.process_time() - start, time.perf_counter() - wall
        print(
            f"{FILES} files in one call: {took:.1f} s of processor time ({waited:.1f} s on the clock), "
            f"{len(requests)} requests for {len(merged)} files, {broken} could not be read; "
            f"peak memory {peak()} MB, {before} MB before"
        )


if __name__ == "__main__":
    found = templates()
    if not found:
        sys.exit("pip install comfyui-workflow-templates-json")
    one_by_one(found)
    in_one_call(found)
