"""Keys within JSON values: those that a field declares are delivered, and each other key is a gap (ADR 42)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from portability.api import COVERAGE_UNDECIDED, JSON, Dataset, Gap, NestedKey, Record
from worker.read.record_columns import column, with_columns

ANY = "*"
NAMED_MAX = 100
"""Limit of the keys of one field that a batch names; a further gap says that there are more."""
DEPTH_MAX = 100
_IDENTIFIER = re.compile(r"[a-z][A-Za-z0-9_]{0,63}")


@dataclass(slots=True)
class KeyTree:
    """What is declared below a key."""

    names: dict[str, KeyTree] = field(default_factory=dict)
    is_about_other: bool = False

    def below(self, name: object) -> KeyTree | None:
        """Return what is declared below a name; None: the name is not declared."""
        return self.names.get(name) or self.names.get(ANY) if isinstance(name, str) else None


NOTHING = KeyTree()
"""Nothing is declared."""


@lru_cache(maxsize=1000)
def tree(keys: tuple[NestedKey, ...]) -> KeyTree:
    """Arrange the keys of a field by their names."""
    root = KeyTree()
    for key in keys:
        node = root
        for step in key.path.split("/")[1:]:
            node = node.names.setdefault(step.replace("~1", "/").replace("~0", "~"), KeyTree())
        node.is_about_other = key.is_about_other
    return root


def decided(dataset: Dataset, records: Sequence[Record]) -> tuple[Sequence[Record], tuple[Gap, ...]]:
    """Return the records without the keys that their fields do not declare, and a gap for each path of such a key."""
    gaps: list[Gap] = []
    changed: dict[str, list[JSON]] = {}
    for of in dataset.fields:
        if of.keys is None:
            continue
        undecided: dict[str, None] = {}
        before = column(records, of.name)
        after = [_decided(value, tree(of.keys), "", undecided) for value in before]
        if undecided:
            changed[of.name] = after
            names = [*undecided][:NAMED_MAX] + ([": more keys"] if len(undecided) > NAMED_MAX else [])
            gaps += [Gap(f"{dataset.name}/{of.name}{name}", COVERAGE_UNDECIDED) for name in names]
    return (with_columns(records, changed) if changed else records), tuple(gaps)


def _decided(value: JSON, node: KeyTree, path: str, undecided: dict[str, None], depth: int = 0) -> JSON:
    """Return the value with its declared keys; the same object if it has no other keys."""
    if node.is_about_other:
        return value
    if isinstance(value, Mapping):
        kept: dict[str, JSON] = {}
        for name, inner in value.items():
            below = node.below(name) if depth < DEPTH_MAX else None
            if below is None:
                undecided[f"{path}/{_shown(name)}"] = None
            else:
                kept[name] = _decided(inner, below, f"{path}/{_shown(name)}", undecided, depth + 1)
        return value if len(kept) == len(value) and all(kept[name] is value[name] for name in kept) else kept
    if isinstance(value, list | tuple):
        if depth >= DEPTH_MAX:
            undecided[f"{path}/{ANY}"] = None
            return []
        inside = [_decided(inner, node, path, undecided, depth + 1) for inner in value]
        return value if all(new is old for new, old in zip(inside, value, strict=True)) else inside
    return value


def _shown(name: object) -> str:
    """Return a key as a gap names it: a key that is not an identifier may itself be a person's name."""
    return name if isinstance(name, str) and _IDENTIFIER.fullmatch(name) else ANY
