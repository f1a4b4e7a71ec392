"""What a provider asks for: `authorization_details` of type `portability` (RFC 9396)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portability import strict_json
from portability.api import JSON
from portability.api.errors import PortabilityError
from portability.api.times import rfc3339
from portability.law.profiles import Profile
from portability.pulls.refusals import OAuthFault, PullRefused
from portability.requests.dates import instant
from portability.transfers import recipients
from portability.transfers.authorisations import UNTIL_MAX

TYPE = "portability"
DATASETS_MAX = 200
MEMBERS = frozenset({"type", "datasets", "profile", "until"})


@dataclass(frozen=True, slots=True)
class PullDetails:
    """What a provider asks for."""

    datasets: Sequence[str]
    """Names of exporters."""
    until: datetime | None
    """Until when it may fetch again; None: it fetches one copy."""


def parsed(text: str, recipient: Mapping[Any, Any], exporters: Collection[str], present: datetime) -> PullDetails:
    """Return what a provider asks for, which it may receive and this deployment has.

    `present` is the time of the control database. Raises: PullRefused (`invalid_authorization_details`).
    """
    try:
        wanted = strict_json.parse(text)
    except strict_json.DoubleName:
        raise _refused("an object has a name twice", recipient) from None
    except ValueError:
        raise _refused("it is not JSON", recipient) from None
    if not isinstance(wanted, list) or len(wanted) != 1 or not isinstance(wanted[0], dict):
        raise _refused("it must be a list of one object", recipient)
    (detail,) = wanted
    if detail.get("type") != TYPE or detail.keys() - MEMBERS:
        raise _refused(f"type must be {TYPE}, with the members {', '.join(sorted(MEMBERS))} only", recipient)
    if detail.get("profile", Profile.PORTABILITY) != Profile.PORTABILITY:
        raise _refused(f"profile must be {Profile.PORTABILITY}", recipient)
    return PullDetails(_datasets(detail, recipient, exporters), _until(detail, recipient, present))


def to_json(datasets: Sequence[str], until: datetime | None) -> list[JSON]:
    """Return `authorization_details` as they were granted."""
    ends: dict[str, JSON] = {} if until is None else {"until": rfc3339(until)}
    return [{"type": TYPE, "profile": Profile.PORTABILITY, "datasets": list(datasets), **ends}]


def _datasets(detail: Mapping[str, Any], recipient: Mapping[Any, Any], exporters: Collection[str]) -> Sequence[str]:
    names = detail.get("datasets")
    if not isinstance(names, list) or not 0 < len(names) <= DATASETS_MAX:
        raise _refused(f"datasets must be a list of 1 to {DATASETS_MAX} names", recipient)
    known = {name for name in names if isinstance(name, str) and name in exporters}
    allowed = {name for name in known if recipients.covers(recipient["datasets"], name, None)}
    if len(allowed) != len(names):
        raise _refused("datasets must be names of exporters that the provider may receive, each once", recipient)
    return sorted(allowed)


def _until(detail: Mapping[str, Any], recipient: Mapping[Any, Any], present: datetime) -> datetime | None:
    if "until" not in detail:
        return None
    try:
        until = instant(str(detail["until"]), "until")
    except PortabilityError:
        raise _refused("until must be a time with its zone (RFC 3339)", recipient) from None
    if not present < until <= present + UNTIL_MAX:
        raise _refused("until must be in the future and within a year", recipient)
    return until


def _refused(message: str, recipient: Mapping[Any, Any]) -> PullRefused:
    fault = OAuthFault.INVALID_AUTHORIZATION_DETAILS
    return PullRefused(fault, f"authorization_details: {message}", recipient_id=recipient["id"])
