"""Rights: what a law gives to a person or a company beside the answer to a request, each with its article.

The tables of regimes list them (`[gdpr.rights]`); the notice shows those of the regimes that apply to its subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from portability.locale import SOURCE, find
from portability.locale.translations import by_language

_TITLES = "archive.rights"


class RightCode(StrEnum):
    """Kinds of rights; the catalogue `archive` has their titles."""

    ACCESS = "access"
    RECIPIENTS = "recipients"
    """Who received data."""
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    OBJECT_TO_MARKETING = "object_to_marketing"
    AUTOMATED_DECISIONS = "automated_decisions"
    """Review or explanation of a decision that software made."""
    EXPLANATION = "explanation"
    WITHDRAW_CONSENT = "withdraw_consent"
    OPT_OUT_OF_SALE = "opt_out_of_sale"
    LIMIT_SENSITIVE = "limit_sensitive"
    DEINDEXING = "deindexing"
    NO_RETALIATION = "no_retaliation"
    NOMINATE = "nominate"
    RELATIVES = "relatives"
    SWITCHING = "switching"
    RETRIEVAL = "retrieval"
    EXTENSION = "extension"
    NO_CHARGES = "no_charges"
    DISPUTE_SETTLEMENT = "dispute_settlement"
    GRIEVANCE = "grievance"
    """A complaint to the controller itself."""
    COMPLAINT = "complaint"
    """A complaint to an authority."""
    COURT = "court"
    COMPENSATION = "compensation"


@dataclass(frozen=True, slots=True)
class LegalRight:
    """A right that a law gives."""

    code: str
    """A RightCode, or the deployment's own word for a right that has none."""
    article: str
    """The place in the law, such as `Art. 15`."""
    title: Mapping[str, str] = field(default_factory=dict)
    """By language, for a right of the deployment's own; empty: the catalogues have it."""

    @property
    def titles(self) -> Mapping[str, str]:
        """Return the title in every language that has it, SOURCE among them."""
        code = f"{_TITLES}.{self.code}"
        return self.title or {SOURCE: find(SOURCE, code) or self.code, **by_language(code)}
