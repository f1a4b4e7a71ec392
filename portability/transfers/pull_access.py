"""Whether the recipient of a consent to a pull can still fetch: its tokens expire before the consent does.

The recipient gets new tokens only by asking the person again (docs/pull.md#tokens), so a consent without tokens serves
nothing and has expired.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select

from portability.database import models
from portability.database.engine import now
from portability.requests.states import ONGOING, ExportState

CONSENT, REQUEST, TOKEN = models.authorisation, models.pull_request, models.pull_token
COPY, EXPORT = models.pull, models.export


def is_pull() -> ColumnElement[bool]:
    """Return the condition for consents that a recipient asked for, to fetch the data itself."""
    return CONSENT.c.dpop_jkt.is_not(None)


def is_open() -> ColumnElement[bool]:
    """Return the condition: the recipient has a code or token that counts, or a copy that it began is not sent yet."""
    code = (REQUEST.c.authorisation_id == CONSENT.c.id, REQUEST.c.code_used_at.is_(None))
    token = (TOKEN.c.authorisation_id == CONSENT.c.id, TOKEN.c.used_at.is_(None), TOKEN.c.expires_at > now())
    unsent = (COPY.c.authorisation_id == CONSENT.c.id, COPY.c.transfer_id.is_(None), COPY.c.error_code.is_(None))
    made = EXPORT.c.state.in_({*ONGOING, ExportState.READY})
    return or_(
        select(REQUEST.c.id).where(*code, REQUEST.c.code_expires_at > now()).exists(),
        select(TOKEN.c.token_sha256).where(*token).exists(),
        select(COPY.c.id).join(EXPORT, EXPORT.c.id == COPY.c.export_id).where(*unsent, made).exists(),
    )
