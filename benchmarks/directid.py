"""How long directid takes: to read its table, for one question, for every name of the official templates.

    python benchmarks/directid.py

Prints the best of several rounds, since other work on the machine only ever adds to a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

from comfywatchman_directid import DirectIdBackend

from comfywatchman_core import Context, ModelRequest

ROUNDS = 15


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest of *rounds* runs."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def declared() -> list[ModelRequest]:
    """One request for each (name, folder) that the official templates declare, with its address."""
    import comfyui_workflow_templates_json as templates

    found: dict[tuple[str, str], ModelRequest] = {}
    pending = [resources.files(templates)]
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_dir():
                pending.append(entry)
            elif entry.name.endswith(".json"):
                for model in _models(json.loads(entry.read_bytes())):
                    key = (model["name"], model["directory"])
                    found[key] = ModelRequest(name=key[0], folder=key[1], url=model["url"])
    return list(found.values())


def _models(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        properties = value.get("properties")
        models = properties.get("models") if isinstance(properties, dict) else None
        yield from models if isinstance(models, list) else []
        for inner in value.values():
            yield from _models(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _models(inner)


def main() -> None:
    context = Context(name="directid", settings={}, emit=lambda event: None, fetch=_no_fetch)
    backend = DirectIdBackend()
    requests = declared()
    bare = [ModelRequest(name=request.name, folder=request.folder) for request in requests]
    unknown = ModelRequest(name="no-such-model.safetensors", folder="loras")

    started = best(lambda: subprocess.run([sys.executable, "-c", "import comfywatchman_core.hooks"], check=True), 5)
    loaded = best(lambda: subprocess.run([sys.executable, "-c", "import comfywatchman_directid"], check=True), 5)
    print(f"import, beyond the core's hooks      {(loaded - started) * 1e3:8.1f} ms")
    print(f"the table read and indexed           {best(lambda: DirectIdBackend().packaged().named('x')) * 1e3:8.2f} ms")

    def ask(questions: list[ModelRequest]) -> int:
        return sum(len(backend.resolve_model(question, context) or ()) for question in questions)

    for label, questions in (
        (f"{len(requests)} names with their addresses", requests),
        (f"{len(bare)} names without addresses", bare),
        ("1000 questions about an unknown name", [unknown] * 1000),
    ):
        seconds = best(lambda questions=questions: ask(questions))  # type: ignore[misc]
        print(f"{label:36} {seconds * 1e3:8.2f} ms  {seconds / len(questions) * 1e6:6.1f} µs each")


def _no_fetch(*arguments: object, **options: object) -> Any:
    raise AssertionError("a benchmark of questions transfers nothing")


if __name__ == "__main__":
    main()
