"""What a seed does: whose exports, and which faults after how many volumes. The same seed plans the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

FAULTS_EACH = 4
FAULTS_MORE_MAX = 1
LAST_MOMENT = 0.75
"""Of the volumes that the seed's exports have: a fault after all of them would hit nothing."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault, and its moment."""

    kind: str
    after_volumes: int
    """Once this number of volumes of the seed's exports is stored."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A seed's."""

    seed: int
    subjects: Sequence[str]
    faults: Sequence[Planned]


def plan(
    seed: int,
    kinds: Sequence[str],
    volumes: dict[str, int],
    always: str,
    *,
    moves: Sequence[str] = (),
) -> Plan:
    """The plan of a seed.

    Args:
        seed: seeds that follow one another deal out all kinds like a deck of cards.
        kinds: names of faults.
        volumes: how many each subject's archive has.
        always: the subject that every seed asks for.
        moves: names of faults of which the seed has one, and two other faults less.
    """
    chance = Random(seed)
    others = sorted(volumes.keys() - {always})
    subjects = [always, *chance.sample(others, chance.randint(1, len(others)))]
    each = FAULTS_EACH - 2 * bool(moves)
    dealt = [_card(place, kinds) for place in range(seed * each, (seed + 1) * each)]
    dealt += [_card(seed, moves)] if moves else []
    dealt += chance.sample(sorted(kinds), chance.randint(0, FAULTS_MORE_MAX))
    total = sum(volumes[subject] for subject in subjects)
    moments = sorted(int(chance.uniform(0, LAST_MOMENT) * total) for _ in dealt)
    chance.shuffle(dealt)
    return Plan(seed, subjects, [Planned(kind, moment) for kind, moment in zip(dealt, moments, strict=True)])


def _card(place: int, kinds: Sequence[str]) -> str:
    deck, card = divmod(place, len(kinds))
    return Random(f"deck {deck}").sample(sorted(kinds), len(kinds))[card]
