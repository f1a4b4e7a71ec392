"""The authorization server for providers that ask people for a copy: its metadata, pushed requests, tokens.

The profile is that of FAPI 2.0: docs/pull.md has it for other providers, so none of it is in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import RowMapping
from starlette.concurrency import run_in_threadpool

from portability.api import JSON
from portability.delivery import limits
from portability.pulls import details, key_proofs, pushed_requests, tokens
from portability.pulls.refusals import OAuthFault, PullRefused, PullReplayed
from portability.pulls.tokens import GrantedTokens
from portability.safe_http import RemoteUnavailable, SafeHttpClient
from portability.transfers import authorisations, key_sets
from portability.transfers.authorisations import UnknownAuthorisation
from portability.trust.signing import ALGORITHMS
from web import rendering
from web.api.public import SHARED
from web.context import AppContext, CurrentContext
from web.oauth_server import AUTHORIZE, PAR, REVOKE, TOKEN, issuer

router = APIRouter(include_in_schema=False)
FORM = "application/x-www-form-urlencoded"
PARAMETER_MAX = 8000
NO_STORE = {"Cache-Control": "no-store"}


@router.get("/.well-known/oauth-authorization-server")
def server_metadata(place: CurrentContext) -> Response:
    """Return the metadata of the authorization server (RFC 8414)."""
    base = issuer(place)
    document: dict[str, JSON] = {
        "issuer": base,
        "authorization_endpoint": f"{base}{AUTHORIZE}",
        "token_endpoint": f"{base}{TOKEN}",
        "pushed_authorization_request_endpoint": f"{base}{PAR}",
        "revocation_endpoint": f"{base}{REVOKE}",
        "require_pushed_authorization_requests": True,
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": [details.TYPE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": ["private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "protected_resources": [base],
    }
    return rendering.json_answer(document, headers=SHARED)


@router.get("/.well-known/oauth-protected-resource")
def resource_metadata(place: CurrentContext) -> Response:
    """Return the metadata of the copies as a protected resource (RFC 9728)."""
    base = issuer(place)
    document: dict[str, JSON] = {
        "resource": base,
        "authorization_servers": [base],
        "authorization_details_types_supported": [details.TYPE],
        "bearer_methods_supported": [],
        "dpop_bound_access_tokens_required": True,
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "resource_name": place.brand.name,
    }
    return rendering.json_answer(document, headers=SHARED)


@router.post(PAR)
async def push(request: Request, place: CurrentContext) -> Response:
    """Keep what a provider asks for, and return its `request_uri` (RFC 9126)."""
    sent = await _form(request)
    return await run_in_threadpool(_push, request, place, sent)


@router.post(TOKEN)
async def token(request: Request, place: CurrentContext) -> Response:
    """Return tokens for a code or a refresh token (RFC 6749, 3.2)."""
    sent = await _form(request)
    return await run_in_threadpool(_grant, request, place, sent)


@router.post(REVOKE)
async def revoke(request: Request, place: CurrentContext) -> Response:
    """End the consent of a token: the provider no longer needs it (RFC 7009)."""
    sent = await _form(request)
    return await run_in_threadpool(_revoke, request, place, sent)


def _push(request: Request, place: AppContext, sent: Mapping[str, str]) -> Response:
    client = _authenticated(request, place, sent)
    proofs = request.headers.getlist("dpop")
    jkt = _proved(request, place, client, PAR) if proofs else sent.get("dpop_jkt", "")
    if not pushed_requests.CHALLENGE.fullmatch(jkt) or sent.get("dpop_jkt", jkt) != jkt:
        message = "a DPoP proof or dpop_jkt must name the key that the provider fetches with"
        raise PullRefused(OAuthFault.INVALID_DPOP_PROOF, message, recipient_id=client["id"])
    with place.writing() as connection:
        uri = pushed_requests.push(connection, client, sent, jkt, place.exporters)
    return rendering.json_answer({"request_uri": uri, "expires_in": pushed_requests.REQUEST_SECONDS}, 201)


def _grant(request: Request, place: AppContext, sent: Mapping[str, str]) -> Response:
    client = _authenticated(request, place, sent)
    jkt = _proved(request, place, client, TOKEN)
    match sent.get("grant_type"):
        case "authorization_code":
            given = [sent.get(name, "") for name in ("code", "redirect_uri", "code_verifier")]
            granted = _granted(place, lambda: _exchange(place, client, given, jkt))
        case "refresh_token":
            granted = _granted(place, lambda: _refresh(place, client, sent.get("refresh_token", ""), jkt))
        case _:
            message = "grant_type must be authorization_code or refresh_token"
            raise PullRefused(OAuthFault.UNSUPPORTED_GRANT_TYPE, message, recipient_id=client["id"])
    return rendering.json_answer(granted.to_json(), headers=NO_STORE)


def _revoke(request: Request, place: AppContext, sent: Mapping[str, str]) -> Response:
    client = _authenticated(request, place, sent)
    with place.writing() as connection:
        consent_id = tokens.consent_of(connection, client, sent.get("token", ""))
        # RFC 7009, 2.2: a token that is unknown or has ended is as good as revoked.
        if consent_id is not None:
            with suppress(UnknownAuthorisation):
                authorisations.revoke(connection, consent_id, actor=f"recipient:{client['id']}")
    return rendering.json_answer({}, headers=NO_STORE)


def _exchange(place: AppContext, client: RowMapping, given: list[str], jkt: str) -> GrantedTokens:
    code, redirect_uri, verifier = given
    with place.writing() as connection:
        return tokens.exchange(connection, client, code, redirect_uri, verifier, jkt)


def _refresh(place: AppContext, client: RowMapping, token: str, jkt: str) -> GrantedTokens:
    with place.writing() as connection:
        return tokens.refresh(connection, client, token, jkt)


def _granted(place: AppContext, grant: Callable[[], GrantedTokens]) -> GrantedTokens:
    """Return tokens; a second use of a code or refresh token ends the consent, in a transaction that stays."""
    try:
        return grant()
    except PullReplayed as replay:
        with suppress(UnknownAuthorisation), place.writing() as connection:
            authorisations.revoke(connection, replay.authorisation_id, actor=f"recipient:{replay.recipient_id}")
        raise


def _authenticated(request: Request, place: AppContext, sent: Mapping[str, str]) -> RowMapping:
    """Return the approved provider that has signed the request's assertion (RFC 7523).

    Raises: PullRefused; RemoteUnavailable if too many requests wait for the provider's key set.
    """
    place.limits.attempt(limits.PULL, rendering.address(request))
    assertion = sent.get("client_assertion", "")
    if sent.get("client_assertion_type") != key_proofs.ASSERTION_TYPE:
        raise PullRefused(OAuthFault.INVALID_CLIENT, "the provider must authenticate with private_key_jwt")
    named = key_proofs.asserted_client(assertion)
    if sent.get("client_id", named) != named:
        raise PullRefused(OAuthFault.INVALID_CLIENT, "client_id is not the `sub` of the client assertion")
    with place.reading() as connection:
        client = pushed_requests.client(connection, named)
    with place.outbound.to(client["id"]):
        try:
            jwks = key_sets.fetch(SafeHttpClient.of(place.settings), client["jwks_url"])
        except RemoteUnavailable as error:
            raise PullRefused(OAuthFault.INVALID_CLIENT, str(error), recipient_id=client["id"]) from None
    present = place.clock.present()
    key_proofs.check_assertion(assertion, jwks, client, issuer(place), place.limits.is_first_use, present)
    return client


def _proved(request: Request, place: AppContext, client: RowMapping, path: str) -> str:
    """Return the thumbprint of the key of the request's DPoP proof. Raises PullRefused."""
    try:
        return key_proofs.check_proof(
            request.headers.getlist("dpop"),
            method=request.method,
            url=f"{issuer(place)}{path}",
            first_use=place.limits.is_first_use,
            present=place.clock.present(),
        )
    except PullRefused as refused:
        refused.recipient_id = client["id"]
        raise


async def _form(request: Request) -> Mapping[str, str]:
    """Return the parameters of a form, each once (RFC 6749, 3.2). Raises PullRefused (`invalid_request`)."""
    fault = OAuthFault.INVALID_REQUEST
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise PullRefused(fault, f"the body must be {FORM}")
    pairs = (await request.form()).multi_items()
    # A parameter without a value counts as left out (RFC 6749, 3.2).
    sent = {name: value for name, value in pairs if isinstance(value, str) and value}
    if len({name for name, _ in pairs}) != len(pairs) or any(len(value) > PARAMETER_MAX for value in sent.values()):
        raise PullRefused(fault, f"each parameter must come once, with at most {PARAMETER_MAX} characters")
    return sent
