"""What stands in the notice register: every table's shape, checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

LANGUAGES = ("en", "id")
"""Those in which every text stands: English and Indonesian."""

PREFIXES: Mapping[str, str] = {"dpv": "https://w3id.org/dpv#", "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#"}
"""Of the terms in `dpv`: the Data Privacy Vocabulary 2."""

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""Of ISO 3166-1."""
Period = Annotated[str, StringConstraints(pattern=r"^P(\d+Y)?(\d+M)?(\d+D)?$", min_length=3)]
"""A duration of ISO 8601, in years, months or days."""
Iri = Annotated[str, StringConstraints(pattern=r"^(dpv|eu-gdpr):[A-Za-z0-9-]+$")]
"""A term of the Data Privacy Vocabulary, https://w3id.org/dpv."""


def iri(term: str) -> str:
    """The whole address of a term such as `dpv:ServiceProvision`."""
    prefix, _, name = term.partition(":")
    return PREFIXES[prefix] + name


class BasisKind(StrEnum):
    """The letters of GDPR Art. 6(1), in words."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


PORTABLE = frozenset({BasisKind.CONSENT, BasisKind.CONTRACT})
"""Only what is processed on one of these is portable (GDPR Art. 20(1)(a))."""


class Entry(BaseModel):
    """A table of the register: nothing in it is unknown, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Entry):
    """A text in both languages."""

    en: Phrase
    id: Phrase


def _in_both(value: object) -> object:
    return {"en": value, "id": value} if isinstance(value, str) else value


Name = Annotated[Text, BeforeValidator(_in_both)]
"""A text, or a name that is the same in both languages."""


class Controller(Entry):
    """Who answers for the processing (GDPR Art. 13(1)(a))."""

    name: Name
    address: Text
    contact: Phrase
    country: Country
    safeguard: str | None = None
    """Under which data of other countries comes here."""


class Authority(Entry):
    """Where one may complain (Art. 15(1)(f))."""

    name: Name
    contact: Phrase
    law: Phrase


class Purpose(Entry):
    """What data is used for (Art. 15(1)(a))."""

    title: Text
    explanation: Text
    ai_training: bool = False
    dpv: Iri | None = None


class Basis(Entry):
    """Why that is lawful (Art. 6(1); UU PDP Art. 20)."""

    kind: BasisKind
    title: Text
    law: Phrase
    interest: Text | None = None
    """Which interests; needed where the kind is those (Art. 13(1)(d))."""
    dpv: Iri | None = None


class Category(Entry):
    """A kind of data (Art. 15(1)(b))."""

    title: Text
    digital_asset: bool = False
    """Of a company that switches: configuration and rights (Data Act Art. 2(32))."""


class Recipient(Entry):
    """Who gets data, by name (Art. 15(1)(c), CJEU C-154/21)."""

    name: Name
    does: Text
    country: Country
    safeguard: str | None = None


class Safeguard(Entry):
    """What protects data in another country (Art. 15(2))."""

    title: Text
    law: Phrase
    dpv: Iri | None = None


class Retention(Entry):
    """How long (Art. 15(1)(d)); the periods are for programs."""

    title: Text
    begins: Literal["record_created", "account_closed", "document_issued", "consent_ended"]
    shortest: Period
    longest: Period | None = None


class Source(Entry):
    """Where data comes from (Art. 15(1)(g))."""

    title: Text


class Decision(Entry):
    """What software concludes by itself, with its logic and what follows from it (Art. 15(1)(h), C-203/22)."""

    kind: Literal["decision", "estimate"]
    title: Text
    logic: Text
    effect: Text


class Right(Entry):
    """What a person may do next, and how (Art. 15(1)(e)); `{contact}` is filled in."""

    title: Text
    how: Text
    law: Phrase
    dpv: Iri | None = None

    def told(self, language: str, contact: str) -> str:
        """How to use it, in one of the LANGUAGES, with whom to write to."""
        return str(getattr(self.how, language)).replace("{contact}", contact)


class Switching(Entry):
    """What a company that switches is told (Data Act Art. 25(2))."""

    notice: Text
    transition: Text
    retrieval: Text
    erasure: Text
    charges: Text
    help: Text


class DatasetEntry(Entry):
    """One dataset, by the ids of all that is said of it."""

    category: str
    purposes: Annotated[Mapping[str, str], Field(min_length=1)]
    """Purpose to legal basis."""
    recipients: Annotated[tuple[str, ...], Field(min_length=1)]
    retention: str
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    decisions: tuple[str, ...] = ()


class Register(Entry):
    """The whole register."""

    version: Phrase
    valid_from: date
    controller: Controller
    switching: Switching
    authorities: Annotated[Mapping[str, Authority], Field(min_length=1)]
    purposes: Mapping[str, Purpose]
    bases: Mapping[str, Basis]
    categories: Mapping[str, Category]
    recipients: Mapping[str, Recipient]
    safeguards: Mapping[str, Safeguard]
    retention: Mapping[str, Retention]
    sources: Mapping[str, Source]
    decisions: Mapping[str, Decision]
    rights: Annotated[Mapping[str, Right], Field(min_length=1)]
    datasets: Mapping[str, DatasetEntry]
    """By `exporter/dataset`."""

    def entry(self, exporter: str, dataset: str) -> DatasetEntry | None:
        """What is said of a dataset; None: nothing, which `check` refuses."""
        return self.datasets.get(f"{exporter}/{dataset}")

    def bases_of(self, exporter: str, dataset: str) -> frozenset[BasisKind]:
        """The kinds of legal basis on which a dataset is processed; none where nothing is said of it."""
        entry = self.entry(exporter, dataset)
        return frozenset(self.bases[basis].kind for basis in entry.purposes.values()) if entry else frozenset()
