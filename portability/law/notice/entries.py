"""The shape of every table of the notice register, checked when it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from portability.law.deadlines import months_later
from portability.law.regime import Regime
from portability.law.rights import RightCode
from portability.locale import SOURCE

PeriodStart: TypeAlias = Literal["record_created", "account_closed", "document_issued", "consent_ended"]
"""When a retention period begins."""
DenialCode: TypeAlias = Literal[
    "identity", "authority", "unfounded", "excessive", "others", "law", "not_ours", "not_found", "other"
]
"""The rule that a refusal is based on: `approvals.DenialBasis`."""
ANSWER_MAX = 800
"""Characters of a text for an answer; a reason has 1,000, with what is filled in."""

MISSING_TEXT = "missing_text"
"""Type of the error where a text has no sentence in SOURCE."""

PREFIXES: Mapping[str, str] = {"dpv": "https://w3id.org/dpv#", "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#"}
"""Of the terms in `dpv`: the Data Privacy Vocabulary 2."""

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
Language = Annotated[str, StringConstraints(pattern=LANGUAGE)]
"""A tag of BCP 47, such as `de` or `pt-BR`."""
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""Of ISO 3166-1."""
Period = Annotated[str, StringConstraints(pattern=r"^P(\d+Y)?(\d+M)?(\d+D)?$", min_length=3)]
"""A duration of ISO 8601, in years, months or days."""
Iri = Annotated[str, StringConstraints(pattern=r"^(dpv|eu-gdpr):[A-Za-z0-9-]+$")]
"""A term of the Data Privacy Vocabulary, https://w3id.org/dpv."""


_PARTS = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?")


def _numbers(period: str) -> Sequence[str | None]:
    """Return the years, months and days of a duration."""
    found = _PARTS.fullmatch(period)
    return found.groups() if found else ()


def iri(term: str) -> str:
    """Return the whole address of a term such as `dpv:ServiceProvision`."""
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


class RegisterEntry(BaseModel):
    """A table of the register: unknown keys are refused, and it does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(RootModel[Mapping[Language, Phrase]]):
    """A text by language, SOURCE among them; a plain text is in SOURCE and is shown in every language."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return {SOURCE: value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_source(self) -> Self:
        if SOURCE not in self.root:
            raise PydanticCustomError(MISSING_TEXT, "a text in {language} is needed", {"language": SOURCE})
        return self

    def read(self, language: str) -> str:
        """Return the text in a language, or in SOURCE where it has no other."""
        return self.root.get(language, self.root[SOURCE])


class Controller(RegisterEntry):
    """The controller of the processing (GDPR Art. 13(1)(a))."""

    name: Text
    address: Text
    contact: Phrase
    country: Country
    safeguard: str | None = None
    """Under which data of other countries comes here."""


class Authority(RegisterEntry):
    """An authority that takes complaints (Art. 15(1)(f))."""

    name: Text
    contact: Phrase
    law: Phrase
    regimes: tuple[str, ...] = ()
    """Names of the regimes under which it takes complaints; empty: under every regime."""


class Purpose(RegisterEntry):
    """What data is used for (Art. 15(1)(a))."""

    title: Text
    explanation: Text
    ai_training: bool = False
    dpv: Iri | None = None


class LegalBasis(RegisterEntry):
    """Why that is lawful (Art. 6(1); UU PDP Art. 20)."""

    kind: BasisKind
    title: Text
    law: Phrase
    interest: Text | None = None
    """Which interests; needed where the kind is those (Art. 13(1)(d))."""
    dpv: Iri | None = None


class Category(RegisterEntry):
    """A kind of data (Art. 15(1)(b))."""

    title: Text
    digital_asset: bool = False
    """Of a company that switches: configuration and rights (Data Act Art. 2(32))."""


class RecipientCategory(RegisterEntry):
    """Who gets data, by name (Art. 15(1)(c), CJEU C-154/21)."""

    name: Text
    does: Text
    country: Country
    safeguard: str | None = None


class Safeguard(RegisterEntry):
    """What protects data in another country (Art. 15(2))."""

    title: Text
    law: Phrase
    dpv: Iri | None = None


class RetentionPeriod(RegisterEntry):
    """How long (Art. 15(1)(d)); the periods are for programs."""

    title: Text
    begins: PeriodStart
    shortest: Period
    longest: Period | None = None

    def cutoff(self, moment: datetime) -> datetime:
        """Return the latest beginning of a period that is over at a moment, by the longest period."""
        years, months, days = (int(number or 0) for number in _numbers(self.longest or self.shortest))
        day = months_later(moment.date(), -12 * years - months) - timedelta(days=days)
        return datetime.combine(day, moment.timetz())


