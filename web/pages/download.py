"""`/d/{token}`: the landing page of a link, and the download itself (R42, R43).

GET and HEAD consume nothing, so mail scanners and previews do not use up a download. A POST claims a download of a
volume; the address of the claim may be requested again, in ranges, until the claim expires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection, RowMapping

from portability.api.storages import PresigningStorage
from portability.api.times import rfc3339
from portability.delivery import codes, limits, links
from portability.delivery.links import Audience
from portability.errors import LinkInvalid
from portability.people.actor_names import ADDRESS_ISSUER
from portability.requests import exports
from portability.requests.policy import Action, Actor, Facts
from portability.requests.states import ExportState
from portability.transfers import sending
from web import problems, rendering, sessions, volume_answers
from web.auth import NotLoggedIn, OurForm, check_form, permit, present_login
from web.context import AppContext, CurrentContext
from web.headers import policy_with_forms_to
from web.logins import Login
from web.pages import copy_status, otp_session
from web.running_downloads import RunningDownload
from web.volume_answers import AskedBytes, VolumeNumber

router = APIRouter(prefix="/d", include_in_schema=False)

PRESIGNED_SECONDS = 300
Claim = Annotated[str, Query(max_length=100)]


@router.api_route("/{token}", methods=["GET", "HEAD"])
def landing(request: Request, place: CurrentContext, token: str) -> Response:
    """Show what the link leads to, for whom and until when; JSON for programs."""
    with place.reading() as connection:
        link = _resolved(request, place, connection, token)
        volumes = links.volumes(connection, link)
        export = exports.get(connection, link["export_id"])
        denial = copy_status.refusal(connection, place, export, rendering.language(request))
    if problems.for_programs(request) or link["audience"] == Audience.RECIPIENT:
        return rendering.json_answer({**_document(link, volumes), **_transfer(place, link, token)})
    login = sessions.login_of(request, place)
    return rendering.page(
        request,
        "landing.html",
        headers={"Content-Security-Policy": policy_with_forms_to(_storage_origin(place))},
        link=link,
        volumes=volumes,
        denial=denial,
        # A refused transfer leaves the copy: its links lead to the files.
        is_refused=export["state"] == ExportState.DENIED,
        token=token,
        admitted=_admitted(request, link, login) is not None,
        code_sent=otp_session.was_sent(request, link),
        code_seconds=codes.HOLDS_SECONDS,
        login_url=rendering.login_url(f"/d/{token}"),
    )


@router.post("/{token}/code", dependencies=[OurForm])
def send_code(request: Request, place: CurrentContext, token: str) -> Response:
    """Send a one-time code to the verified address, which the page does not show."""
    place.limits.attempt(limits.CODE, "send", rendering.address(request))
    with place.writing() as connection:
        link = _resolved(request, place, connection, token)
        codes.send(connection, place.settings.keys, link)
    otp_session.remember_sent(request, link)
    rendering.flash(request, "code_sent")
    return rendering.see_other(f"/d/{token}")


@router.post("/{token}/code/check", dependencies=[OurForm])
def check_code(
    request: Request, place: CurrentContext, token: str, code: Annotated[str, Form(max_length=20)]
) -> Response:
    """Check the code that the visitor has entered."""
    counted = ("check", rendering.address(request))
    place.limits.check(limits.CODE, *counted)
    with place.writing() as connection:
        link = _resolved(request, place, connection, token)
        is_right = link["audience"] == Audience.CODE and codes.check(connection, place.settings.keys, link, code)
    if is_right:
        otp_session.confirm(request, link)
    else:
        place.limits.attempt(limits.CODE, *counted)
        rendering.alert(request, "code_wrong")
    return rendering.see_other(f"/d/{token}")


@router.get("/{token}/transfer.jwt")
def statement(request: Request, place: CurrentContext, token: str) -> Response:
    """Return the signed statement of a transfer: what is sent, and on whose authorisation."""
    with place.reading() as connection:
        row = _transfer_of(connection, _resolved(request, place, connection, token))
    return Response(row["statement"], media_type="application/jwt")


@router.get("/{token}/volumes.json")
def volume_list(request: Request, place: CurrentContext, token: str) -> Response:
    """Return the list of a transfer's volumes, whose SHA-256 the statement has signed."""
    with place.reading() as connection:
        listed = sending.listed(connection, _transfer_of(connection, _resolved(request, place, connection, token)))
    return Response(listed, media_type="application/json")


