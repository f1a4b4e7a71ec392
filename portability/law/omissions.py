"""Why a dataset is not in an export: a code for programs, and a sentence of the catalogues for people."""

from __future__ import annotations

from enum import StrEnum

from portability.api import SubjectKind
from portability.locale import SOURCE, find, languages, translated


class OmissionReason(StrEnum):
    """Why an export leaves a dataset out by rule."""

    NOT_ASKED_FOR = "not_asked_for"
    """The request names other exporters."""
    NOT_ABOUT_A_USER = "not_about_a_user"
    NOT_ABOUT_A_CONTACT = "not_about_a_contact"
    NOT_ABOUT_A_TENANT = "not_about_a_tenant"
    NOT_ABOUT_AN_ADDRESS = "not_about_an_address"
    """It is about account holders, contacts or tenants, and the subject is a person without an account."""
    EACH_PERSON_ASKS = "each_person_asks"
    """It is about persons, and a company switches: each person can ask for it (profile `access`)."""
    DERIVED = "derived"
    """Derived data is not part of portability (GDPR Art. 20; WP242 rev.01)."""
    NO_CONSENT_OR_CONTRACT = "no_consent_or_contract"
    """It is processed on another legal basis (GDPR Art. 20(1)(a))."""
    NO_LEGAL_BASIS = "no_legal_basis"
    """The notice register names no legal basis for it."""
    FORMAT_NOT_ASKED_FOR = "format_not_asked_for"
    """It consists of documents, and the request names no format of documents."""
    NO_FORMAT_OF_RECORDS = "no_format_of_records"
    """It consists of records, and the request names no format of records."""
    NOT_ORDERED = "not_ordered"
    """A company decides over it and has not ordered its export; in the ledger, with the state `needs_instruction`."""


LIMITING = frozenset(OmissionReason) - {
    OmissionReason.NOT_ABOUT_A_USER,
    OmissionReason.NOT_ABOUT_A_CONTACT,
    OmissionReason.NOT_ABOUT_A_TENANT,
    OmissionReason.NOT_ABOUT_AN_ADDRESS,
    OmissionReason.EACH_PERSON_ASKS,
    OmissionReason.FORMAT_NOT_ASKED_FOR,
}
"""Reasons by which data about the subject may be stored that the export does not read: no row is then no proof."""

NOT_ABOUT = {
    SubjectKind.USER: OmissionReason.NOT_ABOUT_A_USER,
    SubjectKind.CONTACT: OmissionReason.NOT_ABOUT_A_CONTACT,
    SubjectKind.TENANT: OmissionReason.NOT_ABOUT_A_TENANT,
    SubjectKind.EMAIL: OmissionReason.NOT_ABOUT_AN_ADDRESS,
    SubjectKind.PHONE: OmissionReason.NOT_ABOUT_AN_ADDRESS,
}
"""The reason by the kind of the export's subject."""

_FAMILIES = ("archive.reasons", "errors")
"""Where the sentence of a reason is: an error that became a gap has that of its code."""


def explanation(reason: str, language: str = SOURCE) -> str | None:
    """Return the sentence for a reason of the ledger, of a gap or of what is left out; None for an unknown code."""
    return next(filter(None, (find(language, f"{family}.{reason}") for family in _FAMILIES)), None)


def explanations(reason: str) -> dict[str, str]:
    """Return the sentence for a reason in every language that has it; nothing for an unknown code."""
    texts = {
        language: next(filter(None, (translated(language, f"{family}.{reason}", "") for family in _FAMILIES)), "")
        for language in languages()
    }
    return {language: sentence for language, sentence in texts.items() if sentence}
