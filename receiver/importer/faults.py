"""Why an import fails: errors of one tree with those of portability/errors.py.

PortabilityError
  BadArchive           the files differ from the signed content
  TargetUnavailable    the target database fails
  BadInput
    NotImportable  BadTarget
"""

from __future__ import annotations

from portability.api.errors import BadInput, PortabilityError


class BadArchive(PortabilityError):
    """A file differs from the manifest, or the folder is not a complete archive. Its dataset was rolled back."""

    code = "bad_archive"
    default_hint = "remove its folder and unpack it again: `portability receive`, or `portability import` of the ZIPs"


class NotImportable(BadInput):
    """An archive with a profile or format version that cannot be imported."""

    code = "not_importable"
    default_hint = "use an export with profile switch or portability"


class TargetUnavailable(PortabilityError):
    """The target database fails: it does not answer, refuses, or has no room. What is committed there stays."""

    code = "target_unavailable"
    retryable = True
    default_hint = "look at the database of --into, then run the same command again: it continues"


class BadTarget(BadInput):
    """The target database cannot be used: missing, of another type, or with other tables of these names."""

    code = "bad_target"
    default_hint = "check --into; see docs/source-schema.md for the tables"
