"""What it costs to download a file and to verify it: this project against others, over loopback.

    python benchmarks/transfer.py [--size 1024] [--runs 5] [--only http,https,capped,latency,small]

Every run ends with a SHA256 of the file on disk that was compared. The tools take turns, so that what else the
machine does hits all of them; medians are printed, with the ratio to a yardstick. Only ratios carry over to other
machines. Everything is a command in a process of its own, started from cold: wall time, processor time and peak
memory are those of that process and its children. *limit* is the slowest of network alone, SHA256 of data in memory
alone, and writing alone: nobody can be faster, and who overlaps the three perfectly comes close. What this project
places is on the disk, not only in the system's memory, when the command ends; of the others nobody waits for that.

Needs nginx, curl and openssl; aria2c, huggingface_hub and pooch are measured where they are installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from _loopback import CAP, Site, hub, long_way, site
from attrs import Factory, define, frozen

MIB = 1 << 20
PYTHON = sys.executable


@frozen(kw_only=True)
class Run:
    """What one process took."""

    wall: float
    cpu: float
    peak: float
    """MiB."""


@define
class Tool:
    """One way to get the files."""

    name: str
    command: Callable[[Path], Sequence[str]]
    """Gets into an empty folder, and fails if the bytes are wrong."""
    env: dict[str, str] = Factory(dict)
    runs: list[Run] = Factory(list)

    def median(self, of: str = "wall") -> float:
        return statistics.median(getattr(run, of) for run in self.runs)


def measure(command: Sequence[str], env: dict[str, str]) -> Run:
    """Run *command* to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:300]} failed:\n{error.decode()[-1500:]}")
    return Run(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss / 1024)


