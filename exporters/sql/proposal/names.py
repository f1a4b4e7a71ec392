"""Guesses from the name and type of a column what it contains. A guess is a proposal to a person, never a decision."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from sqlalchemy import ARRAY, BINARY, JSON, VARBINARY, Integer, SmallInteger, String
from sqlalchemy.dialects.mysql import MEDIUMINT, TINYINT
from sqlalchemy.dialects.postgresql import HSTORE, OID
from sqlalchemy.types import NullType, TypeEngine

from exporters.sql.catalogue import CatalogueTable
from exporters.sql.columns import BLOBS
from exporters.sql.identifiers import plain_type


class Guess(StrEnum):
    """What a column seems to contain."""

    SECRET = "secret"  # noqa: S105  # the word, not a secret
    """A password, token, key or code that would let another person act as the subject."""
    FREE_TEXT = "free_text"
    """Text that a person wrote, or a value of any structure: it may be about other people."""
    PERSONAL = "personal"
    """Describes a person: a name, an address, a device, a place."""
    BINARY = "binary"
    """Bytes, which no field can have."""
    OTHER = "other"


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _lists() -> Mapping[str, Mapping[str, Sequence[str]]]:
    text = files("exporters.sql.proposal").joinpath("words.toml").read_text("utf-8")
    return {part: {name: words.split() for name, words in lists.items()} for part, lists in tomllib.loads(text).items()}


_LISTS = _lists()
_SECRET_STEMS, _PERSONAL_STEMS = _LISTS["secret"]["stems"], _LISTS["personal"]["stems"]
_SECRET_WORDS, _SECRET_NAMES = frozenset(_LISTS["secret"]["words"]), frozenset(_LISTS["secret"]["names"])
_SECRET_TABLES, _IN_SECRET_TABLES = frozenset(_LISTS["secret"]["tables"]), frozenset(_LISTS["secret"]["in_tables"])
_NOT_SECRET = tuple(_LISTS["secret"]["not"])
_KEY_BEFORE, _CODE_BEFORE = frozenset(_LISTS["secret"]["before_key"]), frozenset(_LISTS["secret"]["before_code"])
_BEFORE = {"key": _KEY_BEFORE, **dict.fromkeys(("code", "hash", "link"), _CODE_BEFORE)}
"""Words before the names of what can be a secret."""
_FREE_WORDS, _PERSONAL_WORDS = frozenset(_LISTS["free_text"]["words"]), frozenset(_LISTS["personal"]["words"])
_NAME_OF_THINGS = frozenset(_LISTS["other"]["before_name"])
_ROLES = tuple(_LISTS["people"]["roles"])
_ACTS = frozenset(_LISTS["time"]["acts"])
_TIMES = frozenset(_LISTS["time"]["names"]) | {
    name for act in _ACTS for name in (f"{act}at", f"{act}time", f"time{act}", f"{act}date", f"date{act}", f"last{act}")
}
FURTHER_KINDS = {"object": ("type", "contenttypeid"), "res": ("resmodel", "model")}
"""What else may say of which table a row is, by the name of the number without `id`: in Django and Odoo."""
_SMALL = (SmallInteger, TINYINT, MEDIUMINT)
"""Types of integers that are too short for a time."""
_PLAIN_FIRST, _PLAIN_LAST = frozenset(_LISTS["other"]["first"]), frozenset(_LISTS["other"]["last"])


@lru_cache(maxsize=1 << 16)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case: `LastLoginIp2` and `last_login_ip2` give the same."""
    return tuple(word.lower() for word in _WORD.findall(name))


def type_beside(column: str, columns: Iterable[str]) -> str | None:
    """Return the column that says of which table a row is that `column` names, such as `owner_type` for `owner_id`.

    None: the column seems to name rows of one table.
    """
    by_words = {"".join(words(name)): name for name in columns}
    named = "".join(words(column))
    stem = named.removesuffix("id")
    kinds = [f"{stem}type", *FURTHER_KINDS.get(stem, ())]
    return next((by_words[kind] for kind in kinds if kind in by_words), None) if stem not in {"", named} else None


def names_rows_of_several(table: CatalogueTable, column: str) -> str | None:
    """Return the column that says of which table a row is that a column of a table names, as `type_beside`.

    The key of a table names its own rows, whatever type they have.
    """
    return None if frozenset({column}) in table.unique else type_beside(column, table.columns)


