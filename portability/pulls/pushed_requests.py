"""Pushed requests (RFC 9126): what a provider asks a person for, and the person's answer to it.

A request is used up by the answer. The answer's code counts once, for a minute, with the verifier of the request
(PKCE, RFC 7636) and the key that the request named (RFC 9449, 10).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from authlib.common.urls import add_params_to_uri
from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from portability.api.errors import PortabilityError
from portability.database import deployment, models
from portability.database.engine import now
from portability.people import subject_locks, subjects
from portability.pulls import details
from portability.pulls.key_proofs import sha256_base64
from portability.pulls.refusals import OAuthFault, PullRefused, PullReplayed
from portability.requests.policy import Actor
from portability.transfers import authorisations, recipients
from portability.trust import audit

TABLE = models.pull_request
URN = "urn:ietf:params:oauth:request_uri:"
REQUEST_SECONDS = 540
"""How long a person has to decide: less than the 600 seconds of FAPI 2.0."""
CODE_SECONDS = 60
STATE_MAX = 1000
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
PARAMETERS = ("response_type", "redirect_uri", "state", "code_challenge", "code_challenge_method")


def client(connection: Connection, client_id: str) -> RowMapping:
    """Return the approved recipient whose domain is a `client_id`. Raises PullRefused (`invalid_client`)."""
    try:
        row = recipients.approved(connection, client_id)
    except PortabilityError:
        row = None
    if row is None or row["domain"] != client_id:
        raise PullRefused(OAuthFault.INVALID_CLIENT, "client_id is not the domain of an approved provider")
    return row


def push(
    connection: Connection, recipient: Mapping[Any, Any], sent: Mapping[str, str], jkt: str, exporters: Collection[str]
) -> str:
    """Keep what a provider asks for; returns its `request_uri`.

    Args:
        connection: a writing transaction.
        recipient: the provider, which has proved its key.
        sent: the parameters of the request.
        jkt: the thumbprint of the key that it will fetch with.
        exporters: names of the deployment's exporters.

    Raises: PullRefused.
    """
    _check(recipient, sent)
    present = deployment.clock_of(connection)
    wanted = details.parsed(sent.get("authorization_details", ""), recipient, exporters, present)
    handle, identifier = secrets.token_urlsafe(32), f"prq_{secrets.token_hex(10)}"
    values = {
        "id": identifier,
        "handle_sha256": sha256(handle),
        "recipient_id": recipient["id"],
        **{name: sent.get(name) for name in ("redirect_uri", "state", "code_challenge")},
        "dpop_jkt": jkt,
        "datasets": list(wanted.datasets),
        "until": wanted.until,
        "created_at": now(),
        "expires_at": now(REQUEST_SECONDS),
    }
    connection.execute(insert(TABLE).values(**values))
    detail: audit.Detail = {"request": identifier, "datasets": len(wanted.datasets), "once": wanted.until is None}
    audit.record(connection, "pull.requested", actor=f"recipient:{recipient['id']}", detail=detail)
    return f"{URN}{handle}"


def _check(recipient: Mapping[Any, Any], sent: Mapping[str, str]) -> None:
    fault, wrong = OAuthFault.INVALID_REQUEST, None
    if sent.get("response_type") != "code":
        fault, wrong = OAuthFault.UNSUPPORTED_RESPONSE_TYPE, "response_type must be code"
    elif sent.get("redirect_uri") not in (recipient["redirect_uris"] or []):
        wrong = "redirect_uri is not exactly one of those that are recorded of the provider"
    elif sent.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(sent.get("code_challenge", "")):
        wrong = "code_challenge must be SHA-256 as base64url, and code_challenge_method S256"
    elif len(state := sent.get("state", "")) > STATE_MAX or not state.isprintable():
        wrong = f"state must have at most {STATE_MAX} printable characters"
    elif {"request", "request_uri"} & sent.keys():
        wrong = "request and request_uri have no place in a pushed request"
    if wrong:
        raise PullRefused(fault, wrong, recipient_id=recipient["id"])


def pending(connection: Connection, handle: str, client_id: str | None = None) -> RowMapping:
    """Return the request of a `request_uri` that awaits a person's answer, with its recipient's name and domain.

    `client_id`: who has to be its provider; None: it was checked before.

    Raises: PullRefused (`invalid_request_uri`): unknown, expired, answered, or of another or a removed provider.
    """
    to = models.recipient.c
    named = [to[name] for name in ("name", "domain", "country", "removed_at")]
    query = select(TABLE, *named).join(models.recipient).where(TABLE.c.handle_sha256 == sha256(handle), _awaits())
    row = connection.execute(query).mappings().one_or_none()
    if row is None or row["removed_at"] or client_id not in {None, row["domain"]}:
        raise PullRefused(
            OAuthFault.INVALID_REQUEST_URI, "the request_uri is unknown, used, expired or not the client's"
        )
    return row


def decline(connection: Connection, row: Mapping[Any, Any], *, actor: str) -> None:
    """Record that a person declines a pending request. Raises PullRefused if it was answered meanwhile."""
    _answer(connection, row)
    detail: audit.Detail = {"request": row["id"], "recipient": row["recipient_id"]}
    audit.record(connection, "pull.declined", actor=actor, detail=detail)


def allow(
    connection: Connection,
    row: Mapping[Any, Any],
    *,
    subject: str,
    datasets: Sequence[str],
    actor: Actor,
    exporters: Collection[str],
) -> str:
    """Record a person's consent to a pending request; returns the code for its provider.

    Args:
        connection: a writing transaction.
        row: the request, as `pending` returned it.
        subject: the person, as `user:ID`.
        datasets: what the person allows of what was asked for.
        actor: the person.
        exporters: names of the deployment's exporters.

    Raises: PullRefused (`invalid_authorization_details`) for what was not asked for; PullRefused if it was answered
    meanwhile; BadDate; UnknownRecipient; WrongState; ErasureRunning.
    """
    if not datasets or not set(datasets) <= set(row["datasets"]):
        fault = OAuthFault.INVALID_AUTHORIZATION_DETAILS
        raise PullRefused(fault, "the consent names what was not asked for", recipient_id=row["recipient_id"])
    subject_locks.lock(connection, subjects.parse(subject, None))  # before the row, as an erasure does
    _answer(connection, row)
    given = {"recipient": row["recipient_id"], "datasets": datasets, "until": row["until"], "actor": actor}
    consent = authorisations.give(connection, subject=subject, dpop_jkt=row["dpop_jkt"], exporters=exporters, **given)
    code = secrets.token_urlsafe(32)
    kept = {"authorisation_id": consent, "code_sha256": sha256(code), "code_expires_at": now(CODE_SECONDS)}
    connection.execute(update(TABLE).where(TABLE.c.id == row["id"]).values(**kept))
    narrowed = len(set(row["datasets"])) - len(set(datasets))
    detail: audit.Detail = {"request": row["id"], "authorisation": consent, "narrowed": narrowed}
    audit.record(connection, "pull.allowed", actor=str(actor), detail=detail)
    return code


def answer_uri(row: Mapping[Any, Any], issuer: str, **answer: str) -> str:
    """Return the address that leads a person back to the provider, with the answer and who gives it (RFC 9207)."""
    state = {"state": row["state"]} if row["state"] is not None else {}
    return str(add_params_to_uri(row["redirect_uri"], [*{**answer, **state, "iss": issuer}.items()]))


def use_code(
    connection: Connection, recipient: Mapping[Any, Any], code: str, redirect_uri: str, verifier: str, jkt: str
) -> str:
    """Use up a code; returns the id of its consent.

    Raises: PullReplayed if it was used before; PullRefused (`invalid_grant`) if anything does not belong together.
    """
    query = select(TABLE, (TABLE.c.code_expires_at > now()).label("lives")).where(TABLE.c.code_sha256 == sha256(code))
    row = connection.execute(query).mappings().one_or_none()
    whose = {"recipient_id": recipient["id"]}
    if row is None or row["recipient_id"] != recipient["id"]:
        raise PullRefused(OAuthFault.INVALID_GRANT, "the code is unknown, or of another provider", **whose)
    if row["code_used_at"]:
        raise PullReplayed("the code was used before", authorisation_id=row["authorisation_id"], **whose)
    proved = bool(VERIFIER.fullmatch(verifier)) and hmac.compare_digest(sha256_base64(verifier), row["code_challenge"])
    checks = {
        "code_verifier": proved,
        "redirect_uri": row["redirect_uri"] == redirect_uri,
        "key": row["dpop_jkt"] == jkt,
    }
    if wrong := [name for name, fits in {**checks, "time": row["lives"]}.items() if not fits]:
        raise PullRefused(OAuthFault.INVALID_GRANT, f"the code does not fit: {', '.join(wrong)}", **whose)
    unused = update(TABLE).where(TABLE.c.id == row["id"], TABLE.c.code_used_at.is_(None))
    if not connection.execute(unused.values(code_used_at=now())).rowcount:
        raise PullReplayed("the code was used before", authorisation_id=row["authorisation_id"], **whose)
    return str(row["authorisation_id"])


def sha256(secret: str) -> str:
    """Return what is kept of a code or token."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _awaits() -> ColumnElement[bool]:
    return TABLE.c.decided_at.is_(None) & (TABLE.c.expires_at > now())


def _answer(connection: Connection, row: Mapping[Any, Any]) -> None:
    answered = update(TABLE).where(TABLE.c.id == row["id"], _awaits()).values(decided_at=now())
    if not connection.execute(answered).rowcount:
        raise PullRefused(OAuthFault.INVALID_REQUEST_URI, "the request is used", recipient_id=row["recipient_id"])