def use_memory(path: Path, size: int) -> None:
    """Write and remove a file of *size* bytes.

    A virtual machine gives memory that is free for some seconds back to its host, and waits when it is used again:
    up to three seconds a GiB, for whichever tool comes first.
    """
    piece = bytes(MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(size // MIB):
            file.write(piece)
    path.unlink()


def compare(title: str, tools: list[Tool], runs: int, work: Path, yardsticks: Sequence[str]) -> None:
    """Let the tools take turns, and print their medians."""
    place = work / "into"
    for turn in range(runs + 1):  # the first turn warms caches up and does not count
        for tool in tools:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            use_memory(place / "first", 1 << 30)
            run = measure(tool.command(place), tool.env)
            if turn:
                tool.runs.append(run)
    shutil.rmtree(place, ignore_errors=True)
    known = {tool.name: tool for tool in tools}
    marks = [known[name] for name in yardsticks if name in known]
    print(f"\n## {title}\n")
    print(f"| {'':34} | wall s | CPU s | peak MiB |" + "".join(f" × {mark.name} |" for mark in marks))
    print(f"|{'-' * 36}|-------:|------:|---------:|" + "".join(f"{'-' * (len(mark.name) + 3)}:|" for mark in marks))
    for tool in tools:
        row = f"| {tool.name:34} | {tool.median():6.2f} | {tool.median('cpu'):5.2f} | {tool.median('peak'):8.0f} |"
        for mark in marks:
            ratio = statistics.median(a.wall / b.wall for a, b in zip(tool.runs, mark.runs, strict=True))
            row += f" {ratio:{len(mark.name) + 2}.2f} |"
        print(row, flush=True)


def ours(address: str, digest: str, *options: str, env: dict[str, str] | None = None) -> Tool:
    def command(place: Path) -> Sequence[str]:
        get = [PYTHON, "-m", "comfywatchman_core", "get", f"{address}#sha256={digest}", "--folder", "loras"]
        return [*get, "--models-dir", str(place), "--no-config", "--no-plugins", "-q", *options]

    return Tool(f"comfywatchman{' ' if options else ''}{' '.join(options)}", command, env or {})


def shell(name: str, script: str, env: dict[str, str] | None = None) -> Tool:
    return Tool(name, lambda place: ["sh", "-ec", script.format(into=place)], env or {})


def curl(address: str, digest: str, certificate: Path | None = None) -> Tool:
    trust = f"--cacert {certificate} " if certificate else ""
    check = f'test "$(openssl dgst -r -sha256 {{into}}/f | cut -d" " -f1)" = {digest}'
    return shell("curl, then openssl", f"curl -sf {trust}-o {{into}}/f {address} && {check}")


def aria2(address: str, digest: str, connections: int, certificate: Path | None = None) -> Tool:
    trust = f"--ca-certificate={certificate} " if certificate else ""
    options = f"-q -x{connections} -s{connections} {trust}--checksum=sha-256={digest} -d {{into}} -o f"
    return shell(f"aria2c -x{connections} --checksum", f"aria2c {options} {address}")


def limits(address: str, size: int, certificate: Path | None = None) -> list[Tool]:
    trust = f"--cacert {certificate} " if certificate else ""
    hashing = f"import hashlib; b = bytes(1 << 20); h = hashlib.sha256(); [h.update(b) for _ in range({size >> 20})]"
    writing = f"if=/dev/zero of={{into}}/f bs=256k count={size >> 18} status=none"
    return [
        shell("limit: network alone", f"curl -sf {trust}{address} -o /dev/null"),
        Tool("limit: SHA256 alone", lambda place: [PYTHON, "-c", hashing]),
        shell("limit: writing to memory alone", f"dd {writing}"),
        shell("limit: writing to the disk alone", f"dd {writing} conv=fdatasync"),
    ]


def python_peers(address: str, digest: str, endpoint: str) -> Iterator[Tool]:
    check = f"import hashlib; assert hashlib.file_digest(open(path, 'rb'), 'sha256').hexdigest() == '{digest}'"
    if find_spec("huggingface_hub"):
        script = (
            "import sys; from huggingface_hub import hf_hub_download\n"
            f"path = hf_hub_download('a/b', 'f.bin', local_dir=sys.argv[1], endpoint='{endpoint}')\n{check}"
        )
        env = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        yield Tool(
            "hf_hub_download, then hashlib", lambda place: [PYTHON, "-c", script, str(place)], {**env, "HF_TOKEN": ""}
        )
    if find_spec("pooch"):
        script = f"import pooch, sys; pooch.retrieve('{address}', 'sha256:{digest}', path=sys.argv[1], fname='f')"
        yield Tool("pooch.retrieve", lambda place, script=script: [PYTHON, "-c", script, str(place)])  # type: ignore[misc]


class Bench:
    """The files, the servers, and the comparisons over them."""

    def __init__(self, work: Path, size: int, runs: int) -> None:
        self.work, self.size, self.runs = work, size, runs
        self.root = work / "www"
        self.root.mkdir()
        self.file = self.root / "big.bin"
        self.digest = write_random(self.file, size)

    @property
    def amount(self) -> str:
        return f"{self.size / (1 << 30):g} GiB"

    def http(self, at: Site) -> None:
        address = f"{at.http}/big.bin"
        with hub(self.file, address) as endpoint:
            tools = [ours(address, self.digest), curl(address, self.digest), *limits(address, self.size)]
            if shutil.which("aria2c"):
                tools += [aria2(address, self.digest, 1), aria2(address, self.digest, 16)]
            tools += python_peers(address, self.digest, endpoint)
            compare(f"{self.amount} over HTTP", tools, self.runs, self.work, ["curl, then openssl"])
        limits_of = {tool.name: tool.median() for tool in tools if tool.name.startswith("limit")}
        slowest = max(limits_of, key=limits_of.__getitem__)
        print(f"\nours is {tools[0].median() / limits_of[slowest]:.2f} × the slowest {slowest}", flush=True)

    def https(self, at: Site) -> None:
        if not at.https or at.certificate is None:
            print("\n## HTTPS: left out, it needs nginx and openssl")
            return
        address, trust = f"{at.https}/big.bin", {"SSL_CERT_FILE": str(at.certificate)}
        tools = [ours(address, self.digest, env=trust), curl(address, self.digest, at.certificate)]
        tools += limits(address, self.size, at.certificate)
        if shutil.which("aria2c"):
            tools += [aria2(address, self.digest, 1, at.certificate)]
        compare(f"{self.amount} over HTTPS", tools, self.runs, self.work, ["curl, then openssl"])

    def capped(self, at: Site) -> None:
        if not at.https:
            print("\n## A limit for each connection: left out, it needs nginx")
            return
        address = f"{at.http}/capped/big.bin"
        tools = [ours(address, self.digest, "--connections", "8"), ours(address, self.digest, "--connections", "16")]
        if shutil.which("aria2c"):
            tools += [aria2(address, self.digest, 8), aria2(address, self.digest, 16)]
        title = f"{self.amount}, each connection limited to {CAP >> 20} MiB/s"
        compare(title, tools, self.runs, self.work, ["aria2c -x8 --checksum"])
        for tool, connections in zip(tools, (8, 16, 8, 16), strict=False):
            print(f"{tool.name}: {tool.median() / (self.size / (connections * CAP)):.2f} × size / limits", flush=True)

    def latency(self, at: Site) -> None:
        with long_way(at.http, 0.1) as address:
            tools = [ours(f"{address}/big.bin", self.digest)]
            if shutil.which("aria2c"):
                tools += [aria2(f"{address}/big.bin", self.digest, 8)]
                plain = "aria2c -q -x8 -s8 -d {into} -o f " + f"{address}/big.bin"
                tools += [shell("aria2c -x8, nothing verified", plain)]
            compare(f"{self.amount} over 100 ms", tools, self.runs, self.work, [tool.name for tool in tools[1:]])

    def small(self, at: Site) -> None:
        for count, size in ((300, MIB), (1000, 64 << 10)):
            digests = {f"{size}-{number}.bin": "" for number in range(count)}
            for name in digests:
                digests[name] = write_random(self.root / name, size)
            wanted = [f"{at.http}/{name}#sha256={digest}" for name, digest in digests.items()]
            listing = self.work / "list"
            listing.write_text(
                "".join(f"{at.http}/{name}\n  checksum=sha-256={digest}\n" for name, digest in digests.items())
            )
            one = ours("", "")
            one.command = lambda place, wanted=wanted: [  # type: ignore[misc]
                *[PYTHON, "-m", "comfywatchman_core", "get", *wanted, "--folder", "loras"],
                *["--models-dir", str(place), "--no-config", "--no-plugins", "-q"],
            ]
            tools = [one]
            if shutil.which("aria2c"):
                tools.append(shell("aria2c -j3 -i", f"aria2c -q -j3 -i {listing} -d {{into}}"))
            compare(f"{count} files of {size >> 10} KiB", tools, self.runs, self.work, ["aria2c -j3 -i"])

    def memory(self, at: Site) -> None:
        tools = [ours(f"{at.http}/capped/big.bin", self.digest, "--connections", "8")]
        for number in range(3):
            with_name = self.root / f"big-{number}.bin"
            with_name.unlink(missing_ok=True)
            os.link(self.file, with_name)
        three = ours("", "")
        three.name = "comfywatchman, 3 files × 8"
        wanted = [f"{at.http}/capped/big-{number}.bin#sha256={self.digest}" for number in range(3)]
        three.command = lambda place: [
            *[PYTHON, "-m", "comfywatchman_core", "get", *wanted, "--folder", "loras", "--connections", "24"],
            *["--models-dir", str(place), "--no-config", "--no-plugins", "-q"],
        ]
        compare("Peak memory", [*tools, three], 1, self.work, [])


def write_random(path: Path, size: int) -> str:
    """Fill *path* with *size* bytes that no server or disk can compress; :returns: their SHA256."""
    source, digest = random.Random(path.name), hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(0, size, MIB):
            piece = source.randbytes(min(MIB, size))
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="http,https,capped,latency,small,memory")
    arguments = parser.parse_args()
    for program in ("curl", "openssl"):
        if not shutil.which(program):
            print(f"{program} is not installed; nothing to compare with")
            return 0
    for program in ("nginx", "aria2c"):
        if not shutil.which(program):
            print(f"{program} is not installed; what needs it is left out")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.size * MIB, arguments.runs)
        Path(folder).chmod(0o755)
        with site(bench.root, Path(folder)) as at:
            print(f"server: {at.server}; processors: {os.cpu_count()}; medians of {arguments.runs} runs, in turns")
            for name in arguments.only.split(","):
                getattr(bench, name)(at)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
