"""The Hub's request limits: fixed windows of five minutes, three buckets, told in headers of every answer."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import Factory, define

WINDOW = 300.0

ANONYMOUS = {"api": 500, "resolvers": 3000, "pages": 100}
SIGNED_IN = {"api": 1000, "resolvers": 5000, "pages": 200}


def bucket_of(path: str) -> str:
    """Say which bucket a request to *path* is counted in."""
    if path.startswith("/api/resolve-cache/") or "/resolve/" in path:
        return "resolvers"
    return "api" if path.startswith("/api/") else "pages"


@define
class Limits:
    """Counts requests of each caller and bucket."""

    clock: Callable[[], float] = time.monotonic
    _starts: dict[tuple[str, str], float] = Factory(dict)
    _counts: dict[tuple[str, str], int] = Factory(dict)

    def count(self, caller: str, bucket: str) -> tuple[bool, dict[str, str]]:
        """Count one request; say whether it is within the limit, and the headers of its answer."""
        quota = (SIGNED_IN if caller else ANONYMOUS)[bucket]
        key = (caller, bucket)
        now = self.clock()
        if now - self._starts.get(key, -WINDOW) >= WINDOW:
            self._starts[key], self._counts[key] = now, 0
        self._counts[key] += 1
        left = max(0, quota - self._counts[key])
        seconds = max(0, round(self._starts[key] + WINDOW - now))
        return self._counts[key] <= quota, {
            "RateLimit": f'"{bucket}";r={left};t={seconds}',
            "RateLimit-Policy": f'"fixed window";"{bucket}";q={quota};w={WINDOW:.0f}',
        }

    def exhaust(self, bucket: str, *, seconds: float, caller: str = "") -> None:
        """Use up *bucket* for *seconds* from now."""
        self._starts[caller, bucket] = self.clock() + seconds - WINDOW
        self._counts[caller, bucket] = (SIGNED_IN if caller else ANONYMOUS)[bucket]

    def used(self, bucket: str, caller: str = "") -> int:
        """Requests counted in the current window."""
        return self._counts.get((caller, bucket), 0)

    def reset(self) -> None:
        """Begin new windows."""
        self._starts.clear()
        self._counts.clear()
