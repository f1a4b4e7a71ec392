"""Hints over HTTP: what a caller of the API, or a person on a page, can do about an error.

The hints of errors are written for who runs commands. An error may have another for callers (`caller_hint`). Otherwise
an option becomes the field of the same name, and a hint of a command or a setting is replaced by that of the class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from portability import errors
from portability.api.errors import PortabilityError
from portability.feeds.errors import UnknownFeed
from portability.inbox import offers, received, senders
from portability.requests.referrals import UnknownReferral
from portability.requests.reviews import UnknownReview
from portability.retention import erasures
from portability.transfers import age_keys, authorisations, recipients, sending

FOR_OPERATORS = ("/metrics", "/healthz")
"""Endpoints that only operators call: they run commands."""
FIELDS = frozenset({"tenant", "include", "since", "until", "reason", "safeguard", "gaps"})
"""Options of commands that are fields of the API with the same name and meaning."""
COMMANDS = re.compile(
    r"`(portability|age-keygen|pip)\b|\bPORTABILITY_[A-Z]|(?<![\w-])--[a-z]|\bpip install\b|\bTMPDIR\b|\bulimit\b",
    re.ASCII,
)
"""What only who runs commands on the operator's machine can follow."""
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z_-]*)", re.ASCII)
_ASK_OFFICER = "ask the privacy officer of this service"

HINTS: Mapping[type[PortabilityError], str] = {
    errors.AmbiguousSubject: f"{_ASK_OFFICER}: the records of the sources contradict each other about this subject",
    errors.BadSubject: "use user:ID, contact:ID with `tenant`, tenant:ID, email:ADDRESS or phone:NUMBER",
    errors.ExportsRunning: "wait until they have ended",
    errors.MissingExtra: _ASK_OFFICER,
    errors.OnLegalHold: "an officer has to release the hold first",
    errors.UnknownDirectory: _ASK_OFFICER,
    errors.UnknownExport: "GET /v1/exports lists the exports that you may see",
    errors.UnknownExporter: "GET /v1/register lists the exporters",
    errors.UnknownFormat: "docs/forms.md lists the forms; a deployment may have fewer",
    errors.UnknownHold: "check the id; the hold may already be released",
    errors.UnknownInstruction: "check the id; the instruction may already be withdrawn",
    errors.UnknownKey: "GET /.well-known/jwks.json lists the keys",
    errors.UnknownLink: "check the id; the page of the request shows its links",
    erasures.NotDelivered: "deliver the data first, or erase it with an officer's ground",
    UnknownFeed: "GET /v1/feeds lists the feeds that you may see",
    UnknownReferral: "reload the page of referrals",
    UnknownReview: "reload the page of the request",
    offers.NoInbox: "this service receives no transfers",
    received.UnknownReceived: "GET /v1/inbox lists the received transfers",
    senders.UnknownSender: "ask this service whether it has recorded you as a sender",
    age_keys.WeakKey: "use the public line of an age key, which begins with age1",
    authorisations.UnknownAuthorisation: "GET /v1/authorisations lists the authorisations",
    recipients.UnknownRecipient: "GET /v1/recipients lists the recipients",
    sending.UnknownTransfer: "GET /v1/exports/{id}/transfers lists the transfers of an export",
    sending.WrongRegion: f"{_ASK_OFFICER}: the company's region and that of the storage differ",
}
"""Hints over HTTP of errors whose own hints name a command, a setting or a file."""


def of_error(error: PortabilityError, path: str = "") -> str:
    """Return the hint of an error for the caller of a path; empty: it has no hint."""
    if path.startswith(FOR_OPERATORS):
        return error.hint
    return error.caller_hint or _for_callers(error.hint, type(error))


def of_class(error: type[PortabilityError]) -> str:
    """Return the usual hint of an error."""
    return _for_callers(error.default_hint, error)


def _for_callers(hint: str, error: type[PortabilityError]) -> str:
    if hint == error.default_hint and error in HINTS:
        return HINTS[error]
    said = _OPTION.sub(_field, hint)
    if not COMMANDS.search(said):
        return said
    return next((HINTS[kind] for kind in error.__mro__ if kind in HINTS), "")


def _field(option: re.Match[str]) -> str:
    return f"`{option[1]}`" if option[1] in FIELDS else option[0]
