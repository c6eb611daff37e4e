"""What the user can say about transfers."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class TransferSettings:
    """The transfer part of the configuration; the defaults are those of ``[download]``."""

    connections: int = 8
    """Most connections to one host over all files, and so for one file; fewer where more do not help."""
    jobs: int = 3
    """Files at a time."""
    limit_rate: int = 0
    """Bytes a second over all transfers together; 0 for no limit."""
    max_retries: int = 3
    """Attempts without progress before a transfer is given up."""
    timeout: float = 300.0
    """Seconds that one attempt without progress may take; silence is given up after 30 s at the latest."""
