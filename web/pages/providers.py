"""`/staff/recipients/discover`: an officer sees what a provider states at its domain, and records or refuses it.

Nothing is kept between the pages: each fetches the document again, and what is recorded is what was shown.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from portability import locale
from portability.api.errors import BadInput, PortabilityError
from portability.law.countries import COUNTRIES, Mechanism
from portability.locale import values
from portability.requests.policy import Action
from portability.safe_http import SafeHttpClient
from portability.transfers import age_keys, provider_documents, recipients
from portability.transfers.provider_documents import ProviderDocument
from portability.transfers.recipients import RecipientEntry
from web import rendering
from web.auth import LoggedIn, OurForm, permit
from web.context import AppContext, CurrentContext
from web.pages.recipients import HERE, Address, Line, recorded_page, shown_page

router = APIRouter(prefix=HERE, include_in_schema=False)
RECORD, REFUSE = "record", "refuse"


class ProviderForm(BaseModel):
    """The fields of the form for a domain."""

    csrf: str = ""
    domain: Line
    url: Address = ""


class ProviderDecisionForm(ProviderForm):
    """The fields of an officer's decision; without `confirmed` a second page asks."""

    seen: Annotated[str, Field(max_length=64)]
    """The digest of the document that was shown."""
    answer: Annotated[str, Field(pattern=f"^({RECORD}|{REFUSE})$")]
    country: Line = ""
    mechanism: Line = ""
    safeguard: Line = ""
    datasets: Line = ""
    confirmed: Line = ""


@router.post("/discover", dependencies=[OurForm])
def discover(
    request: Request, place: CurrentContext, login: LoggedIn, asked: Annotated[ProviderForm, Form()]
) -> Response:
    """Show what the document of a domain says. It records nothing."""
    permit(place, login, Action.RECIPIENTS)
    try:
        found = _fetched(place, asked)
    except PortabilityError as error:
        return _refused(request, place, asked, error)
    return _shown(request, place, asked, found)


@router.post("/discovered", dependencies=[OurForm])
def decide(
    request: Request, place: CurrentContext, login: LoggedIn, decided: Annotated[ProviderDecisionForm, Form()]
) -> Response:
    """Ask for the decision once more; then record the provider by its document, or refuse it."""
    actor = permit(place, login, Action.RECIPIENTS)
    try:
        found = _fetched(place, decided)
    except PortabilityError as error:
        return _refused(request, place, decided, error)
    if fault := _fault(place, decided, found):
        return _shown(request, place, decided, found, alert=fault, status=400)
    if not decided.confirmed:
        return _shown(request, place, decided, found, sure=decided.answer)
    if decided.answer == REFUSE:
        with place.writing() as connection:
            provider_documents.refuse(connection, found, actor=str(actor))
        rendering.flash(request, "provider_refused")
        return rendering.see_other(HERE)
    return recorded_page(request, place, _entry(place, decided, found), actor)


def _fault(place: AppContext, decided: ProviderDecisionForm, found: ProviderDocument) -> str | None:
    """Return the sentence about what stops a decision; None: nothing does."""
    if found.digest != decided.seen:
        return "provider_changed"
    if decided.answer == REFUSE:
        return None
    if not decided.country:
        return "provider_country"
    try:
        _entry(place, decided, found)
    except BadInput:
        return "provider_terms"
    return None


def _entry(place: AppContext, decided: ProviderDecisionForm, found: ProviderDocument) -> RecipientEntry:
    """Return what is recorded of a provider by its document and the officer's terms. Raises BadInput."""
    return recipients.checked(
        SafeHttpClient.of(place.settings),
        place.settings.country,
        name=found.name,
        **{name: getattr(found, name) for name in ("domain", "age_key", "jwks_url", "webhook_url", "redirect_uris")},
        country=decided.country,
        mechanism=decided.mechanism or None,
        safeguard=decided.safeguard or None,
        datasets=decided.datasets.split(",") if decided.datasets.strip() else None,
        exporters=place.exporters,
    )


def _fetched(place: AppContext, asked: ProviderForm) -> ProviderDocument:
    client = SafeHttpClient.of(place.settings)
    domain, present = asked.domain.strip().lower().rstrip("."), place.clock.present()
    return provider_documents.discover(client, domain, asked.url or None, present)


def _refused(request: Request, place: AppContext, asked: ProviderForm, error: PortabilityError) -> Response:
    """Show the form again, with what was wrong with the document."""
    name = f"fault_{error.code}"
    known = locale.find(locale.SOURCE, f"pages.{name}")
    return shown_page(request, place, asked=asked, alert=name if known else "fault_wrong_provider", status=400)


def _shown(
    request: Request,
    place: AppContext,
    asked: ProviderForm,
    found: ProviderDocument,
    *,
    sure: str | None = None,
    status: int = 200,
    **more: Any,  # noqa: ANN401  # what the template shows
) -> Response:
    keys = sorted(found.keys, key=lambda public: (bool(public.revoked_at), bool(public.retired_at), public.key.kid))
    return rendering.page(
        request,
        "provider.html",
        status=status,
        path=HERE,
        found=found,
        fingerprint=age_keys.fingerprint(found.age_key),
        keys=keys,
        asked=asked,
        given=asked if isinstance(asked, ProviderDecisionForm) else None,
        sure=sure,
        needs_approval=place.settings.needs_approvals,
        mechanisms=[*Mechanism],
        countries=values.countries(rendering.language(request), COUNTRIES),
        **more,
    )
