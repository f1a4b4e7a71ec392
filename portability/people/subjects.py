"""Subjects: from `user:ID` to verified identities, and the tenant that processor data is filtered by."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from portability.api import ADDRESS_KINDS, SubjectKind
from portability.database import models
from portability.database.rows import insert_row, inserting
from portability.errors import BadSubject
from portability.people.addresses import email, phone

REF = models.subject_ref
ID = re.compile(r"[A-Za-z0-9._~-]{1,200}")
"""Of a tenant: settings contain it between separators."""
PERSON_ID = re.compile(r"(?!\.{1,2}/|.*/\.{1,2}(?:/|$))[A-Za-z0-9._~/|:-]{1,200}")
"""Of an account or a contact, as companies and login providers give them: `G/1`, `auth0|5f7c`, `f:1d2e:ann`.

Without `@`, `+`, spaces and letters outside of ASCII: such an id is an address or a name, and the audit log has ids of
actors (ADR 94). No part between slashes is `.` or `..`, which another system's path would resolve.
"""
ADDRESS_MAX = 200
"""Characters of an address, as of any id."""

_LETTERS = {
    True: "use 1 to 200 of the characters A-Z a-z 0-9 . _ ~ -",
    False: "use 1 to 200 of the characters A-Z a-z 0-9 . _ ~ / | : -, and no part `.` or `..` between slashes",
}
"""What an error says about the characters of an id; of a tenant or not."""

SALT = "portability_pairwise_salt"
"""The deployment's salt among what is known of a connection."""
REF_PREFIX = "sub_"
"""The beginning of each pseudonym."""


def parse(text: str, tenant: str | None) -> tuple[SubjectKind, str, str | None]:
    """Parse `user:ID`, `contact:ID` (with its tenant), `tenant:ID`, `email:ADDRESS` or `phone:NUMBER`.

    Returns: kind, id and tenant; an address in its normal form. Raises BadSubject, without the address.
    """
    prefix, _, identifier = text.partition(":")
    try:
        kind = SubjectKind(prefix)
    except ValueError:
        raise BadSubject("unknown kind of subject") from None
    if kind in ADDRESS_KINDS:
        return kind, _address(kind, identifier, tenant), None
    if not (ID if kind is SubjectKind.TENANT else PERSON_ID).fullmatch(identifier):
        raise BadSubject(f"invalid id of a {kind}: {_LETTERS[kind is SubjectKind.TENANT]}")
    if tenant is not None and not ID.fullmatch(tenant):
        raise BadSubject(f"invalid id of a tenant: {_LETTERS[True]}")
    if kind is SubjectKind.CONTACT and tenant is None:
        raise BadSubject("a contact belongs to a tenant, and no tenant was given", hint="add --tenant T")
    if kind is SubjectKind.USER and tenant is not None:
        raise BadSubject("a user does not belong to a tenant", hint="remove --tenant")
    if kind is SubjectKind.TENANT:
        if tenant not in {None, identifier}:
            raise BadSubject("the tenant and the subject name different tenants")
        tenant = identifier
    return kind, identifier, tenant


def _address(kind: SubjectKind, text: str, tenant: str | None) -> str:
    """Return the normal form of an address. Raises BadSubject."""
    if tenant is not None:
        raise BadSubject("a person without an account does not belong to a tenant", hint="remove --tenant")
    is_email = kind is SubjectKind.EMAIL
    form = email(text.strip()) if is_email else phone(text.strip())
    # A mailbox at a network address (`ann@[192.0.2.1]`) may be a machine of this network.
    if form is None or len(form) > ADDRESS_MAX or form.endswith("]"):
        what, example = ("e-mail address", "ann@mail.example") if is_email else ("phone number", "+6281234567890")
        raise BadSubject(f"invalid {what}", hint=f"write it as in this example: {example}")
    return form


def pairwise_ref(connection: Connection, kind: str, identifier: str, tenant: str | None) -> str:
    """Return the subject's pseudonym in this deployment: 130 random bits in base32, assigned once.

    One row links the subject to it. Once that row is deleted (`forget_ref`), the pseudonym no longer identifies anyone,
    though it stays in the audit log. A read transaction gets an unused pseudonym if the subject has none yet.
    """
    digest = _digest(connection, kind, identifier, tenant)
    if known := connection.scalar(select(REF.c.ref).where(REF.c.digest == digest)):
        return str(known)
    if connection.get_execution_options().get("portability_reading"):
        return _fresh_ref()
    return _assign(connection, digest)[0]


def assign_ref(connection: Connection, kind: str, identifier: str, tenant: str | None) -> tuple[str, bool]:
    """Return the same pseudonym, and whether it is new: then nothing in this deployment refers to it yet.

    For a subject without one this is a statement less; for others one more.
    """
    return _assign(connection, _digest(connection, kind, identifier, tenant))


def _assign(connection: Connection, digest: str) -> tuple[str, bool]:
    once = inserting(connection, REF).on_conflict_do_nothing().returning(REF.c.ref)
    if (assigned := insert_row(connection, once, {"digest": digest, "ref": _fresh_ref()}).scalar()) is not None:
        return str(assigned), True
    return str(connection.execute(select(REF.c.ref).where(REF.c.digest == digest)).scalar_one()), False


def _fresh_ref() -> str:
    return REF_PREFIX + base64.b32encode(secrets.token_bytes(20)).decode()[:26].lower()


def ref_row(connection: Connection, kind: str, identifier: str, tenant: str | None) -> Mapping[str, str] | None:
    """Return the row that links a subject to its pseudonym; None: it has none."""
    query = select(REF).where(REF.c.digest == _digest(connection, kind, identifier, tenant))
    row = connection.execute(query).mappings().first()
    return {str(name): value for name, value in row.items()} if row else None


def remember_ref(connection: Connection, row: Mapping[str, str]) -> None:
    """Write such a row back; a subject that has a pseudonym keeps it."""
    insert_row(connection, inserting(connection, REF).on_conflict_do_nothing(), row)


def is_remembered(connection: Connection, ref: str) -> bool:
    """Return whether a pseudonym still identifies a subject."""
    return bool(connection.scalar(select(REF.c.ref).where(REF.c.ref == ref)))


def forget_ref(connection: Connection, kind: str, identifier: str, tenant: str | None) -> None:
    """Unlink a subject from its pseudonym; a later request gets a new pseudonym."""
    connection.execute(delete(REF).where(REF.c.digest == _digest(connection, kind, identifier, tenant)))


def _digest(connection: Connection, kind: str, identifier: str, tenant: str | None) -> str:
    named = "\0".join((kind, tenant or "", identifier)).encode()
    return hmac.new(bytes.fromhex(_salt(connection)), named, hashlib.sha256).hexdigest()


def _salt(connection: Connection) -> str:
    """Return the deployment's salt. It never changes, so a connection to the database reads it once."""
    if SALT not in connection.info:
        connection.info[SALT] = connection.execute(select(models.deployment.c.pairwise_salt)).scalar_one()
    return str(connection.info[SALT])
