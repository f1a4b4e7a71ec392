"""`/d/{token}`: the landing page of a link, and the download itself (R42, R43).

GET and HEAD consume nothing, so that a mail scanner or a preview takes nothing away. A POST claims one download of
one volume; the claim's address may be fetched again, in ranges, until its window ends.
"""

from __future__ import annotations

import base64
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection, RowMapping

from portability import approvals, codes, exports, limits, links, transfers
from portability.links import Audience
from portability.policy import Action, Actor, Facts
from portability.refusals import LinkInvalid
from portability.storage import PresigningStorage
from web import confirmed, pages, problems
from web.auth import Login, NotLoggedIn, OurForm, check_form, permit, session_login
from web.headers import policy_with_forms_to
from web.place import Here, Place
from web.ranges import Part, Unsatisfiable, wanted
from web.stream import VolumeStream

router = APIRouter(prefix="/d", include_in_schema=False)

PRESIGNED_SECONDS = 300
Claim = Annotated[str, Query(max_length=100)]


@router.api_route("/{token}", methods=["GET", "HEAD"])
def landing(request: Request, place: Here, token: str) -> Response:
    """What there is to download, for whom and until when; JSON for programs."""
    with place.reading() as connection:
        link = _resolved(request, place, connection, token)
        volumes = links.volumes(connection, link)
        denial = approvals.denial(connection, link["export_id"])
    if problems.for_programs(request) or link["audience"] == Audience.RECIPIENT:
        return pages.json_answer({**_document(link, volumes), **_transfer(place, link, token)})
    login = session_login(request, place)
    return pages.page(
        request,
        "landing.html",
        headers={"Content-Security-Policy": policy_with_forms_to(_storage_origin(place))},
        link=link,
        volumes=volumes,
        denial=denial,
        token=token,
        admitted=_admitted(request, link, login) is not None,
        code_sent=confirmed.was_sent(request, link),
        login_url=pages.login_url(f"/d/{token}"),
    )


@router.post("/{token}/code", dependencies=[OurForm])
def send_code(request: Request, place: Here, token: str) -> Response:
    """Send a one-time code to the verified address; who that is, the page does not say."""
    place.limits.attempt(limits.CODE, "send", pages.address(request))
    with place.writing() as connection:
        link = _resolved(request, place, connection, token)
        codes.send(connection, place.settings.keys, link)
    confirmed.remember_sent(request, link)
    pages.flash(request, "code_sent")
    return pages.see_other(f"/d/{token}")


@router.post("/{token}/code/check", dependencies=[OurForm])
def check_code(request: Request, place: Here, token: str, code: Annotated[str, Form(max_length=20)]) -> Response:
    """The code that came."""
    place.limits.attempt(limits.CODE, "check", pages.address(request))
    with place.writing() as connection:
        link = _resolved(request, place, connection, token)
        is_right = link["audience"] == Audience.CODE and codes.check(connection, place.settings.keys, link, code)
    if is_right:
        confirmed.confirm(request, link)
    else:
        pages.flash(request, "code_wrong")
    return pages.see_other(f"/d/{token}")


@router.get("/{token}/transfer.jwt")
def statement(request: Request, place: Here, token: str) -> Response:
    """Of a recipient's link: the signed statement of what is sent, on whose authorisation."""
    with place.reading() as connection:
        link = _resolved(request, place, connection, token)
        if link["transfer_id"] is None:
            raise LinkInvalid
        row = transfers.get(connection, link["transfer_id"])
    return Response(row["statement"], media_type="application/jwt")


