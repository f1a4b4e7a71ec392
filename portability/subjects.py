"""Subjects: from `user:ID` to verified identities, and the tenant wall around processor data."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from portability import models
from portability.api import Exporter, Identity, ResolvingExporter, Subject, SubjectKind
from portability.errors import BadSubject, SourceRefused
from portability.refusals import AmbiguousSubject

REF = models.subject_ref
ID = re.compile(r"[A-Za-z0-9._~-]{1,200}")

FIRST_IDENTITY = {
    SubjectKind.USER: ("account", "user_id"),
    SubjectKind.CONTACT: ("crm", "contact_id"),
    SubjectKind.TENANT: ("account", "tenant_id"),
}
"""Source and kind of the identity that a request names; whoever accepted the request has verified it."""

REF_PREFIX = "sub_"
"""Of a pseudonym."""

ROUNDS_MAX = 20
"""Identities lead to identities a few times; a source that always finds another one is broken."""


def parse(text: str, tenant: str | None) -> tuple[SubjectKind, str, str | None]:
    """Kind, id and tenant of `user:ID`, `contact:ID` (with its tenant) or `tenant:ID`. Raises BadSubject."""
    prefix, _, identifier = text.partition(":")
    try:
        kind = SubjectKind(prefix)
    except ValueError:
        raise BadSubject("the subject has no known kind") from None
    if not ID.fullmatch(identifier) or (tenant is not None and not ID.fullmatch(tenant)):
        raise BadSubject("an id is 1 to 200 of the characters A-Z a-z 0-9 . _ ~ -")
    if kind is SubjectKind.CONTACT and tenant is None:
        raise BadSubject("a contact is a contact of one tenant, and none was named", hint="add --tenant T")
    if kind is SubjectKind.USER and tenant is not None:
        raise BadSubject("a user belongs to no single tenant", hint="leave --tenant out")
    if kind is SubjectKind.TENANT:
        if tenant not in {None, identifier}:
            raise BadSubject("--tenant names another tenant than the subject")
        tenant = identifier
    return kind, identifier, tenant


def pairwise_ref(connection: Connection, kind: str, identifier: str, tenant: str | None) -> str:
    """The subject's pseudonym in this deployment: 130 random bits in base32, given once.

    One row leads from the subject to it. Once that is gone (`forget_ref`) nobody can tell whose it was, though it
    stays in the audit log. In a reading transaction a subject that has none yet is given one that nothing has.
    """
    digest = _digest(connection, kind, identifier, tenant)
    known = connection.scalar(select(REF.c.ref).where(REF.c.digest == digest))
    if known is not None:
        return str(known)
    fresh = REF_PREFIX + base64.b32encode(secrets.token_bytes(20)).decode()[:26].lower()
    if connection.get_execution_options().get("portability_reading"):
        return fresh
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(REF).values(digest=digest, ref=fresh).on_conflict_do_nothing())
    return str(connection.execute(select(REF.c.ref).where(REF.c.digest == digest)).scalar_one())


def forget_ref(connection: Connection, kind: str, identifier: str, tenant: str | None) -> None:
    """Unlink a subject from its pseudonym; a later request gets another one."""
    connection.execute(delete(REF).where(REF.c.digest == _digest(connection, kind, identifier, tenant)))


def _digest(connection: Connection, kind: str, identifier: str, tenant: str | None) -> str:
    salt = connection.execute(select(models.deployment.c.pairwise_salt)).scalar_one()
    named = "\0".join((kind, tenant or "", identifier)).encode()
    return hmac.new(bytes.fromhex(salt), named, hashlib.sha256).hexdigest()


def resolve(subject: Subject, exporters: Mapping[str, Exporter]) -> Subject:
    """The subject with every identity that the exporters find, until nothing new comes.

    Raises: SourceUnavailable, SourceRefused: without identities nothing can be selected, so the export waits;
    AmbiguousSubject where they are those of two people.
    """
    resolvers = [exporter for exporter in exporters.values() if isinstance(exporter, ResolvingExporter)]
    for _ in range(ROUNDS_MAX):
        found = dict.fromkeys(subject.identities)
        for resolver in resolvers:
            found |= dict.fromkeys(_within_wall(subject, resolver.identities(subject)))
        _check_one_person(subject, found)
        if len(found) == len(subject.identities):
            return subject
        subject = replace(subject, identities=tuple(found))
    raise SourceRefused(f"the identities of {subject.ref} are without end: {len(subject.identities)} so far")


def first_identity(kind: SubjectKind, identifier: str, tenant: str | None) -> Identity:
    """The identity that the request itself names."""
    source, named = FIRST_IDENTITY[kind]
    return Identity(source, named, identifier, verified=True, tenant=tenant)


def _check_one_person(subject: Subject, identities: Iterable[Identity]) -> None:
    """What means one person may not be there twice: whichever were the wrong one, its data would go to a stranger.

    A user may be several contacts: each at its own tenant, and a tenant may know somebody twice.
    """
    _, named = FIRST_IDENTITY[subject.kind]
    wall = None if subject.kind is SubjectKind.USER else subject.tenant
    people = {i.value for i in identities if i.verified and i.kind == named and i.tenant == wall}
    if len(people) > 1:
        raise AmbiguousSubject(f"the verified identities of {subject.ref} lead to {len(people)} people")


def _within_wall(subject: Subject, identities: Sequence[Identity]) -> list[Identity]:
    # A contact is a contact of one tenant: whatever a plugin finds at another one is somebody else.
    if subject.kind is SubjectKind.USER:
        return list(identities)
    return [identity for identity in identities if identity.tenant == subject.tenant]