def may_be_person(name: str, own: Collection[str]) -> bool:
    """Return whether a column seems to name a person: `useridfrom`, `post_author`.

    `own` are the names of columns that name rows of the subject's table.
    """
    joined, last = "".join(words(name)), next((one for one in reversed(words(name)) if one != "id"), "")
    if "is" in words(name):
        return False  # such as `customer_is_guest`
    return any(one in joined for one in own) or last == "by" or joined.removesuffix("id").endswith(_ROLES)


def may_be_time(name: str, kind: TypeEngine[Any]) -> bool:
    """Return whether a column of numbers seems to contain times: `timecreated`, `create_at` or `user_lastvisit`."""
    parts = words(name)
    ends = ("".join(parts[place:]) for place in range(len(parts)))
    return isinstance(kind, Integer) and not isinstance(kind, _SMALL) and any(end in _TIMES for end in ends)


def guess(name: str, kind: TypeEngine[Any], table: str = "") -> Guess:
    """Guess what a column contains; `table` is the name of its table, with its schema or not."""
    parts, kind = words(name), _kind_of_values(kind)
    if not parts:
        return Guess.OTHER
    lets_in = "".join(parts) in _IN_SECRET_TABLES and _SECRET_TABLES & {*words(table.rpartition(".")[2])}
    if (lets_in or _is_secret(parts)) and _is_text(kind):
        return Guess.SECRET
    if isinstance(kind, (*BLOBS, BINARY, OID)):  # an `oid` is the number of a large object
        return Guess.BINARY
    if isinstance(kind, JSON | HSTORE):
        return Guess.FREE_TEXT
    if isinstance(kind, String | VARBINARY) and not _is_plain(parts) and _FREE_WORDS & {*parts}:
        return Guess.FREE_TEXT
    return Guess.PERSONAL if _is_personal(parts) else Guess.OTHER


def _kind_of_values(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of what a column has: that of a domain, and of the members of an array."""
    plain = plain_type(kind)
    return _kind_of_values(plain.item_type) if isinstance(plain, ARRAY) else plain


def _is_text(kind: TypeEngine[Any]) -> bool:
    """Return whether a value may be a text or bytes: a number, time or truth value is never a secret by its name."""
    may_be = (String, *BLOBS, BINARY, VARBINARY, JSON, HSTORE, NullType)
    return isinstance(kind, may_be) or kind.__visit_name__.lower() in {"uuid", "bytea"}


def _is_plain(parts: tuple[str, ...]) -> bool:
    return parts[0] in _PLAIN_FIRST or parts[-1] in _PLAIN_LAST


def _is_secret(parts: tuple[str, ...]) -> bool:
    if _is_plain(parts) and parts[-1] != "id":
        return False
    joined = "".join(part for part in parts if not part.startswith(_NOT_SECRET))
    if any(stem in joined for stem in _SECRET_STEMS) or joined in _SECRET_NAMES:
        return True
    if parts[-1] == "id":
        return False
    return bool(_SECRET_WORDS & {*parts}) or _is_for_access(parts)


def _is_for_access(parts: tuple[str, ...]) -> bool:
    """Return whether a name has a key, code, hash or link that lets in, as `order_key`, `orderkey` or `login_code`."""
    is_joined = any(
        part.endswith(last) and part.removesuffix(last) in before for part in parts for last, before in _BEFORE.items()
    )
    return is_joined or any(first in _BEFORE.get(last, ()) for first, last in pairwise(parts))


def _is_personal(parts: tuple[str, ...]) -> bool:
    joined = "".join(parts)
    is_birth = "birth" in joined or "born" in parts or "lahir" in parts
    if _is_plain(parts) and not is_birth and parts[-1] != "id":
        return False
    if parts[-1] == "id":
        return bool({"national", "passport", "tax", "government", "device"} & {*parts})
    if parts[-1] == "name" and _NAME_OF_THINGS & {*parts[:-1]}:
        return False
    if {"tax", "national", "government"} & {*parts} and {"number", "no", "code"} & {*parts}:
        return True
    return is_birth or any(stem in joined for stem in _PERSONAL_STEMS) or bool(_PERSONAL_WORDS & {*parts})
