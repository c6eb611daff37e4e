"""Kill the command again and again, at moments nobody chose, and look at what it left each time.

    python tests/transfer/soak.py [--kills 1000] [--seed N] [--at-once 2]

One sequence goes on until its file is complete: start, kill after a random time, look, start again. After every kill
the final name holds nothing or exactly the right bytes, and a file that was finished stays finished; after the last,
undisturbed start nothing is left beside it. The seed of a sequence is printed when it goes wrong.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from standins.faulty import Ending, Faulty, Scene, faulty
from transfer.commands import ended, get, leftovers

from comfywatchman_core.testing import safetensors, sha256

_START_UP = 0.25
"""Seconds that the command needs before anything can happen; kills before that say nothing."""


def sequence(server: Faulty, place: Path, seed: int, may_go_on: Callable[[], bool]) -> Counter[str]:
    """Run one sequence; :returns: what happened, counted. :raises AssertionError: A promise was broken."""
    chance = random.Random(seed)
    path = f"/{seed}.safetensors"
    content = server.files[path] = safetensors(str(seed), chance.choice([100_000, 2 << 20, 6 << 20]))
    seconds = chance.uniform(0.3, 1.5)
    scenes = [Scene(pace=len(content) / seconds) for _ in range(3)]
    if chance.random() < 0.5:
        scenes.insert(0, Scene(sends=chance.randrange(len(content)), then=chance.choice([Ending.FIN, Ending.RST])))
    server.play(path, *scenes)
    models, final = place / "models", place / "models" / "loras" / path[1:]
    what, seen = server.url + path, Counter[str]()
    if chance.random() < 0.5:  # otherwise nothing but the journal tells which bytes are there
        what += f"#sha256={sha256(content)}"
    was_complete = False
    for _ in range(chance.randint(3, 12)):
        if not may_go_on():
            break
        process = get(models, what, "--connections", str(chance.choice([1, 4])), home=place / "home")
        time.sleep(_START_UP + chance.random() * (seconds + 0.3))
        process.kill()
        seen["ended before the kill" if ended(process).code == 0 else "killed"] += 1
        complete = final.exists()
        assert not (was_complete and not complete), f"seed {seed}: a finished file is gone"
        assert not complete or final.read_bytes() == content, f"seed {seed}: wrong bytes under the final name"
        if was_complete:
            break  # it stayed; more of the same would say nothing new
        was_complete = complete
    last = ended(get(models, what, home=place / "home"))
    assert last.code == 0, f"seed {seed}: {last.out[-2000:]}{last.err[-2000:]}"
    assert final.read_bytes() == content, f"seed {seed}: wrong bytes under the final name"
    assert leftovers(models) == [], f"seed {seed}: left behind: {leftovers(models)}"
    shutil.rmtree(place)
    return seen


def soak(kills: int, seed: int, at_once: int = 2) -> Counter[str]:
    """Run sequences until *kills* processes were killed. :raises AssertionError: A promise was broken."""
    sys.stdout.write(f"seeds from {seed}\n")
    seen: Counter[str] = Counter()
    seeds = iter(range(seed, seed + 100 * kills))

    def go_on(server: Faulty, folder: Path) -> None:
        while seen["killed"] < kills:
            number = next(seeds)
            seen.update(sequence(server, folder / str(number), number, lambda: seen["killed"] < kills))

    with faulty() as server, tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(at_once) as pool:
        for one in [pool.submit(go_on, server, Path(folder)) for _ in range(at_once)]:
            one.result()
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--at-once", type=int, default=2)
    arguments = parser.parse_args()
    seen = soak(arguments.kills, arguments.seed, arguments.at_once)
    sys.stdout.write(f"{dict(seen)}: no wrong byte, no finished file lost, nothing left behind\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
