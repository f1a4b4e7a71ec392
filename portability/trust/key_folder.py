"""The folder of private keys: who can read what is in it."""

from __future__ import annotations

import stat
from pathlib import Path

from portability.errors import NoSigningKey
from portability.trust.keys import COPY_HINT, READ_HINT, SUFFIXES

AWAY_HINT = (
    "mount PORTABILITY_KEYS_DIR or copy it to this machine; where no key was ever made, `portability keys new` does"
)


def check(folder: Path) -> None:
    """Check that only their owner can read the private keys, and that it is the owner of the folder.

    Raises: NoSigningKey.
    """
    try:
        owner = folder.stat().st_uid
        found = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    except OSError as error:
        hint = READ_HINT if isinstance(error, PermissionError) else AWAY_HINT
        raise NoSigningKey(f"cannot look at the private keys: {type(error).__name__}", hint=hint) from None
    for path in found:
        _check_file(path, owner)


def _check_file(path: Path, owner: int) -> None:
    try:
        status = path.stat()
    except OSError as error:  # a link that leads nowhere, or to itself
        hint = READ_HINT if isinstance(error, PermissionError) else COPY_HINT
        raise NoSigningKey(f"cannot look at the private key {path.stem}: {type(error).__name__}", hint=hint) from None
    if not stat.S_ISREG(status.st_mode):
        raise NoSigningKey(f"{path.name} in the folder of private keys is not a file", hint=COPY_HINT)
    if status.st_mode & 0o077:
        hint = f"run chmod 600 {path.name} in PORTABILITY_KEYS_DIR, and make a new key if others could read it"
        raise NoSigningKey(f"other accounts can read or change the private key {path.stem}", hint=hint)
    if status.st_uid != owner:
        hint = f"run chown --reference=. {path.name} in PORTABILITY_KEYS_DIR"
        raise NoSigningKey(f"the private key {path.stem} belongs to another account than its folder", hint=hint)
