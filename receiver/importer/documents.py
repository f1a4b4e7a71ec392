"""Documents of an unpacked archive: untrusted JSON, whose members are checked before anything relies on them.

An error names the document, and repeats none of its members.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archive import bag
from portability import strict_json
from receiver.importer.faults import BadArchive
from receiver.untrusted import is_number, is_optional, is_text, is_word

if TYPE_CHECKING:
    from portability.trust.signing import Jwks


def parsed(name: str, data: bytes) -> Mapping[str, Any]:
    """Return a document, which is a JSON object. Raises BadArchive."""
    try:
        document = strict_json.parse(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise BadArchive(f"{name} is not a JSON object")
    return document


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
    are_words = all(is_optional(is_word, document.get(name)) for name in ("format", "profile", "subject_kind"))
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
