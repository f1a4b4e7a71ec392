"""Names of columns that lead to rows of other tables without a foreign key: `contact_id` names one of `contacts`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from exporters.sql.catalogue import Catalogue
from exporters.sql.proposal.names import words

PREFIX_MAX = 2
"""Words of a prefix of tables."""

GENERAL = frozenset(
    {"code", "guid", "id", "key", "name", "no", "nr", "number", "oid", "pk", "rowid", "type", "uid", "uuid", "value"}
)
"""Names of keys that say nothing about their table: a column of this name names no row of it."""


def names_of_rows(catalogue: Catalogue) -> Mapping[str, Sequence[str]]:
    """Return the tables by the names that a column without a foreign key may have for their rows.

    `contact_id` and `contactid` are names for rows of `contacts`, and of `crm_contacts` where most tables have this
    prefix and no table is `contacts`.
    """
    return _called(catalogue, with_key=True)


def _called(catalogue: Catalogue, *, with_key: bool) -> Mapping[str, Sequence[str]]:
    """Return the tables by their names, one by one and without their prefix, with the last word of their key or not."""
    of_table = {name: words(name.rpartition(".")[2]) for name, table in catalogue.tables.items() if len(table.key) == 1}
    prefix = _prefix(words(name.rpartition(".")[2]) for name in catalogue.tables)
    whole, short = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for name, parts in of_table.items():
        end = words(catalogue.tables[name].key[0])[-1:] if with_key else ()
        # A name in Chinese or of signs alone has no word.
        for one in {parts, _singular(parts)} if parts else ():
            whole["".join((*one, *end))].append(name)
            if prefix and one[: len(prefix)] == prefix and len(one) > len(prefix):
                short["".join((*one[len(prefix) :], *end))].append(name)
    return {**short, **whole}


def alike_names(catalogue: Catalogue) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return the tables by what a column may be called like, and by names, for names that say less than a whole one.

    `permission_id` or `idvisit` is the key of one table, whatever its name is; `course` names a row of `course`, as in
    Moodle, and `discussion` one of `forum_discussions`.
    """
    keys = defaultdict[str, list[str]](list)
    for name, table in catalogue.tables.items():
        if len(table.key) == 1 and words(table.key[0]) and "".join(words(table.key[0])) not in GENERAL:
            keys["".join(words(table.key[0]))].append(name)
    ends = defaultdict[str, list[str]](list)
    for name, table in catalogue.tables.items():
        parts = words(name.rpartition(".")[2]) if len(table.key) == 1 else ()
        end = words(table.key[0])[-1:] if parts else ()
        for begin in range(1, len(parts)):
            for one in {parts[begin:], _singular(parts[begin:])}:
                ends["".join(one)].append(name)
                ends["".join((*one, *end))].append(name)
    return {"the key of this table": keys, "it": _called(catalogue, with_key=False), "the end of its name": ends}


def _prefix(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return the first words that most tables share, such as `wp` of `wp_users`; empty without such words."""
    every = [tuple(parts) for parts in names]
    most = Counter(parts[:length] for parts in every for length in range(1, PREFIX_MAX + 1) if len(parts) > length)
    shared = [prefix for prefix, count in most.items() if 2 * count > len(every) > 1]
    return max(shared, key=len, default=())


def meant(column: str, by_names: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return the tables whose rows a column without a foreign key names by its name and their key."""
    parts = words(column)
    found = by_names.get("".join(parts)) or by_names.get("".join((*_singular(parts[:-1]), *parts[-1:])))
    return found or ()


def _singular(parts: Sequence[str]) -> tuple[str, ...]:
    if not parts:
        return ()
    last = parts[-1]
    if last.endswith("ies"):
        last = f"{last[:-3]}y"
    elif last.endswith(("sses", "xes", "ches", "shes")):
        last = last[:-2]
    elif last.endswith("s") and not last.endswith("ss"):
        last = last[:-1]
    return (*parts[:-1], last)
