"""Which file names may be written below a models folder, on any system.

Workflows, servers and tables come from strangers. The rules of POSIX and of
Windows are applied together on every system, because a plan or a share
travels between them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import PurePosixPath

from .errors import UnsafeName

MODEL_EXTENSIONS = frozenset(
    {".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx", ".patch"}
)
"""Suffixes, lower case, of the files this tool puts into a models folder; it writes no other."""

PICKLE_EXTENSIONS = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})
"""Suffixes of formats that can run code when they are loaded."""

_COMPONENT_BYTES = 255
_PATH_BYTES = 4096

# Device names that Windows opens instead of a file, whatever the suffix (Naming Files, learn.microsoft.com).
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\..*)?", re.IGNORECASE)


def safe_name(text: str | PurePosixPath) -> PurePosixPath:
    """Read *text* as a path below a folder; both slashes separate.

    :raises UnsafeName: It is empty, or could leave the folder or name something
        other than an ordinary file on some system.
    """
    return _safe(str(text))


@lru_cache(maxsize=512)  # each value that holds a name looks at it again
def _safe(text: str) -> PurePosixPath:
    raw = text.replace("\\", "/")
    if not raw or raw.startswith("/"):
        raise _unsafe(text, "it is empty or absolute")
    if len(raw.encode("utf-8", "surrogatepass")) > _PATH_BYTES:
        raise _unsafe(text, "it is too long")
    for component in raw.split("/"):
        _check_component(text, component)
    return PurePosixPath(raw)


def safe_basename(text: str) -> PurePosixPath:
    """Read a name that a server proposes: only its last component counts.

    :raises UnsafeName: As :func:`safe_name`.
    """
    return safe_name(text.replace("\\", "/").rpartition("/")[2])


def has_model_extension(name: PurePosixPath | str) -> bool:
    """Say whether *name* ends in a suffix that this tool writes."""
    path = name if isinstance(name, PurePosixPath) else PurePosixPath(name)
    return path.suffix.lower() in MODEL_EXTENSIONS


def same_name_key(name: PurePosixPath | str) -> str:
    """Spell *name* so that two spellings of one file compare equal: NFC, case-folded, forward slashes."""
    return unicodedata.normalize("NFC", str(name).replace("\\", "/")).casefold()


def _check_component(whole: object, component: str) -> None:
    if component in ("", ".", ".."):
        raise _unsafe(whole, "it has an empty, `.` or `..` part")
    if ":" in component:
        raise _unsafe(whole, "a colon names a drive or a stream on Windows")
    if component != component.rstrip(". ") or component != component.lstrip(" "):
        raise _unsafe(whole, "a part begins with a blank, or ends with a dot or a blank")
    if _RESERVED.fullmatch(component):
        raise _unsafe(whole, "it is a device name on Windows")
    if len(component.encode("utf-8", "surrogatepass")) > _COMPONENT_BYTES:
        raise _unsafe(whole, f"a part is longer than {_COMPONENT_BYTES} bytes")
    if component.isascii() and component.isprintable():
        return
    # Cc: control, Cf: bidi marks and zero-width characters, Cs: lone surrogates, Zl/Zp: line separators
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in component):
        raise _unsafe(whole, "it has a control or an invisible character")


def _unsafe(whole: object, why: str) -> UnsafeName:
    return UnsafeName(
        f"{str(whole)[:120]!a} is not a safe file name: {why}",
        hint="Rename the file in the workflow's loader node.",
    )
