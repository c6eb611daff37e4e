"""Small text files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Put *text* at *path* in one step.

    :param mode: Permissions, of which the umask takes its share.
    :raises OSError: It cannot be done; what was there is still there.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
    # O_EXCL: a link that somebody planted under this name is not followed
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
