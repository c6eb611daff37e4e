"""Which process holds a staging place, and whether it still lives.

A process number alone says little: it is used again after a while, it means
something else in another container and on another host that shares the drive.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from functools import cache
from pathlib import Path

from attrs import asdict, frozen

SILENT_ELSEWHERE = 600.0
"""Seconds without a heartbeat after which an owner on another host counts as dead."""
SILENT_HERE = 120.0
"""The same for another container of this host, whose clock is ours."""
HEARTBEAT = 15.0
"""Seconds between two heartbeats."""


@frozen(kw_only=True)
class Owner:
    """One process, told apart from every other one as well as the system allows."""

    pid: int
    started: str
    """Start of the process in clock ticks since boot; empty where the system does not say."""
    host: str
    boot: str
    """Changes with every start of the host; empty where the system does not say."""
    space: str
    """The name space that ``pid`` belongs to: containers have their own."""

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        return _owner(os.getpid())

    @classmethod
    def read(cls, text: str) -> Owner | None:
        """Read :meth:`write` back; ``None`` for anything else."""
        try:
            fields = json.loads(text)
            return cls(
                pid=int(fields["pid"]),
                started=str(fields["started"]),
                host=str(fields["host"]),
                boot=str(fields["boot"]),
                space=str(fields["space"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def write(self) -> str:
        return json.dumps(asdict(self))

    @property
    def is_elsewhere(self) -> bool:
        """It runs on another host, which has a clock of its own."""
        return self.host != Owner.current().host

    def lives(self, last_beat: float, *, now: float | None = None) -> bool:
        """Say whether the process may still be writing.

        :param last_beat: Unix time of its last heartbeat.
        :param now: Unix time by the clock that the heartbeat was written with; by default this host's.
        """
        here = Owner.current()
        age = (time.time() if now is None else now) - last_beat
        if (self.host, self.boot, self.space) == (here.host, here.boot, here.space):
            if self.started:
                return _started(self.pid) == self.started
            return _exists(self.pid) and age < SILENT_ELSEWHERE
        if self.host == here.host and self.boot and here.boot:
            if self.boot == here.boot:
                return age < SILENT_HERE
            # Before this host started: it is the one that went down. After: another host of the same name.
            return last_beat > _boot_time() and age < SILENT_ELSEWHERE
        return age < SILENT_ELSEWHERE


@cache
def _owner(pid: int) -> Owner:
    return Owner(pid=pid, started=_started(pid), host=socket.gethostname(), boot=boot_id(), space=_pid_space())


def _started(pid: int) -> str:
    """Start time of a living process; empty for one that is gone, or where the system does not say."""
    try:
        # proc(5): field 3 is the state and field 22 the start time; field 2, the name, may hold blanks and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZXx" else fields[19]
    except (OSError, IndexError):
        return ""


def _exists(pid: int) -> bool:
    if os.name != "posix":  # os.kill(pid, 0) would end the process on Windows
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def boot_id() -> str:
    """Tells one start of this host from another; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else 0.0


def _pid_space() -> str:
    try:
        return str(os.readlink("/proc/self/ns/pid"))
    except OSError:
        return ""
