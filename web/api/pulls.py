"""`/v1/pulls`: a provider starts the copy that a person has consented to, follows it, and fetches its volumes.

Each request has an access token and a DPoP proof of the key that the token is bound to (RFC 9449, 7).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection, RowMapping

from portability.delivery import limits, links
from portability.errors import LinkInvalid
from portability.law.profiles import Profile
from portability.pulls import copies, key_proofs, tokens
from portability.pulls.refusals import OAuthFault, PullRefused
from portability.requests import intake
from portability.sources import PlatformSources
from portability.transfers import sending
from web import asking, rendering, volume_answers
from web.context import AppContext, CurrentContext
from web.head_requests import asked_method
from web.oauth_server import issuer
from web.volume_answers import AskedBytes, VolumeNumber

router = APIRouter(prefix="/v1/pulls", include_in_schema=False)
SCHEME = "dpop"


def _consent(request: Request, place: CurrentContext) -> RowMapping:
    """Return the consent that a request's token stands for; wrong tokens and proofs count. Raises PullRefused."""
    counted = ("token", rendering.address(request))
    place.limits.check(limits.LINK, *counted)
    try:
        return _checked(request, place)
    except PullRefused:
        place.limits.attempt(limits.LINK, *counted)
        raise


def _checked(request: Request, place: AppContext) -> RowMapping:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != SCHEME or not token:
        raise PullRefused(OAuthFault.INVALID_TOKEN, "the request has no access token with the scheme DPoP")
    jkt = key_proofs.check_proof(
        request.headers.getlist("dpop"),
        method=asked_method(request),
        url=f"{issuer(place)}{request.url.path}",
        first_use=place.limits.is_first_use,
        present=place.clock.present(),
        token=token,
    )
    with place.reading() as connection:
        return tokens.access(connection, token, jkt)


Consent = Annotated[RowMapping, Depends(_consent)]
"""The consent of the request's access token. Raises PullRefused."""


@router.post("")
def start(
    place: CurrentContext,
    consent: Consent,
    only_changes: Annotated[bool, Query(alias="changes")] = False,
    restart: Annotated[bool, Query()] = False,
) -> Response:
    """Start a copy: 201. While one is under way, or if the consent was for one copy that was sent, it is that: 200."""
    place.limits.attempt(limits.REQUEST, consent["id"])
    request = asking.wanted(
        place,
        profile=Profile.PORTABILITY,
        subject=f"{consent['subject_kind']}:{consent['subject_id']}",
        include=consent["datasets"],
        channel="pull",
    )
    settings = place.settings
    changed_at = intake.contact_changed_at(settings, PlatformSources(settings), request)
    with place.writing() as connection:
        pull_id, is_new = copies.start(
            connection,
            settings,
            consent,
            request,
            contact_changed_at=changed_at,
            only_changes=only_changes,
            is_restart=restart,
        )
        row = copies.get(connection, consent, pull_id)
        seen = copies.view(connection, row, consent, issuer(place))
    place.wake(row["export_id"])
    return rendering.json_answer(seen, 201 if is_new else 200, headers={"Location": f"/v1/pulls/{pull_id}"})


@router.get("/{pull_id}")
def show(place: CurrentContext, consent: Consent, pull_id: str) -> Response:
    """Return the state of a copy, and its volumes once they can be fetched."""
    with place.reading() as connection:
        row = copies.get(connection, consent, pull_id)
        return rendering.json_answer(copies.view(connection, row, consent, issuer(place)))


@router.get("/{pull_id}/volumes.json")
def volume_list(place: CurrentContext, consent: Consent, pull_id: str) -> Response:
    """Return the list of the volumes, whose SHA-256 the statement has signed."""
    with place.reading() as connection:
        link = _link(connection, consent, pull_id)
        listed = sending.listed(connection, sending.get(connection, link["transfer_id"]))
    return Response(listed, media_type="application/json")


@router.api_route("/{pull_id}/volumes/{number}", methods=["GET", "HEAD"])
def volume(
    request: Request,
    place: CurrentContext,
    consent: Consent,
    pull_id: str,
    number: VolumeNumber,
    range_header: Annotated[str | None, Header(alias="range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Send the bytes of an encrypted volume, or a range of them.

    They come from this process for every storage: an address of the storage would count without the key.
    """
    place.limits.attempt(limits.LINK, pull_id, str(number))
    link, stored, claim = _claimed(place, consent, pull_id, number)

    def check_consent() -> None:
        with place.reading() as connection:
            _link(connection, consent, pull_id)

    asked = AskedBytes(request, range_header, if_range)
    return volume_answers.answer(place, asked, link, stored, claim, check=check_consent)


def _claimed(place: AppContext, consent: RowMapping, pull_id: str, number: int) -> tuple[RowMapping, RowMapping, str]:
    """Return the link of a copy's transfer, the volume and its claim, which is one for all requests for the volume."""
    with place.reading() as connection:
        link = _link(connection, consent, pull_id)
    claim = f"{link['id']} {number}"
    try:
        with place.reading() as connection:
            return link, links.claimed(connection, link, number, claim), claim
    except LinkInvalid:
        with place.writing() as connection:
            links.claim(
                connection,
                link,
                number,
                actor=f"recipient:{consent['recipient_id']}",
                claims_max=place.settings.link_claims_max,
                claim_seconds=2 * sending.OFFER_SECONDS,  # longer than the link: its end ends the claim
                token=claim,
            )
            return link, links.claimed(connection, link, number, claim), claim


def _link(connection: Connection, consent: RowMapping, pull_id: str) -> RowMapping:
    """Return the living link of a copy's transfer. Raises UnknownPull, LinkInvalid."""
    row = copies.get(connection, consent, pull_id)
    if row["transfer_id"] is None:
        raise LinkInvalid
    return links.of_transfer(connection, row["transfer_id"])
