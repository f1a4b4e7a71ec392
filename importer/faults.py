"""Why nothing is imported: errors of one tree with those of portability/errors.py.

PortabilityError
  BadArchive           what lies there is not what its volumes were signed to hold
  BadInput
    NotImportable  BadTarget
"""

from __future__ import annotations

from portability.errors import BadInput, PortabilityError


class BadArchive(PortabilityError):
    """A file is not the one that the manifest lists, or the folder is no whole archive. Its dataset was rolled back."""

    code = "bad_archive"
    default_hint = "unpack it again: `portability receive`, or `portability import` of the ZIPs"


class NotImportable(BadInput):
    """An archive of a profile or format version that the importer does not take."""

    code = "not_importable"
    default_hint = "take an export of profile switch or portability"


class BadTarget(BadInput):
    """The database to import into cannot be used: not there, not writable, or with other tables of these names."""

    code = "bad_target"
    default_hint = "check --into; docs/source-schema.md describes the tables"
