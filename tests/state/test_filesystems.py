"""Where a write-ahead log may be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman_core.state.filesystems import shares_memory

MOUNTS = """\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:40 / {root}/net rw,relatime shared:7 - nfs4 server:/export rw
31 30 0:41 / {root}/net/local rw,relatime - tmpfs tmpfs rw
32 21 0:42 / {root}/with\\040blank rw - cifs //server/share rw
33 21 0:43 / {root}/ssh rw - fuse.sshfs me@there: rw
34 21 0:44 / {root}/twice rw - nfs there:/ rw
35 21 0:45 / {root}/twice rw - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("place", "shares"),
    [
        ("home", True),
        ("net/state", False),
        ("net", False),
        ("network", True),  # begins like the mount point, and does not lie below it
        ("net/local/state", True),  # a local file system mounted below a network drive
        ("with blank/state", False),
        ("ssh/state", False),
        ("twice/state", True),  # the second mount hides the first
    ],
)
def test_the_nearest_mount_decides(tmp_path: Path, place: str, shares: bool) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(root=tmp_path))

    assert shares_memory(tmp_path / place, table) is shares


def test_a_link_is_where_it_leads(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(root=tmp_path))
    (tmp_path / "net").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "net")

    assert not shares_memory(tmp_path / "link", table)


def test_without_a_table_of_mounts_every_place_is_local(tmp_path: Path) -> None:
    assert shares_memory(tmp_path, tmp_path / "none")
