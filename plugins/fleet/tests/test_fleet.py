"""A plan on several machines: who fetches what, what is told, and what never passes through the scheduler."""

from __future__ import annotations

from comfywatchman_core.testing import safetensors

from .conftest import Studio

FILES = {f"{name}.safetensors": safetensors(name, 1000 * size) for size, name in enumerate("abcdef", 1)}


def test_machines_that_share_a_tree_fetch_each_file_once(studio: Studio) -> None:
    ended = studio.get(studio.plan(FILES))

    assert (ended.code, ended.result["ok"]) == (0, True), ended.stderr
    for name, data in FILES.items():
        assert (studio.models / "loras" / name).read_bytes() == data
    assert sorted(studio.warehouse.transfers()) == sorted(FILES)
    assert sorted(path.name for path in (studio.models / "loras").iterdir()) == sorted(FILES)