@router.post("/{token}/volumes/{number}")
def begin(
    request: Request, place: Here, token: str, number: int, csrf: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    """Claim a download of one volume and go to it. A recipient's program has no session that could be abused."""
    login = session_login(request, place)
    with place.writing() as connection:
        link = _resolved(request, place, connection, token)
        if link["audience"] == Audience.RECIPIENT:
            actor = f"recipient:{transfers.get(connection, link['transfer_id'])['recipient_id']}"
            return begun(connection, place, link, token, number, actor=actor)
        check_form(request, csrf)
        admitted = _admitted(request, link, login)
        if admitted is None:
            if login is None and link["audience"] != Audience.CODE:
                raise NotLoggedIn("the download is for somebody who is logged in")
            raise LinkInvalid
        if login is not None and link["audience"] != Audience.CODE:
            permit(place, login, Action.DOWNLOAD, _facts(link))
        return begun(connection, place, link, token, number, actor=str(admitted))


@router.api_route("/{token}/volumes/{number}", methods=["GET", "HEAD"])
def volume(
    request: Request,
    place: Here,
    token: str,
    number: int,
    claim: Claim = "",
    range_header: Annotated[str | None, Header(alias="range", max_length=200)] = None,
    if_range: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """The bytes that a claim opens: from the folder, or by a fresh address of the object storage."""
    with place.reading() as connection:
        link = _resolved(request, place, connection, token)
        stored = links.claimed(connection, link, number, claim)
    # A download manager asks for a dozen parts; each leaves an event in the audit log.
    place.limits.attempt(limits.LINK, link["id"])
    headers = _volume_headers(stored)
    if request.method == "HEAD":
        return Response(None, 200, {**headers, "Content-Length": str(stored["bytes"])}, _media_type(stored))
    if isinstance(place.storage, PresigningStorage):
        address = place.storage.presigned(stored["object_key"], name=stored["file"], seconds=PRESIGNED_SECONDS)
        _told(place, link, number, claim, sent_bytes=stored["bytes"], complete=True)
        return RedirectResponse(address, 302)
    try:
        part = wanted(range_header, if_range, etag=headers["ETag"], size=stored["bytes"])
    except Unsatisfiable:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{stored['bytes']}"})
    return _streamed(place, link, stored, claim, token, part, headers)


def begun(
    connection: Connection, place: Place, link: Mapping[Any, Any], token: str, number: int, *, actor: str
) -> Response:
    """Claim one download of a volume and lead there. Raises LinkInvalid."""
    settings = place.settings
    limits = {"claims_max": settings.link_claims_max, "claim_seconds": settings.link_claim_seconds}
    claim = links.claim(connection, link, number, actor=actor, **limits)
    return pages.see_other(f"/d/{token}/volumes/{number}?claim={claim}")


def _resolved(request: Request, place: Place, connection: Connection, token: str) -> RowMapping:
    """The link of a token. Wrong ones are counted, right ones are not: a scanner takes nothing from its reader."""
    try:
        return links.resolve(connection, place.settings.keys, token)
    except LinkInvalid:
        place.limits.attempt(limits.LINK, "wrong", pages.address(request))
        raise


def _streamed(
    place: Place,
    link: RowMapping,
    stored: RowMapping,
    claim: str,
    token: str,
    part: Part | None,
    headers: Mapping[str, str],
) -> Response:
    size, number = stored["bytes"], stored["number"]
    status = 200 if part is None else 206
    sent = part or Part(0, size - 1)
    ranged = {} if part is None else {"Content-Range": f"bytes {part.first}-{part.last}/{size}"}
    blocks = _begun(place.storage.read(stored["object_key"], sent.first))

    def lives() -> None:
        with place.reading() as connection:
            links.claimed(connection, links.resolve(connection, place.settings.keys, token), number, claim)

    def ended(count: int) -> None:
        complete = sent.first + count == size
        _told(place, link, number, claim, sent_bytes=count, complete=complete)

    return VolumeStream(blocks, sent, status, {**headers, **ranged}, _media_type(stored), lives=lives, ended=ended)


def _begun(blocks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same blocks, the first one read already: an error of storage can still be an answer."""
    first = next(blocks, b"")

    def all_of_them() -> Generator[bytes, None, None]:
        yield first
        yield from blocks

    return all_of_them()


def _told(place: Place, link: RowMapping, number: int, claim: str, *, sent_bytes: int, complete: bool) -> None:
    actor = f"link:{link['id']}"
    with place.writing() as connection:
        links.opened(connection, link, number, claim, actor=actor, sent_bytes=sent_bytes, complete=complete)


def _volume_headers(stored: RowMapping) -> dict[str, str]:
    """What a download manager needs. The name has an opaque id in it, and no personal data (R43)."""
    name = stored["file"]
    digest = base64.b64encode(bytes.fromhex(stored["sha256"])).decode()
    return {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}",
        "ETag": f'"{stored["sha256"]}"',
        "Repr-Digest": f"sha-256=:{digest}:",  # of the whole volume, in every part of it (RFC 9530)
    }


def _admitted(request: Request, link: RowMapping, login: Login | None) -> Actor | None:
    """As whom the visitor may use the link."""
    if link["audience"] == Audience.CODE:
        return Actor("subject", link["subject_ref"]) if confirmed.is_confirmed(request, link) else None
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
    told = {
        "state": link["export_state"],
        "audience": link["audience"],
        "expires_at": exports.rfc3339(link["expires_at"]),
    }
    return {"export": link["export_id"], **told, "volumes": rows}


def _transfer(place: Place, link: RowMapping, token: str) -> dict[str, object]:
    """What a recipient needs beside the volumes."""
    if link["transfer_id"] is None:
        return {}
    base, transfer_id = place.settings.base_url.rstrip("/"), link["transfer_id"]
    told = {
        "id": transfer_id,
        "statement_url": f"{base}/d/{token}/transfer.jwt",
        "receipt_url": f"{base}/v1/transfers/{transfer_id}/receipt",
        "jwks_url": f"{base}/.well-known/jwks.json",
    }
    return {"transfer": told}


def _media_type(stored: RowMapping) -> str:
    return "application/zip" if stored["file"].endswith(".zip") else "application/octet-stream"


def _storage_origin(place: Place) -> str | None:
    """Where the form's redirects end: browsers hold a form to its policy all the way."""
    if not isinstance(place.storage, PresigningStorage):
        return None
    address = place.storage.presigned("origin", name="origin.zip", seconds=1)
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
