"""Countries: whether data may be sent to a country without a check by a person (requirement R47).

GDPR Art. 44-49 and UU PDP Art. 56 require the same in the same order: an adequate level of protection, else binding
safeguards, else the person's own consent. Consent is a decision for a single case: the transfer waits for a person.
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
"""Found adequate by the Commission as a whole (GDPR Art. 45). The United States are not listed: there it depends on the
company's certificate, to be recorded as a safeguard. Transfers to countries not listed wait for a person's decision."""
COUNTRIES = frozenset(_COUNTRIES.split())
"""ISO 3166-1 alpha-2."""


class Mechanism(StrEnum):
    """The legal ground on which data may go to a recipient's country."""

    ADEQUACY = "adequacy"
    """The country's law gives adequate protection."""
    SCC = "scc"
    """Standard contractual clauses; `safeguard` names the contract."""
    BINDING_RULES = "binding_rules"
    """Binding corporate rules, or another approved instrument; `safeguard` names it."""
    CONSENT = "consent"
    """The person's own consent, for the single case (GDPR Art. 49(1)(a), UU PDP Art. 56(4))."""
    NONE = "none"
    """No ground was recorded."""


SAFEGUARDS = frozenset({Mechanism.SCC, Mechanism.BINDING_RULES})


def is_adequate(country: str, home: str | None) -> bool:
    """Return whether a country gives the same protection as `home`, the country where this service is established."""
    return country == home or country in EEA or country in ADEQUATE


def needs_human(recipient: Mapping[Any, Any], home: str | None) -> bool:
    """Return whether a transfer to the recipient must wait for a person's decision."""
    if is_adequate(recipient["country"], home):
        return False
    return recipient["mechanism"] not in SAFEGUARDS or not recipient["safeguard"]
