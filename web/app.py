"""The web application: every layer and route in one place. `portability web` serves it with uvicorn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import select
from starlette.datastructures import MutableHeaders
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from portability import deployment, keys, migrations, models, notice
from portability.db import open_engine, reading
from portability.settings import Settings
from portability.storage import Storage, open_storage
from web import (
    api,
    desk_recipients,
    download,
    login,
    me,
    my_transfers,
    openapi,
    problems,
    public,
    recipients,
    staff,
    transfers,
)
from web.auth import session_secret
from web.headers import Guarded
from web.place import Place
from web.provider import Provider
from web.strict import Bounded

STATIC_SECONDS = 30 * 86_400
DESCRIPTION = """Ask for a person's or a company's data, watch the export, download the signed archive.

Faults are problem details (RFC 9457); `code` is stable. Who may do what: docs/roles.md."""


def create_app(settings: Settings, *, storage: Storage | None = None) -> FastAPI:
    """The application with its connections open. Raises DatabaseUnavailable, ForeignStore, NoSigningKey, NoticeHole."""
    place = _open(settings, storage)
    notice.check(place.notice, place.exporters)
    app = FastAPI(
        title="Portability",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.place = place
    secure = settings.base_url.startswith("https:")
    with reading(place.engine) as connection:
        secret = session_secret(keys.signing(connection, settings.keys, purpose="link"))
    app.add_middleware(
        SessionMiddleware,
        secret_key=secret,
        # The prefix makes browsers refuse the cookie without Secure, or set by a neighbouring host (RFC 6265bis).
        session_cookie="__Host-portability" if secure else "portability",
        max_age=settings.session_seconds,
        same_site="lax",
        https_only=secure,
    )
    app.add_middleware(Bounded)
    app.add_middleware(Guarded, secure=secure)
    problems.handle(app)
    openapi.document(app)
    pages = (login, me, my_transfers, desk_recipients, staff, download)
    for room in (*pages, api, recipients, transfers, public):
        app.include_router(room.router)
    app.include_router(transfers.receiving)
    app.mount("/static", _Static(directory=Path(__file__).parent / "static"))
    return app


def _open(settings: Settings, storage: Storage | None) -> Place:
    engine = open_engine(settings.database)
    if settings.database_url is None:
        migrations.upgrade(engine)
    else:
        migrations.check_current(engine)
    if storage is None:
        storage = open_storage(settings.storage, sse=settings.storage_sse)
        deployment.check_store(engine, storage)
    provider = Provider(settings) if settings.oidc_issuer else None
    with reading(engine) as connection:
        salt = connection.execute(select(models.deployment.c.pairwise_salt)).scalar_one()
    return Place(settings, engine, storage, provider, salt)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.place.engine.dispose()


class _Static(StaticFiles):
    """Files whose address changes with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        MutableHeaders(raw=answer.raw_headers)["Cache-Control"] = f"public, max-age={STATIC_SECONDS}, immutable"
        return answer
