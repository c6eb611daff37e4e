"""What the checks of a staged file come to: a verdict, or a refusal that says why and what to do."""

from __future__ import annotations

from .addresses import redact
from .config import Rules
from .conversation import Conversation
from .errors import BackendError, ErrorCode
from .models import Artifact, Candidate, Check, ModelRequest, Verdict, VerificationReport
from .report import EXIT_CODE_OF, PRECEDENCE
from .staging import Stage
from .verify import built_in_checks


def judged(
    artifact: Artifact, offer: Candidate, request: ModelRequest, conversation: Conversation, rules: Rules
) -> VerificationReport:
    """Put the built-in checks and those of the back ends together.

    :param artifact: In its stage; its first digest is its SHA256.
    """
    config, cancelled = conversation.around.config, conversation.around.cancelled
    accepted = artifact.digests[0].value in rules.accept_digests
    compare = config.download.verify_hashes
    checks = built_in_checks(
        artifact,
        offer,
        request,
        name=str(request.name),
        compare=compare,
        accepted=rules.accept_digests,
        cancelled=cancelled,
    )
    checks += [
        check
        for check in conversation.verify(artifact, offer)
        if not (check.cryptographic and (accepted or not compare))
    ]
    report = VerificationReport(tuple(checks))
    if rules.require_checksum and report.verdict is Verdict.UNVERIFIED:
        note = "no published checksum speaks for it"
        report = VerificationReport((*checks, Check("checksum", False, note=note, code=ErrorCode.NO_CHECKSUM)))
    return report


def refusal(verification: VerificationReport, artifact: Artifact, offer: Candidate, stage: Stage) -> BackendError:
    """Put the bytes aside, or drop them where they are no model at all, and say what speaks against them.

    Bytes that only lack a checksum stay in their stage: the next run may be allowed to take them.
    """
    failed = [check for check in verification.checks if not check.passed]
    code, worst = min(((_code_of(check), check) for check in failed), key=lambda pair: _rank(pair[0]))
    sha256 = artifact.digests[0].value
    message = f"what {redact(offer.url)} sent is refused: {worst.note or worst.name}"
    if code in (ErrorCode.CHECKSUM_MISMATCH, ErrorCode.SIZE_MISMATCH):
        kept = stage.quarantine(sha256)
        hint = f"It is kept as {kept.name}; if you want these bytes, run again with --accept-digest {sha256}."
    elif code is ErrorCode.NO_CHECKSUM:
        hint = "Leave out --require-checksum to take it unverified; the bytes are kept for that."
    else:
        stage.discard()
        hint = {
            ErrorCode.NOT_A_MODEL: "The source may want a token, or the address leads to a web page.",
        }.get(code, "Another source may have it.")
    return BackendError(message, code=code, hint=hint)


def _code_of(check: Check) -> ErrorCode:
    try:
        return ErrorCode(check.code)
    except ValueError:
        return ErrorCode.CHECKSUM_MISMATCH if check.cryptographic else ErrorCode.NOT_A_MODEL


def _rank(code: ErrorCode) -> tuple[int, int]:
    """The order in which failed checks are told: what says most about the bytes first."""
    telling = (ErrorCode.NOT_A_MODEL, ErrorCode.CHECKSUM_MISMATCH, ErrorCode.SIZE_MISMATCH)
    return (telling.index(code) if code in telling else len(telling), PRECEDENCE.index(EXIT_CODE_OF[code]))
