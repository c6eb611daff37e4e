"""What it costs a download that somebody listens: nobody, a line written for each event, 20 ms spent on each event.

    python benchmarks/listener.py [--size 1024] [--runs 15]

The same file from loopback, through `ensure_models` in this process. The listeners take turns, so that what else the
machine does hits all of them; nobody listens twice in each turn, which shows what differs without a reason. *file* is
the time until the file stands verified under its name, *call* until everything was told as well. Ratios are medians
over the turns. On a machine that does other things they differ by more than a listener can cost; so the cost is
measured by itself as well: the time that the threads of the run spend on telling, and the processor's time that the
listener takes from them. Together they are to stay below 1 % of *file*.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _loopback import site
from attrs import Factory, define
from transfer import MIB, write_random

import comfywatchman_core as cw
from comfywatchman_core import run
from comfywatchman_core.events import Event
from comfywatchman_core.jsonlines import event_line
from comfywatchman_core.telling import Telling

SLOW = 0.02
"""Seconds."""


class ClockedTelling(Telling):
    """Adds up how long those who tell are kept."""

    kept = 0.0
    """Seconds; of the run that is under way."""

    def __call__(self, event: Event) -> None:
        began = time.perf_counter()
        super().__call__(event)
        ClockedTelling.kept += time.perf_counter() - began


@define
class Case:
    """A listener, and what the downloads took that it listened to."""

    name: str
    listen: Callable[[Event], object] | None
    told: int = 0
    cost: list[float] = Factory(list)
    file: list[float] = Factory(list)
    call: list[float] = Factory(list)

    def run(self, address: str, place: Path) -> None:
        """Download once. :raises ModelsMissing: It failed."""

        listen, heard = self.listen, 0.0

        def listener(event: Event) -> None:
            nonlocal heard
            assert listen is not None
            began = time.thread_time()
            listen(event)
            heard += time.thread_time() - began
            self.told += 1

        arguments = {"models_dir": place, "state_dir": place / "state", "plugins": False}
        config = cw.Config.load(arguments=arguments, environ={}, use_file=False)
        self.told, ClockedTelling.kept = 0, 0.0
        began = time.perf_counter()
        report = cw.ensure_models(address, config=config, folder="loras", on_event=listener if listen else None)
        self.call.append(time.perf_counter() - began)
        report.raise_if_failed()
        self.file.append(report.entries[0].seconds or 0.0)
        self.cost.append((ClockedTelling.kept + heard) / self.file[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024, help="MiB of the file")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    run.Telling = ClockedTelling  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        cases = [
            Case("nobody listens", None),
            Case("nobody listens, once more", None),
            Case("a line for each event", lambda event: print(event_line(event), file=nowhere, flush=True)),
            Case(f"{SLOW * 1000:.0f} ms for each event", lambda event: time.sleep(SLOW)),
        ]
        work = Path(folder)
        work.chmod(0o755)
        (work / "www").mkdir()
        digest = write_random(work / "www" / "big.bin", arguments.size * MIB)
        with site(work / "www", work) as at:
            for turn in range(arguments.runs + 1):  # the first warms caches up and does not count
                for case in cases[turn % 4 :] + cases[: turn % 4]:
                    case.run(f"{at.http}/big.bin#sha256={digest}", work / "into")
                    shutil.rmtree(work / "into")
            for case in cases:
                del case.file[0], case.call[0], case.cost[0]
    print(f"{arguments.size} MiB from {at.server}; medians of {arguments.runs} runs, in turns\n")
    print("|                           | events | file s | × nobody | call s | × nobody | cost % of file |")
    print("|---------------------------|-------:|-------:|---------:|-------:|---------:|---------------:|")
    for case in cases:
        row = f"| {case.name:25} | {case.told:6} |"
        for own, nobody in ((case.file, cases[0].file), (case.call, cases[0].call)):
            ratio = statistics.median(one / other for one, other in zip(own, nobody, strict=True))
            row += f" {statistics.median(own):6.3f} | {ratio:8.3f} |"
        print(f"{row} {100 * statistics.median(case.cost):14.3f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
