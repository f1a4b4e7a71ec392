"""References to secrets: a map or a file of sources names where a secret is, and never contains it."""

from __future__ import annotations

import os
from pathlib import Path

from portability.api.errors import BadSetting

FORMS = "env:NAME or file:/path"


def is_reference(value: str) -> bool:
    """Return whether a value has the form of a reference."""
    kind, _, name = value.partition(":")
    return (kind == "env" and name.isidentifier()) or (kind == "file" and name.startswith("/"))


def resolve(reference: str, key: str) -> str:
    """Return the value that a reference names; `key` names the setting in errors, which never repeat the value.

    Raises: BadSetting if it is not a reference, or if the variable or file is missing or empty.
    """
    if not is_reference(reference):
        raise BadSetting(
            f"{key} must be a reference, not a value", hint=f"write {FORMS}: files of sources hold no secrets"
        )
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name, "").rstrip("\r\n")  # as tools that encode secrets leave it, too
    else:
        try:
            value = Path(name).read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            raise BadSetting(f"{key}: cannot read {name}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadSetting(f"{key}: {name} is not UTF-8") from None
    if not value:
        raise BadSetting(f"{key}: {reference} is empty or not set")
    return value
