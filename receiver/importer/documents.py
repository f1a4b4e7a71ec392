"""Documents of an unpacked archive: JSON of a stranger, whose members are checked before anything relies on them.

A number may be larger than any database stores, and a text may be long, or have characters that PostgreSQL does not
store or that a terminal obeys. So an error names the document, and repeats none of its members.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeGuard

import orjson

from archive import bag
from portability.api.names import NAME
from receiver.importer.faults import BadArchive

if TYPE_CHECKING:
    from portability.trust.signing import Jwks

NUMBER_MAX = (1 << 31) - 1
"""The largest number of a volume, of a revision, and of an archive of a feed: an integer of PostgreSQL."""
COUNT_MAX = (1 << 53) - 1
"""The largest number of bytes or records: the largest integer that every program reads (RFC 7493 section 2.2)."""
TEXT_CHARACTERS = 512
_WORD = re.compile(r"[A-Za-z0-9_./-]{1,100}")


def parsed(name: str, data: bytes) -> Mapping[str, Any]:
    """Return a document, which is a JSON object. Raises BadArchive."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise BadArchive(f"{name} is not a JSON object")
    return document


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a text in one line of bounded length, such as an id."""
    return isinstance(value, str) and len(value) <= TEXT_CHARACTERS and value.isprintable()


def is_word(value: object) -> TypeGuard[str]:
    """Return whether a value may be a word of the format, such as a profile: an error may repeat it."""
    return isinstance(value, str) and bool(_WORD.fullmatch(value))


def is_name(value: object) -> TypeGuard[str]:
    """Return whether a value may be the name of an exporter or a dataset."""
    return isinstance(value, str) and bool(NAME.fullmatch(value))


def is_number(value: object) -> TypeGuard[int]:
    """Return whether a value may number a volume, a revision or an archive."""
    return type(value) is int and 1 <= value <= NUMBER_MAX


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value may count bytes or records."""
    return type(value) is int and 0 <= value <= COUNT_MAX


def claims(token: str, jwks: Jwks | None) -> Mapping[str, Any]:
    """Return the claims of a volume: with a checked signature if keys are given, else only well-formed.

    Raises: SignatureFault, BadArchive.
    """
    if jwks:
        from portability.trust.signing import ARCHIVE_TYPE, check  # noqa: PLC0415  # an import without keys is common

        found = check(token, jwks, typ=ARCHIVE_TYPE)
    else:
        found = _unsigned(token)
    texts = (found.get(name) for name in ("export", "iss"))
    if not all(map(is_text, texts)) or not all(is_number(found.get(name)) for name in ("volume", "revision")):
        raise BadArchive(f"{bag.SIGNATURE} lacks a claim, or has one of another type")
    return found


def closing(document: Mapping[str, Any], signed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return export.json, once what is read of it has the right types and agrees with the claims of its volume.

    Raises BadArchive.
    """
    lines = document.get("volumes", [])
    is_listed = isinstance(lines, list) and all(
        isinstance(line, dict) and is_number(line.get("number")) and is_text(line.get("name")) for line in lines
    )
    words = [document.get(name) for name in ("format", "profile", "subject_kind")]
    are_words = all(isinstance(word, NoneType) or is_word(word) for word in words)
    if not (is_listed and are_words and is_text(document.get("subject", ""))):
        raise BadArchive(f"{bag.EXPORT} lacks a property, or has one of another type")
    revision = document.get("revision")
    if (document.get("export"), revision) != (signed["export"], signed["revision"]) or not is_number(revision):
        raise BadArchive(f"{bag.EXPORT} and {bag.SIGNATURE} name different exports or revisions")
    return document


def _unsigned(token: str) -> Mapping[str, Any]:
    try:
        payload = token.split(".")[1]
        return parsed(bag.SIGNATURE, urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError):
        raise BadArchive(f"{bag.SIGNATURE} is not a signature") from None