class DataOrigin(RegisterEntry):
    """Where data comes from (Art. 15(1)(g))."""

    title: Text


class AutomatedDecision(RegisterEntry):
    """An automated decision or estimate, with its logic and consequences (Art. 15(1)(h), C-203/22)."""

    kind: Literal["decision", "estimate"]
    title: Text
    logic: Text
    effect: Text


class Right(RegisterEntry):
    """What a person may do next, and how (Art. 15(1)(e)); `{contact}` is filled in."""

    title: Text
    how: Text
    law: Phrase
    """Where laws give it, for notices whose regimes state no rights."""
    kinds: tuple[RightCode, ...] = ()
    """What it is in laws: the notice has it if a law of the subject gives one of these. Empty: always."""
    dpv: Iri | None = None

    def how_with(self, contact: str) -> Text:
        """Return how to use the right, with the contact filled in."""
        return Text({language: text.replace("{contact}", contact) for language, text in self.how.root.items()})


class Switching(RegisterEntry):
    """The terms for a company that switches (Data Act Art. 25(2))."""

    notice: Text
    transition: Text
    retrieval: Text
    erasure: Text
    charges: Text
    help: Text


class AnswerUse(StrEnum):
    """When a text for an answer is used."""

    REFUSAL = "refusal"
    QUESTION = "question"
    """The person has to say or show something first."""


def _short(text: Text) -> Text:
    if max(map(len, text.root.values())) > ANSWER_MAX:
        raise PydanticCustomError("too_long", "an answer has at most {most} characters", {"most": ANSWER_MAX})
    return text


class AnswerText(RegisterEntry):
    """A text for a usual answer, which a person who works on requests chooses, changes and sends."""

    use: AnswerUse
    basis: DenialCode = "other"
    """Of a refusal."""
    title: Text
    text: Annotated[Text, AfterValidator(_short)]
    """`{contact}`, `{controller}`, `{due_at}`, `{received_at}` and `{reference}` are filled in."""


class DatasetEntry(RegisterEntry):
    """What is known about the processing of a dataset, by ids of the other tables."""

    category: str
    purposes: Annotated[Mapping[str, str], Field(min_length=1)]
    """Purpose to legal basis."""
    recipients: Annotated[tuple[str, ...], Field(min_length=1)]
    retention: str
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    decisions: tuple[str, ...] = ()


class Register(RegisterEntry):
    """The whole register."""

    version: Phrase
    valid_from: date
    controller: Controller
    switching: Switching
    authorities: Annotated[Mapping[str, Authority], Field(min_length=1)]
    purposes: Mapping[str, Purpose]
    bases: Mapping[str, LegalBasis]
    categories: Mapping[str, Category]
    recipients: Mapping[str, RecipientCategory]
    safeguards: Mapping[str, Safeguard]
    retention: Mapping[str, RetentionPeriod]
    sources: Mapping[str, DataOrigin]
    decisions: Mapping[str, AutomatedDecision]
    rights: Annotated[Mapping[str, Right], Field(min_length=1)]
    datasets: Mapping[str, DatasetEntry]
    """By `exporter/dataset`, or by `exporter` for all of its datasets without an entry of their own."""
    answers: Mapping[str, AnswerText] = {}
    """Texts for usual answers, by a name that a register chooses."""

    def entry(self, exporter: str, dataset: str) -> DatasetEntry | None:
        """Return the entry of a dataset; None where it has none, which `check` refuses."""
        return self.datasets.get(f"{exporter}/{dataset}", self.datasets.get(exporter))

    def retention_cutoff(self, exporter: str, dataset: str, moment: datetime) -> datetime | None:
        """Return `Selection.retention_cutoff` for an export that began at a moment; None without an entry."""
        entry = self.entry(exporter, dataset)
        return None if entry is None else self.retention[entry.retention].cutoff(moment)

    def authorities_under(self, regimes: Sequence[Regime]) -> Sequence[Authority]:
        """Return where to complain under the subject's laws, and the authorities of every law; without laws: all."""
        names = {regime.name for regime in regimes}
        every = self.authorities.values()
        return [one for one in every if not one.regimes or not names or not names.isdisjoint(one.regimes)]

    def bases_of(self, exporter: str, dataset: str) -> frozenset[BasisKind]:
        """Return the kinds of legal basis on which a dataset is processed; empty for a dataset without an entry."""
        entry = self.entry(exporter, dataset)
        return frozenset(self.bases[basis].kind for basis in entry.purposes.values()) if entry else frozenset()
