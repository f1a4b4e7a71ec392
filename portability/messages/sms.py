"""SMS: one gateway, as configured: an HTTP endpoint, or on this machine a folder (docs/mail.md#sms).

Errors contain codes only, never a number, a text or an answer of the gateway.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import httpx
import orjson

from portability.api.errors import PortabilityError
from portability.bounded_answers import open_client
from portability.read_limits import reads_within

WAITS = frozenset(
    {
        *(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED),
        *(HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS),
    }
)
"""Statuses 4xx that an operator or time can change; the others are about this message."""


class SmsError(PortabilityError):
    """A fault of the SMS gateway, or of the network to it."""

    code = "sms_error"


class SmsUnavailable(SmsError):
    """The gateway accepts no message now, or not from us; a later attempt may succeed."""

    code = "sms_unavailable"
    retryable = True
    default_hint = "check PORTABILITY_SMS_URL and PORTABILITY_SMS_TOKEN"


class SmsRefused(SmsError):
    """The gateway refuses this message permanently."""

    code = "sms_refused"


class SmsGateway(Protocol):
    """Takes text messages."""

    def send(self, number: str, text: str, identifier: str) -> None:
        """Hand over one message; if no error is raised, the gateway has accepted it.

        Args:
            number: in E.164, such as `+6281234567890`.
            text: the message.
            identifier: the same at every attempt, so that a duplicate is recognised.

        Raises: SmsRefused, SmsUnavailable.
        """


@dataclass(frozen=True, slots=True)
class HttpGateway:
    """A gateway that takes `{"id", "to", "text"}` as JSON by POST (docs/mail.md#sms)."""

    url: str
    client: httpx.Client = field(repr=False)
    timeout_seconds: float

    def send(self, number: str, text: str, identifier: str) -> None:
        message = {"id": identifier, "to": number, "text": text}
        try:
            # The body is not read: a fault in it would send a message again that the gateway has accepted.
            named = {"Idempotency-Key": identifier}
            with (
                reads_within(self.timeout_seconds),
                self.client.stream("POST", self.url, json=message, headers=named) as answer,
            ):
                pass
        except httpx.HTTPError as error:
            raise SmsUnavailable(f"the SMS gateway does not answer: {type(error).__name__}") from None
        if answer.is_client_error and answer.status_code not in WAITS:
            raise SmsRefused(f"the SMS gateway refuses the message: {answer.status_code}")
        if not answer.is_success:
            raise SmsUnavailable(f"the SMS gateway does not accept the message: {answer.status_code}")


@dataclass(frozen=True, slots=True)
class FolderGateway:
    """The stand-in for trials: each message becomes a file, and no one receives it."""

    folder: Path

    def send(self, number: str, text: str, identifier: str) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self.folder / f"{identifier}.json"
            temporary = path.with_suffix(".part")
            temporary.write_bytes(orjson.dumps({"id": identifier, "to": number, "text": text}))
            temporary.replace(path)
        except OSError as error:
            raise SmsUnavailable(f"the folder of SMS_URL cannot be written: {type(error).__name__}") from None


@contextmanager
def session(url: str, token: str | None, timeout_seconds: float) -> Iterator[SmsGateway]:
    """Open the gateway of PORTABILITY_SMS_URL, which the settings have checked."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        yield FolderGateway(Path(unquote(parts.path)))
        return
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with open_client(timeout_seconds, headers=headers) as client:
        yield HttpGateway(url, client, timeout_seconds)
