"""What can be wrong with an archive, by stable codes (docs/archive-format.md lists them; a test compares them)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultCode(StrEnum):
    """One way in which an archive does not verify."""

    NOT_A_ZIP = "not_a_zip"
    TRUNCATED_ZIP = "truncated_zip"
    UNREADABLE = "unreadable"
    STRAY_BYTES = "stray_bytes"
    HIDDEN_ENTRY = "hidden_entry"
    DUPLICATE_ENTRY = "duplicate_entry"
    HEADER_MISMATCH = "header_mismatch"
    BAD_NAME = "bad_name"
    TOO_LARGE = "too_large"
    CHANGED = "changed"
    MISSING = "missing"
    ADDED = "added"
    RENAMED = "renamed"
    REPACKED = "repacked"
    BAD_MANIFEST = "bad_manifest"
    BAD_CLAIMS = "bad_claims"
    COUNT_MISMATCH = "count_mismatch"
    WRONG_COUNTS = "wrong_counts"
    BAD_SIGNATURE = "bad_signature"
    MALFORMED_JWS = "malformed_jws"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    SIGNED_AFTER_RETIREMENT = "signed_after_retirement"
    FORBIDDEN_ALGORITHM = "forbidden_algorithm"
    WRONG_TYPE = "wrong_type"
    FOREIGN_VOLUME = "foreign_volume"
    MISSING_VOLUME = "missing_volume"
    EXTRA_VOLUME = "extra_volume"
    VOLUME_CHANGED = "volume_changed"
    MISSING_CLOSING_VOLUME = "missing_closing_volume"
    BAD_CLOSING = "bad_closing"


@dataclass(frozen=True, slots=True)
class ArchiveFault:
    """A fault: its code, in which ZIP, and in which file of it where it is about a file."""

    code: FaultCode
    volume: str
    """File name of the ZIP as it was given; for a missing volume, its name in the closing volume's list."""
    file: str | None
    """Path inside the bag."""
    detail: str


class ZipFault(Exception):
    """A fault that the ZIP reader found."""

    def __init__(self, code: FaultCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
