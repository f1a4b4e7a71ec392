"""Synthetic subjects: they do not exist, and their identities open each way by which an exporter selects records."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from uuid import UUID

from portability.api import Exporter, Identity, JointlyCountingExporter, Subject, SubjectKind
from portability.api.nouns import FIRST_IDENTITY, first_identity
from portability.law.profiles import Profile
from portability.source_trust import use_of
from worker.process.synthetic_export import SYNTHETIC

PROFILES = {
    SubjectKind.USER: Profile.ACCESS,
    SubjectKind.CONTACT: Profile.ACCESS,
    SubjectKind.TENANT: Profile.SWITCH,
    SubjectKind.EMAIL: Profile.ACCESS,
}
NAMED = frozenset(name for _, name in FIRST_IDENTITY.values())
"""Kinds of identities that a request names, addresses among them."""
_RANDOM = secrets.token_bytes(16)
FORMS = (SYNTHETIC, str(~(int.from_bytes(_RANDOM[:4], "big") >> 1)), str(UUID(bytes=_RANDOM, version=4)))
"""An id as a text, as a number of 32 bits, which is negative as no row's is, and as a UUID."""


def synthetic_subjects(
    kind: SubjectKind, exporters: Mapping[str, Exporter]
) -> Iterator[tuple[Subject, Mapping[str, Exporter]]]:
    """Yield subjects that do not exist, and the exporters to read for each.

    Databases are read for an id of each form: a column of numbers is compared with no text, so nothing would be read.
    """
    databases = {name: each for name, each in exporters.items() if isinstance(each, JointlyCountingExporter)}
    for identifier in FORMS:
        concerned = exporters if identifier == SYNTHETIC else databases
        if concerned:
            yield _subject(kind, identifier, concerned), concerned


def _subject(kind: SubjectKind, identifier: str, exporters: Mapping[str, Exporter]) -> Subject:
    tenant = identifier if kind in {SubjectKind.CONTACT, SubjectKind.TENANT} else None
    identities = [first_identity(kind, identifier, tenant)]
    if kind is not SubjectKind.TENANT:
        identities += [
            Identity("account", "email", identifier, verified=True, tenant=tenant),
            Identity("crm", "contact_id", identifier, verified=True, tenant=identifier),
            Identity("crm", "phone", identifier, verified=True, tenant=identifier),
            *_declared(kind, identifier, exporters),
        ]
    return Subject(kind, tenant, identifier, tuple(dict.fromkeys(identities)))


def _declared(kind: SubjectKind, identifier: str, exporters: Mapping[str, Exporter]) -> Iterator[Identity]:
    """Yield identities of the further kinds by which these select: at the tenant, and for an account everywhere too."""
    for source, exporter in exporters.items():
        use = use_of(exporter)
        for name in sorted((use.selects_by or frozenset()) - NAMED - use.reviewed.keys()):
            yield Identity(source, name, identifier, verified=True, tenant=identifier)
            if kind is SubjectKind.USER:
                yield Identity(source, name, identifier, verified=True)