@router.post("/{token}/volumes/{number}")
def begin(
    request: Request,
    place: CurrentContext,
    token: str,
    number: VolumeNumber,
    csrf: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Claim a download of a volume and redirect to it. A recipient's program has no session, so it needs no token."""
    login = present_login(request, place)
    with place.reading() as connection:
        link = _resolved(request, place, connection, token)
        actor = _claimant(request, place, connection, link, login, csrf)
        keys = [row["object_key"] for row in links.volumes(connection, link) if row["number"] == number]
    for key in keys:
        place.storage.stat(key)  # a claim of what storage does not have would use up a download
    with place.writing() as connection:
        return begun(connection, place, link, token, number, actor=actor)


def _claimant(
    request: Request, place: AppContext, connection: Connection, link: RowMapping, login: Login | None, csrf: str
) -> str:
    """Return who claims a download, for the audit log. Raises NotLoggedIn, LinkInvalid."""
    if link["audience"] == Audience.RECIPIENT:
        return f"recipient:{sending.get(connection, link['transfer_id'])['recipient_id']}"
    check_form(request, csrf)
    admitted = _admitted(request, link, login)
    if not admitted:
        if login or link["audience"] == Audience.CODE:
            raise LinkInvalid
        raise NotLoggedIn("this download needs a login")
    if login and link["audience"] != Audience.CODE:
        permit(place, login, Action.DOWNLOAD, _facts(link), export_id=link["export_id"])
    return str(admitted)


@router.api_route("/{token}/volumes/{number}", methods=["GET", "HEAD"])
def volume(
    request: Request,
    place: CurrentContext,
    token: str,
    number: VolumeNumber,
    claim: Claim = "",
    range_header: Annotated[str | None, Header(alias="range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Send the bytes of a claimed volume: from the folder, or by a presigned address of the object storage."""
    with place.reading() as connection:
        link = _resolved(request, place, connection, token)
        stored = links.claimed(connection, link, number, claim)
    # A download manager requests a dozen parts; each changes the row of the download. A recipient fetches thousands
    # of volumes by one link: they are counted each for itself.
    counted = (str(number),) if link["audience"] == Audience.RECIPIENT else ()
    place.limits.attempt(limits.LINK, link["id"], *counted)
    if request.method != "HEAD" and isinstance(place.storage, PresigningStorage):
        # The storage answers the browser itself, so what it has lost would count as delivered.
        place.storage.stat(stored["object_key"])
        address = place.storage.presigned(stored["object_key"], name=stored["file"], seconds=PRESIGNED_SECONDS)
        RunningDownload.begin(place, link, stored, claim, volume_answers.device(request), by_storage=True)
        return RedirectResponse(address, 302)

    def check_link() -> None:
        with place.reading() as connection:
            links.claimed(connection, links.resolve(connection, place.settings.keys, token), number, claim)

    asked = AskedBytes(request, range_header, if_range)
    return volume_answers.answer(place, asked, link, stored, claim, check=check_link)


def begun(
    connection: Connection, place: AppContext, link: Mapping[Any, Any], token: str, number: int, *, actor: str
) -> Response:
    """Claim a download of a volume and redirect to it. Raises LinkInvalid."""
    settings = place.settings
    claim = links.claim(
        connection,
        link,
        number,
        actor=actor,
        claims_max=settings.link_claims_max,
        claim_seconds=settings.link_claim_seconds,
    )
    return rendering.see_other(f"/d/{token}/volumes/{number}?claim={claim}")


def _resolved(request: Request, place: AppContext, connection: Connection, token: str) -> RowMapping:
    """Return the link of a token. Only wrong tokens are counted, so scanners do not use up their reader's attempts."""
    try:
        return links.resolve(connection, place.settings.keys, token)
    except LinkInvalid:
        place.limits.attempt(limits.LINK, "wrong", rendering.address(request))
        raise


def _admitted(request: Request, link: RowMapping, login: Login | None) -> Actor | None:
    """Return the actor as which the visitor may use the link; None where they may not."""
    if link["audience"] == Audience.CODE:
        confirmed = otp_session.is_confirmed(request, link)
        return Actor("subject", link["subject_ref"], issuer=ADDRESS_ISSUER) if confirmed else None
    if login is None:
        return None
    return next((actor for actor in login.actors() if links.admits(link, actor)), None)


def _facts(link: RowMapping) -> Facts:
    return Facts(
        link["subject_kind"],
        link["subject_id"],
        link["tenant"],
        to_admin=link["audience"] == Audience.TENANT_ADMIN,
    )


def _document(link: RowMapping, volumes: Sequence[RowMapping]) -> dict[str, object]:
    rows = [{"name": v["file"], **{name: v[name] for name in ("number", "bytes", "sha256")}} for v in volumes]
    facts = {
        "state": link["export_state"],
        "audience": link["audience"],
        "expires_at": rfc3339(link["expires_at"]),
    }
    return {"export": link["export_id"], **facts, "volumes": rows}


def _transfer_of(connection: Connection, link: RowMapping) -> RowMapping:
    """Return the transfer that a recipient's link is for. Raises LinkInvalid for the link of a person."""
    if link["transfer_id"]:
        return sending.get(connection, link["transfer_id"])
    raise LinkInvalid


def _transfer(place: AppContext, link: RowMapping, token: str) -> dict[str, object]:
    """Return what a recipient needs beside the volumes; empty for other links."""
    if link["transfer_id"] is None:
        return {}
    base, transfer_id = place.settings.base_url.rstrip("/"), link["transfer_id"]
    transfer = {
        "id": transfer_id,
        "statement_url": f"{base}/d/{token}/transfer.jwt",
        "volumes_url": f"{base}/d/{token}/volumes.json",
        "receipt_url": f"{base}/v1/transfers/{transfer_id}/receipt",
        "jwks_url": f"{base}/.well-known/jwks.json",
    }
    return {"transfer": transfer}


def _storage_origin(place: AppContext) -> str | None:
    """Return the origin at which the form's redirects end: browsers apply the policy to redirects too."""
    if not isinstance(place.storage, PresigningStorage):
        return None
    address = place.storage.presigned("origin", name="origin.zip", seconds=1)
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
