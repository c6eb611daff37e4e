"""Reading workflows opens no socket, whatever they name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from standins import containers
from standins.graphs import declared, graph, node

SCRIPT = """
import socket, sys

def refuse(*arguments, **options):
    raise AssertionError("a socket was opened")

socket.socket.__init__ = refuse
socket.getaddrinfo = socket.create_connection = refuse

from pathlib import Path
from comfywatchman_core.folders import ModelFolders
from comfywatchman_core.inventory import Inventory
from comfywatchman_core.workflow import find_workflows, read_workflow

inventory = Inventory(ModelFolders.for_comfyui(Path(sys.argv[1])))
count = 0
for path in find_workflows(Path(sys.argv[1])):
    for request in read_workflow(path).requests:
        count += 1
        inventory.locate(request)
heavy = {"requests", "urllib3", "httpx", "huggingface_hub", "PIL", "mutagen", "yaml"} & set(sys.modules)
assert not heavy, heavy
print(count)
"""


COMMAND = """
import socket, sys

def refuse(*arguments, **options):
    raise AssertionError("a socket was opened")

socket.socket.__init__ = refuse
socket.getaddrinfo = socket.create_connection = refuse

from comfywatchman_core.cli import main

sys.exit(main(["scan", "--json", "--comfyui", sys.argv[1], sys.argv[1]]))
"""


def test_the_command_opens_none_with_every_installed_back_end(tmp_path: Path) -> None:
    loader = node("VAELoader", ["ae.safetensors"], **declared("ae.safetensors", "vae", "https://example.com/ae"))
    (tmp_path / "w.json").write_text(json.dumps(graph(loader)))

    done = subprocess.run([sys.executable, "-c", COMMAND, str(tmp_path)], capture_output=True, text=True, timeout=60)

    result = json.loads(done.stdout.splitlines()[-1])
    assert "a socket was opened" not in done.stderr
    assert (done.returncode, result["event"]) == (4, "result")
    assert [(file["name"], file["status"]) for file in result["files"]] == [("ae.safetensors", "missing")]


def test_no_socket_is_opened_and_nothing_heavy_is_imported(tmp_path: Path) -> None:
    loader = node("VAELoader", ["ae.safetensors"], **declared("ae.safetensors", "vae", "https://example.com/ae"))
    document = graph(loader, node("Note", ["https://example.com/ae.safetensors"]))
    files = dict(containers.every_kind({"workflow": document}))
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(files) - 1  # model files are not looked for in a directory
