"""What each error code means in a few words, and what can be done about it where nobody said it better."""

from __future__ import annotations

from .errors import ErrorCode, Failure

_WORDS = {
    ErrorCode.AUTH_REQUIRED: (
        "a token is needed",
        "Give its source a token; `comfywatchman doctor` says whether it is accepted.",
    ),
    ErrorCode.EARLY_ACCESS: (
        "early access only",
        "Wait until it is open to everybody, or buy access at its source.",
    ),
    ErrorCode.GATED: (
        "its licence is not accepted",
        "Open its page at the source, accept the terms there, and run again with a token of that account.",
    ),
    ErrorCode.DOWNLOADS_DISABLED: (
        "not open for download",
        "Ask whoever published it, or choose another model.",
    ),
    ErrorCode.NOT_FOUND: (
        "not found",
        "Check the name; if you know where it is, pass its address to `comfywatchman get`.",
    ),
    ErrorCode.AMBIGUOUS: (
        "it is not clear which one is meant",
        "Choose one by its reference, or the folder with --folder.",
    ),
    ErrorCode.UNAVAILABLE: (
        "a source could not be asked",
        "Nothing says that it does not exist: run again later.",
    ),
    ErrorCode.RATE_LIMITED: (
        "a source wants a pause",
        "Run again after the pause; what has arrived is kept.",
    ),
    ErrorCode.NETWORK: (
        "the connection failed",
        "Check the network and run again; what has arrived is kept.",
    ),
    ErrorCode.STALLED: (
        "no more bytes came",
        "Run again; it goes on where it stopped.",
    ),
    ErrorCode.CHECKSUM_MISMATCH: (
        "not the bytes that were asked for",
        "Another source may have the right ones; --accept-digest takes bytes that you know to be good.",
    ),
    ErrorCode.SIZE_MISMATCH: (
        "not the size that was stated",
        "The file may have been replaced at its source; run again, or choose another source.",
    ),
    ErrorCode.NOT_A_MODEL: (
        "not a model file",
        "Look at its address in a browser: it may ask for a login.",
    ),
    ErrorCode.UNSAFE_NAME: (
        "not a safe file name",
        "Rename the file in the workflow's loader node.",
    ),
    ErrorCode.PICKLE_REFUSED: (
        "its format can run code",
        "If you trust the source, run again with --allow-pickle.",
    ),
    ErrorCode.NO_CHECKSUM: (
        "no checksum speaks for it",
        "Leave out --require-checksum to take it unverified.",
    ),
    ErrorCode.CONFLICT: (
        "it cannot be put in its place",
        "Move it aside, or run again with --force to replace it.",
    ),
    ErrorCode.BUSY: (
        "another process is at it",
        "Wait for it to end, then run again.",
    ),
    ErrorCode.DISK_FULL: (
        "the disk is full",
        "Free some space and run again; what has arrived is kept.",
    ),
    ErrorCode.READ_ONLY: (
        "the folder cannot be written to",
        "Make it writable for this user.",
    ),
    ErrorCode.CANCELLED: (
        "stopped",
        "Run the same command again; what has arrived is kept.",
    ),
    ErrorCode.BACKEND_FAILED: (
        "a back end has a fault",
        "`comfywatchman backends` shows which are in use; --disable NAME leaves one out.",
    ),
}


def in_short(code: ErrorCode) -> str:
    """Say in a few words what *code* means, for a line that has no room for the whole message."""
    return _WORDS[code][0]


def advice(failure: Failure) -> str:
    """Say what to do about *failure*: its own hint, or else what holds for its code."""
    return failure.hint or _WORDS[failure.code][1]
