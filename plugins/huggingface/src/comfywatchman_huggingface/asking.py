"""Send requests to one endpoint of the Hub within its limits, and with the token while it is good.

Everything goes through the core's client, not through huggingface_hub: that one
waits for minutes without a word, asks a dead endpoint for half a minute, and
makes requests of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from comfywatchman_core import BackendError, Context, errors, events

from .refusals import Answer, is_bad_token, pause_of, rate_limited, seconds_until_reset
from .run import Run
from .settings import Settings

_WAITS = 3
_QUICK = 3.0
"""Seconds. A connection that fails sooner than this is tried once more before the endpoint counts as dead."""


class Asker:
    """One endpoint, on behalf of one question. Cheap to make.

    :param token: Sent to the endpoint's origin only; the core's client drops it at the first other one.
    """

    def __init__(self, context: Context, settings: Settings, run: Run, token: str | None) -> None:
        self.settings = settings
        self.run = run
        self._context = context
        self._token = None if token is None or hash(token) in run.refused_tokens else token

    @property
    def signed_in(self) -> bool:
        """True while a token is sent that the Hub has not refused."""
        return self._token is not None

    @property
    def token(self) -> str | None:
        """The token, while it is good; for the one client that cannot be handed headers."""
        return self._token

    @property
    def headers(self) -> dict[str, str]:
        """What a transfer from the endpoint has to carry."""
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def warn(self, message: str) -> None:
        """Tell the user, once in a run."""
        if self.run.first_time(message):
            self._context.emit(events.Warned(message=message))

    def ask(self, method: str, url: str, *, bucket: str = "api", **options: Any) -> Answer:
        """Send one request, wait as the Hub says, and leave out a token that it cannot read.

        :param bucket: Which of the Hub's limits counts it: ``api`` or ``resolvers``.
        :param options: As the core's client takes them.
        :returns: Any answer below 500 but 429.
        :raises BackendError: No answer, or a limit that is not worth waiting for.
        :raises Cancelled: The caller asked to stop.
        """
        if self.settings.offline:
            raise BackendError(
                "the Hub is not asked: HF_HUB_OFFLINE is set",
                code=errors.ErrorCode.UNAVAILABLE,
                hint="Unset HF_HUB_OFFLINE to search and download.",
            )
        self.run.check_alive()
        for turn in range(_WAITS):
            self._await(bucket)
            try:
                answer = self._send(method, url, options)
            except BackendError as error:
                if error.code is errors.ErrorCode.NETWORK:
                    self.run.died(error)
                raise
            told = seconds_until_reset(answer.headers)
            if answer.status == 429:
                seconds = pause_of(answer)
                self.run.close_bucket(bucket, seconds if seconds is not None else 2.0**turn)
                continue
            if told is not None and told[1] == 0:
                self.run.close_bucket(bucket, told[2])
            if self._token and is_bad_token(answer):
                self.distrust_token()
                return self.ask(method, url, bucket=bucket, **options)
            return answer
        raise rate_limited(self.settings, self.run.closed_for(bucket))

    def distrust_token(self) -> None:
        """Send the token no more: the Hub cannot read it, and refuses public files because of it."""
        self.run.refused_tokens.add(hash(self._token))
        self._token = None
        self.warn(
            "The Hub does not accept the token that is set (expired, revoked, or cut off when it was copied); "
            "going on without it. Gated and private repositories cannot be read."
        )

    def _send(self, method: str, url: str, options: dict[str, Any]) -> Answer:
        if self.run.answered:
            return self._once(method, url, options)
        # An endpoint that has never answered is not asked for half a minute, only a second time if it is quick to fail.
        started = self.run.clock()
        try:
            return self._once(method, url, {**options, "retries": 0})
        except BackendError as error:
            if error.http_status is None and self.run.clock() - started > _QUICK:
                raise
        return self._once(method, url, {**options, "retries": None if self.run.answered else 0})

    def _once(self, method: str, url: str, options: dict[str, Any]) -> Answer:
        own = origin(url) == origin(self.settings.endpoint)
        try:
            answer: Answer = self._context.http.request(
                method,
                url,
                headers=self.headers if own else None,
                endpoint=self.settings.endpoint,
                final=(429,),
                **options,
            )
        except BackendError as error:
            self.run.answered = self.run.answered or error.http_status is not None
            raise
        self.run.answered = True
        return answer

    def _await(self, bucket: str) -> None:
        seconds = self.run.closed_for(bucket)
        if not seconds:
            return
        if seconds > self.settings.longest_wait:
            raise rate_limited(self.settings, seconds)
        self._context.emit(
            events.StateChanged(
                label="",
                state=events.TransferState.WAITING,
                seconds=seconds,
                reason=f"{self.settings.endpoint} allows no more requests for now",
            )
        )
        pause(seconds, self._context.cancelled)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of *url*."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, parts.hostname, port


def pause(seconds: float, cancelled: Callable[[], bool]) -> None:
    """Sleep, looking up often. :raises Cancelled: The caller asked to stop."""
    quiet = threading.Event()
    for step in range(int(seconds / 0.2) + 1):
        if cancelled():
            raise errors.Cancelled("stopped while waiting for the Hub")
        quiet.wait(min(0.2, seconds - step * 0.2))
