"""The process that fetches one file from the chunk store: ``python -P -m comfywatchman_huggingface.chunk_child``.

A process of its own, because a transfer of the chunk store that hangs can be
ended in no other way. It reads its task from standard input, so that no token
is in its arguments, and writes a line for each step: ``received N``,
``done PATH`` or ``failed NAME``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def main() -> int:
    """Fetch what standard input asks for; the exit code is 0 when it is there."""
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    # Whoever started this ends it by closing its input, and so does the system when that process dies.
    threading.Thread(target=_end_with_input, daemon=True).start()
    # huggingface_hub reads its environment once, when it is imported.
    os.environ.update(task["environment"])
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Meter(tqdm):
        """Tells how far the file is, and shows nothing."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]
            self.received = 0

        def update(self, n: float | None = 1) -> bool | None:
            if n:
                self.received += int(n)
                say("received", self.received)
            return None

    try:
        path = hf_hub_download(
            task["repo"],
            task["path"],
            repo_type=task["repo_type"],
            revision=task["revision"],
            endpoint=task["endpoint"],
            token=task["token"] or False,
            local_dir=task["folder"],
            tqdm_class=Meter,
        )
    except Exception as error:  # whatever it is, the parent goes on in another way; it wants to know what it was
        say("failed", type(error).__name__)
        return 1
    say("done", path)
    return 0


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(3)


def say(word: str, value: object) -> None:
    """Write one line to the parent."""
    sys.stdout.write(f"{word} {value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
