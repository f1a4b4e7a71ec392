"""Rights in the notice: those that the laws of its subject give, how to use them, and where to complain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from portability.api import JSON
from portability.law.notice import Register, Right
from portability.law.regime import Regime
from portability.law.rights import RightCode

LAWS: Mapping[str, Mapping[str, str]] = {
    "access": {"gdpr": "GDPR Art. 15(1)(a)-(h), 15(2)", "uu_pdp": "UU PDP Art. 7, 21, 32"},
    "portability": {"gdpr": "GDPR Art. 13, 20", "uu_pdp": "UU PDP Art. 13, 21"},
    "switch": {"data_act": "Data Act Art. 25(2), 29, 30"},
}
"""What obliges to give this information, by profile and regime; of other regimes the article of the right itself."""
ANSWERED: Mapping[str, Sequence[str]] = {
    "access": (RightCode.ACCESS,),
    "portability": (RightCode.PORTABILITY, RightCode.ACCESS),
    "switch": (RightCode.SWITCHING,),
}
"""The right that a profile answers; without the first, a regime gives the next."""


def laws(profile: str, regimes: Sequence[Regime]) -> list[str]:
    """Return what obliges to give this information under the subject's regimes; without regimes, under all."""
    known = LAWS.get(profile, {})
    found = [known.get(regime.name) or _first(regime, ANSWERED.get(profile, ())) for regime in regimes]
    return [law for law in found if law] or [*known.values()]


def _first(regime: Regime, codes: Iterable[str]) -> str | None:
    return next((cited for code in codes if (cited := regime.cites([code]))), None)


def rights_by_law(regimes: Sequence[Regime]) -> list[dict[str, JSON]]:
    """Return the rights of each law, each with its article."""
    return [
        {
            "regime": regime.name,
            "law": regime.law or regime.name,
            "rights": [
                {"right": right.code, "title": {**right.titles}, "article": right.article} for right in regime.rights
            ],
        }
        for regime in regimes
    ]


def rights(register: Register, regimes: Sequence[Regime], contact: str) -> list[dict[str, JSON]]:
    """Return how to use the rights. A right with `kinds` is left out if no law of the subject gives it."""
    return [
        {**_plain(right), "law": law, "how": right.how_with(contact).model_dump(mode="json")}
        for right in register.rights.values()
        if (law := _law(right, regimes))
    ]


def _law(right: Right, regimes: Sequence[Regime]) -> str:
    """Return where the subject's laws give a right; without such laws, or for a right without kinds, the register's."""
    if not right.kinds or not regimes:
        return right.law
    return "; ".join(cited for regime in regimes if (cited := regime.cites(right.kinds)))


def authorities(register: Register, regimes: Sequence[Regime]) -> list[JSON]:
    """Return where to complain: the authorities of the subject's laws, and those that are for every law."""
    return [one.model_dump(mode="json", exclude={"regimes"}) for one in register.authorities_under(regimes)]


def _plain(right: Right) -> dict[str, JSON]:
    return right.model_dump(mode="json", exclude_none=True, exclude={"kinds"})
