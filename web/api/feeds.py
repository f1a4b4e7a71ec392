"""`/v1/feeds`: archives of one subject that follow each other; `portability feeds` begins them (docs/feeds.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypedDict, Unpack

import orjson
from fastapi import APIRouter, Header
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import ColumnElement, Connection, RowMapping, and_

from portability.api import JSON
from portability.errors import UnknownExport
from portability.feeds import cursor, feeds, intake
from portability.feeds.errors import StaleCursor, UnknownFeed
from portability.requests.acceptance import Request
from portability.requests.login_strength import Auth
from portability.requests.policy import Action, Actor, Facts
from portability.requests.request_log import Scope
from portability.settings import Settings
from portability.trust import keys
from portability.trust.signing import Jwks, SignatureFault
from web import asking
from web.answers import API_ANSWERS, problem_answers
from web.api import texts
from web.api.feed_answers import FeedAnswer, FeedList, RequestedFeedAnswer
from web.api.strict_bodies import Body, StrictRoute
from web.api.texts import FeedId, Sentence
from web.auth import Caller, permit
from web.context import AppContext, CurrentContext
from web.logins import Login
from web.rendering import json_answer
from web.scopes import actor_for_facts, listing_scope

router = APIRouter(prefix="/v1/feeds", route_class=StrictRoute, responses=API_ANSWERS, tags=["feeds"])

ENDED: dict[str, Any] = {"responses": problem_answers(409)}
OF_COMPANIES = ("tenant", "contact")
"""Kinds of subjects that an administrator sees of their tenant."""


class Taking(TypedDict):
    """What a request is taken with beside itself."""

    actor: Actor
    auth: Auth
    contact_changed_at: datetime | None


class NextArchiveBody(Body):
    """What is asked of the next archive."""

    cursor: texts.FeedCursor | None = Field(
        None, description="The recipient's last cursor, of `changes.json`: the archive must follow it"
    )
    reason: Sentence | None = Field(None, description="Reason, required if the caller is not the subject")


@router.get("", operation_id="list_feeds", response_model=FeedList)
def list_feeds(place: CurrentContext, login: Caller) -> Response:
    """List feeds that the caller may see, the newest first."""
    with place.reading() as connection:
        rows = feeds.listed(connection, _within(listing_scope(place, connection, login)))
        return json_answer({"feeds": [_shown(connection, row) for row in rows]})


@router.get("/{feed_id}", operation_id="show_feed", response_model=FeedAnswer)
def show(place: CurrentContext, login: Caller, feed_id: FeedId) -> Response:
    """Show a feed."""
    with place.reading() as connection:
        return json_answer(_shown(connection, _found(place, login, connection, feed_id)))


@router.post(
    "/{feed_id}/next",
    status_code=201,
    operation_id="request_next_archive",
    response_model=RequestedFeedAnswer,
    responses={
        200: {
            "model": RequestedFeedAnswer,
            "description": "An archive of the feed is open already: this is its export",
        },
        **problem_answers(409),
    },
)
def request_next(
    place: CurrentContext,
    login: Caller,
    feed_id: FeedId,
    asked: NextArchiveBody | None = None,
    idempotency_key: Annotated[texts.IdempotencyKey | None, Header(description="Valid for a day")] = None,
) -> Response:
    """Request the next archive of a feed: what has changed since the last. One is open at a time."""
    token, reason = (None, None) if asked is None else (asked.cursor, asked.reason)
    with place.reading() as connection:
        row = _found(place, login, connection, feed_id)
        _check_cursor(connection, row, token)

    def take(
        connection: Connection, settings: Settings, request: Request, *, mandate_id: str | None, **more: Unpack[Taking]
    ) -> tuple[str, bool]:
        del mandate_id  # a feed is not begun under a mandate
        return intake.take_next(connection, settings, row, request, **more)

    wanted = asking.wanted(place, **feeds.asked_again(row), reason=reason, channel="api")
    body = orjson.dumps([feed_id, token, reason])
    export_id, is_new, _actor = asking.accept(place, login, wanted, key=idempotency_key, body=body, take=take)
    with place.reading() as connection:
        seen = {**_shown(connection, feeds.get(connection, feed_id)), "requested": export_id}
    return json_answer(seen, 201 if is_new else 200, headers={"Location": f"/v1/exports/{export_id}"})


@router.delete("/{feed_id}", status_code=204, operation_id="end_feed", **ENDED)
def end(place: CurrentContext, login: Caller, feed_id: FeedId) -> Response:
    """End a feed: what it has delivered is forgotten, and its open archive is cancelled."""
    with place.writing() as connection:
        row = _found(place, login, connection, feed_id)
        actor = actor_for_facts(place, login, _facts(row, reason="the feed ends"))
        feeds.end(connection, feed_id, actor=str(actor))
    return Response(status_code=204)


def _found(place: AppContext, login: Login, connection: Connection, feed_id: str) -> RowMapping:
    """Return a feed. Raises UnknownFeed where it does not exist or the login has no access to it."""
    row = feeds.get(connection, feed_id)
    try:
        permit(place, login, Action.SEE_STATE, _facts(row))
    except UnknownExport:
        raise UnknownFeed(f"no feed has the id {feed_id!r}") from None
    return row


def _facts(row: Mapping[Any, Any], *, reason: str | None = None) -> Facts:
    return Facts(row["subject_kind"], row["subject_id"], row["tenant"], reason=reason)


def _within(scope: Scope) -> ColumnElement[bool] | None:
    """Return the condition for the feeds of a scope; None: all."""
    columns = feeds.TABLE.c
    if scope.tenant is not None:
        return and_(columns.tenant == scope.tenant, columns.subject_kind.in_(OF_COMPANIES))
    return None if scope.subject_ref is None else columns.subject_ref == scope.subject_ref


def _shown(connection: Connection, row: Mapping[Any, Any]) -> dict[str, JSON]:
    seen = feeds.view(connection, row)
    return {name: seen[name] for name in FeedAnswer.model_fields}


def _check_cursor(connection: Connection, row: Mapping[Any, Any], token: str | None) -> None:
    if token is None:
        return
    try:
        cursor.check_last(token, row, Jwks.parse(keys.jwks(connection)))
    except SignatureFault as fault:
        raise StaleCursor(f"the cursor is not one of this deployment: {fault.fault}") from None
