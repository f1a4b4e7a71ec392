"""Reads of a subject's identities by staff: recorded before a source is asked."""

from __future__ import annotations

from sqlalchemy import Connection

from portability.api import Subject, SubjectKind
from portability.api.nouns import first_identity
from portability.people import subjects
from portability.people.resolution import Decided
from portability.requests import reviews
from portability.trust import audit


def begin(
    connection: Connection, kind: SubjectKind, identifier: str, tenant: str | None, *, actor: str
) -> tuple[Subject, Decided]:
    """Record that a person reads a subject's identities.

    Returns: the subject with the identity that a request would name, and the decisions on its reviews.
    """
    ref = subjects.pairwise_ref(connection, kind, identifier, tenant)
    audit.record(connection, "identities.read", actor=actor, detail={"subject": ref})
    rows = reviews.of(connection, {"subject_kind": kind, "subject_id": identifier, "tenant": tenant})
    decided = reviews.until(rows, reviews.last(rows))
    return Subject(kind, tenant, ref, (first_identity(kind, identifier, tenant),)), decided
