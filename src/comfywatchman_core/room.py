"""Disk space for the files of one run, set aside once for bytes that several of them will share."""

from __future__ import annotations

import threading
from pathlib import Path

from .job import Job
from .models import Candidate
from .reservation import Reservations
from .staging import staging_place


class Room:
    """What is set aside for files, while they wait and while they arrive. Safe to share between threads.

    :param shares: Files of the same bytes are linked to the first of them, so that the others need no room.
    """

    def __init__(self, reservations: Reservations, *, shares: bool) -> None:
        self._reservations = reservations
        self._shares = shares
        self._lock = threading.RLock()
        self._holders: dict[str, Job] = {}
        """Digest → the file of these bytes that has space set aside."""

    def take_if_needed(self, job: Job, final: Path, offer: Candidate) -> None:
        """As :meth:`take`, but nothing where a file of the same bytes has its space."""
        with self._lock:
            if job.sha256_of(offer) not in self._holders:
                self.take(job, final, offer)

    def take(self, job: Job, final: Path, offer: Candidate) -> None:
        """Set space aside for *job*, in the place of what it had, and of what a file of the same bytes waits with.

        :param final: Where the file will lie.
        :raises NoRoom: There is not as much as the *offer* states.
        """
        size, place = job.size_of(offer), staging_place(final)
        if size is None:
            return
        shared = job.sha256_of(offer) if self._shares else None
        with self._lock:
            self.give_back(job)
            if shared is not None:
                self.give_back(self._holders.pop(shared, job))
            self._reservations.reserve(place, size)
            job.room = place
            if shared is not None:
                self._holders[shared] = job

    def give_back(self, job: Job) -> None:
        """Give back what is set aside for *job*, which needs no more of it."""
        if job.room is not None:
            self._reservations.release(job.room)
            job.room = None
