"""The web application: all layers and routes. `portability web` serves it with uvicorn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import select
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from portability.api.storages import Storage
from portability.database import deployment, migrations, models
from portability.database.engine import open_engine, reading
from portability.database.steady_clock import SteadyClock
from portability.errors import DatabaseUnavailable
from portability.journal.shipping import Journal
from portability.law import notice
from portability.settings import Settings
from portability.storage import open_storage
from portability.trust import keys
from web import problems
from web.api import erasure_holds, exports, feeds, inbox, oauth, openapi, public, pulls, recipients, report, transfers
from web.api.strict_bodies import BodySizeLimit
from web.auth import session_secret
from web.context import AppContext, WebhookAnswers
from web.cookies import CookieSessions
from web.head_requests import HeadAsGet
from web.headers import Guarded
from web.journal import Shipped
from web.observations import Observations, Observed
from web.pages import (
    address_login,
    brand,
    components,
    desk,
    desk_work,
    download,
    login,
    me,
    my_pulls,
    my_schedule,
    my_sessions,
    my_transfers,
    new_request,
    staff,
)
from web.pages import audit as desk_audit
from web.pages import inbox as desk_inbox
from web.pages import providers as desk_providers
from web.pages import recipients as desk_recipients
from web.pages import referrals as desk_referrals
from web.pages import report as desk_report
from web.pages import sources as desk_sources
from web.provider import OpenIdProvider

STATIC_SECONDS = 30 * 86_400
DESCRIPTION = """Ask for a person's or a company's data, watch the export, download the signed archive.

Faults are problem details (RFC 9457); `code` is stable. Who may do what: docs/roles.md."""


def create_app(settings: Settings, *, storage: Storage | None = None, answers: WebhookAnswers | None = None) -> FastAPI:
    """Create the application and open its connections. `answers`: to webhooks of senders, if there is an inbox.

    Raises: DatabaseUnavailable, ForeignStore, NoSigningKey, NoticeHole.
    """
    place = _open(settings, storage, answers)
    notice.check(place.notice, place.exporters, embedded=settings.embedded, laws=settings.laws)
    app = FastAPI(
        title="Portability",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's pages load scripts from other servers
        redoc_url=None,
        redirect_slashes=False,  # Starlette would redirect to the host that the request names
        lifespan=_lifespan,
    )
    app.state.place = place
    _ = place.brand  # read at the start: a missing file ends it
    secure = settings.base_url.startswith("https:")
    with reading(place.engine) as connection:
        kid = keys.signing(connection, settings.keys, purpose="link").kid or ""
    secret = session_secret(keys.private(settings.keys, kid))
    app.add_middleware(
        CookieSessions,  # type: ignore[arg-type]  # it passes on options, whose names the library wants to see
        secret_key=secret,
        # With this prefix browsers refuse the cookie without Secure, or from a neighbouring host (RFC 6265bis).
        session_cookie="__Host-portability" if secure else "portability",
        max_age=settings.session_seconds,
        same_site="lax",
        https_only=secure,
    )
    app.add_middleware(HeadAsGet)
    app.add_middleware(Shipped, journal=Journal(place.engine, lambda: place.storage, settings.keys, settings.iss))
    app.add_middleware(Observed, observations=place.observations)
    app.add_middleware(BodySizeLimit)
    app.add_middleware(Guarded, secure=secure)
    problems.handle(app)
    openapi.document(app)
    _route(app, settings)
    app.mount("/static", _Static(directory=Path(__file__).parent / "static"))
    return app


def _route(app: FastAPI, settings: Settings) -> None:
    """Add the routes of all pages and of the API."""
    own = (login, address_login, my_sessions, me, my_schedule, my_transfers, my_pulls)
    of_staff = (
        desk,
        desk_work,
        desk_audit,
        desk_inbox,
        desk_providers,
        desk_recipients,
        desk_referrals,
        desk_report,
        desk_sources,
        new_request,
        staff,
    )
    of_programs = (exports, feeds, erasure_holds, report, recipients, transfers, inbox, public, oauth, pulls)
    for room in (brand, *own, *of_staff, download, *of_programs):
        app.include_router(room.router)
    if settings.development_login:
        app.include_router(components.router)
    app.include_router(transfers.receiving)
    app.include_router(inbox.receiving)
    app.include_router(recipients.notices)


def _open(settings: Settings, storage: Storage | None, answers: WebhookAnswers | None) -> AppContext:
    engine = open_engine(settings.database, prepared=settings.prepared_statements)
    if settings.database_url is None:
        migrations.upgrade(engine)
    else:
        migrations.check_current(engine)
    if storage is None:
        storage = open_storage(settings.storage, sse=settings.storage_sse)
        deployment.check_store(engine, storage)
    clock = SteadyClock(engine)
    provider = OpenIdProvider(settings, clock.present) if settings.oidc_issuer else None
    with reading(engine) as connection:
        salt = connection.execute(select(models.deployment.c.pairwise_salt)).scalar_one()
    return AppContext(settings, engine, storage, provider, Observations(engine), salt, clock, answers)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    place: AppContext = app.state.place
    await place.streams.recorded()
    with suppress(DatabaseUnavailable):
        place.observations.end()
    place.engine.dispose()


class _Static(StaticFiles):
    """Serve files whose address changes with their content, so that browsers may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        MutableHeaders(raw=answer.raw_headers)["Cache-Control"] = f"public, max-age={STATIC_SECONDS}, immutable"
        return answer
