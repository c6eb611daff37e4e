"""What a mirror costs: pushed, looked up and got again, over a disk, nginx, OpenSSH and an S3 server on this machine.

    python benchmarks/mirror.py [MEBIBYTES]

Places whose server is not installed are left out. The times are those of one machine that does everything at once:
they compare the ways, and say nothing of a network.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import pytest  # noqa: E402  (the tree is no package)
from comfywatchman_mirror import lookup, pushing  # noqa: E402
from comfywatchman_mirror.gathering import LocalFile  # noqa: E402
from comfywatchman_mirror.layout import LARGEST_DOCUMENT  # noqa: E402
from comfywatchman_mirror.settings import Settings  # noqa: E402
from comfywatchman_mirror.stores import Store  # noqa: E402
from standins import servers  # noqa: E402

import comfywatchman_core as cw  # noqa: E402
from comfywatchman_core.testing import safetensors, sha256  # noqa: E402

SMALL = 200
"""Files that the price of a lookup is taken from."""


@contextmanager
def places(work: Path) -> Iterator[dict[str, str]]:
    """Addresses of empty mirrors by the name of their kind."""
    os.environ["HOME"] = str(work)
    found = {"disk": str(work / "nas")}
    with ExitStack() as running:
        with suppress(pytest.skip.Exception):  # the server is not installed
            found["sftp"] = running.enter_context(servers.sftp(work / "sshd", work)) + str(work / "over-ssh")
        with suppress(ImportError):
            import s3fs

            port = servers.free_port()
            (work / "moto").mkdir()
            command = [sys.executable, "-m", "moto.server", "-p", str(port)]
            running.enter_context(servers.running(command, port, work / "moto"))
            os.environ |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "kit",
                "AWS_SECRET_ACCESS_KEY": "kit",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            bucket = f"studio-{uuid.uuid4().hex[:8]}"
            s3fs.S3FileSystem().mkdir(bucket)
            found["s3"] = f"s3://{bucket}"
        yield found


def model(size: int) -> bytes:
    """A file that loaders accept, of bytes that nothing compresses."""
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    return len(header).to_bytes(8, "little") + header + os.urandom(size)


def seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def fetched(url: str, digest: str, work: Path) -> float:
    """Get the large file by its digest, into a models folder of its own."""
    place = work / f"models-{uuid.uuid4().hex[:8]}"
    config = cw.Config.load(
        arguments={
            "models_dir": place,
            "state_dir": work / f"state-{uuid.uuid4().hex[:8]}",
            "backends.mirror.url": url,
            "backends.mirror.link": "copy",
        },
        environ={},
        use_file=False,
    )
    took = seconds(lambda: cw.ensure_models(f"mirror:{digest}", config=config).raise_if_failed())
    for path in place.rglob("*.safetensors"):
        path.unlink()
    return took


def measured(name: str, url: str, work: Path, large: LocalFile, small: list[LocalFile], size: float) -> None:
    settings = Settings.read({"url": url})
    assert settings is not None
    store = Store(settings)
    pushing.found(store)
    push = seconds(lambda: pushing.push(store, large, verify=False, cancelled=lambda: False))
    fill = seconds(lambda: [pushing.push(store, one, verify=False, cancelled=lambda: False) for one in small])
    again = seconds(lambda: [pushing.push(store, one, verify=False, cancelled=lambda: False) for one in small])
    digests = [one.sha256 or "" for one in small]

    def read(path: str) -> bytes | None:
        return store.read(path, LARGEST_DOCUMENT)

    look = seconds(lambda: [lookup.by_digest(read, digest) for digest in digests])
    ways = {name: url}
    if name == "disk":
        with suppress(pytest.skip.Exception), servers.web(Path(url), work / "nginx") as web:
            told("nginx", size, None, None, None, None, fetched(web, large.sha256 or "", work))
    for way, address in ways.items():
        get = fetched(address, large.sha256 or "", work)
        told(way, size, push, fill, again, look, get)


def told(
    way: str, size: float, push: float | None, fill: float | None, again: float | None, look: float | None, get: float
) -> None:
    def each(total: float | None) -> str:
        return f"{total / SMALL * 1000:7.1f} ms" if total is not None else "         -"

    rate = f"{size / push:6.0f} MiB/s" if push is not None else "           -"
    print(f"{way:<6} {rate} {each(fill)} {each(again)} {each(look)} {size / get:6.0f} MiB/s")


def main() -> None:
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        data = model(mebibytes << 20)
        (work / "large.safetensors").write_bytes(data)
        large = LocalFile(
            path=work / "large.safetensors", folder="loras", name="large.safetensors", sha256=sha256(data)
        )
        small = []
        for number in range(SMALL):
            data = safetensors(str(number), 1000)
            (work / f"{number}.safetensors").write_bytes(data)
            name = f"{number}.safetensors"
            small.append(LocalFile(path=work / name, folder="loras", name=name, sha256=sha256(data)))
        print(f"one file of {mebibytes} MiB, and {SMALL} small ones")
        print("way         pushed      push a    push it    look up         got")
        print("                     small file     again   a digest")
        with places(work) as found:
            for name, url in found.items():
                measured(name, url, work, large, small, float(mebibytes))


if __name__ == "__main__":
    main()
