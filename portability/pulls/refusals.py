"""Refusals of OAuth: the error that its RFC names, and which provider asked."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus

from portability.api.errors import PortabilityError


class OAuthFault(StrEnum):
    """An error code of OAuth, with the RFC that defines it."""

    INVALID_REQUEST = "invalid_request"
    """RFC 6749, 5.2."""
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    ACCESS_DENIED = "access_denied"
    """RFC 6749, 4.1.2.1: the person declined."""
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    INVALID_TOKEN = "invalid_token"  # noqa: S105  # a code
    """RFC 6750, 3.1."""
    INVALID_REQUEST_URI = "invalid_request_uri"
    """RFC 9101, 7."""
    INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"
    """RFC 9396, 5."""
    INVALID_DPOP_PROOF = "invalid_dpop_proof"
    """RFC 9449, 5."""


UNAUTHORIZED = frozenset({OAuthFault.INVALID_CLIENT, OAuthFault.INVALID_TOKEN})


class PullRefused(PortabilityError):
    """A request of a provider that its OAuth profile does not allow; `fault` is the error of the RFC."""

    code = "pull_refused"
    default_hint = "see docs/pull.md#errors"

    def __init__(self, fault: OAuthFault, message: str, *, recipient_id: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.fault = fault
        self.recipient_id = recipient_id
        """Of the provider that asked, once it is known."""

    @property
    def status(self) -> HTTPStatus:
        """Return the status of the answer at an endpoint for tokens."""
        return HTTPStatus.UNAUTHORIZED if self.fault in UNAUTHORIZED else HTTPStatus.BAD_REQUEST


class PullReplayed(PullRefused):
    """A code or a refresh token was used for the second time: one of the two may be a thief."""

    code = "pull_replayed"

    def __init__(self, message: str, *, recipient_id: str, authorisation_id: str) -> None:
        super().__init__(OAuthFault.INVALID_GRANT, message, recipient_id=recipient_id)
        self.authorisation_id = authorisation_id
        """Of the consent that has to end."""
