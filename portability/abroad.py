"""Other countries: whether data may go there without a human having looked (requirement R47).

GDPR Art. 44-49 and UU PDP Art. 56 ask the same in the same order: a level of protection found equal, else binding
safeguards, else the person's own consent. The last is a decision for a single case: it holds the transfer for a human.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

_EEA = """
AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK
"""
_ADEQUATE = """
AD AR CA CH FO GB GG IL IM JE JP KR NZ UY
"""
_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK
FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR
IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK
ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM
PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF
TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
EEA = frozenset(_EEA.split())
ADEQUATE = frozenset(_ADEQUATE.split())
"""Found adequate by the Commission as a whole (GDPR Art. 45). Not the United States, where it depends on the company's
certificate: record that as a safeguard. What is not here holds for a human, who may know better."""
COUNTRIES = frozenset(_COUNTRIES.split())
"""ISO 3166-1 alpha-2."""


class Mechanism(StrEnum):
    """On what ground data may go to a recipient's country."""

    ADEQUACY = "adequacy"
    """The country's law protects as ours does."""
    SCC = "scc"
    """Standard contractual clauses; `safeguard` names the contract."""
    BINDING_RULES = "binding_rules"
    """Binding corporate rules, or another approved instrument; `safeguard` names it."""
    CONSENT = "consent"
    """The person's own, for the single case (GDPR Art. 49(1)(a), UU PDP Art. 56(4))."""
    NONE = "none"
    """Nobody has said."""


SAFEGUARDS = frozenset({Mechanism.SCC, Mechanism.BINDING_RULES})


def is_adequate(country: str, home: str | None) -> bool:
    """Whether a country protects as `home` does, where this service is established."""
    return country == home or country in EEA or country in ADEQUATE


def needs_human(recipient: Mapping[Any, Any], home: str | None) -> bool:
    """Whether a transfer to the recipient waits until somebody has looked at it."""
    if is_adequate(recipient["country"], home):
        return False
    return recipient["mechanism"] not in SAFEGUARDS or not recipient["safeguard"]
