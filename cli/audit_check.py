"""Check of `portability doctor`: the audit log contains what the kept heads prove."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cli.audit import read_jwks
from cli.checks import NOT_READ, Seen
from cli.context import Context
from portability.api.errors import BadInput
from portability.database.engine import reading
from portability.errors import DatabaseUnavailable
from portability.trust import audit, audit_heads, unchained
from portability.trust.audit import AuditDiffers
from portability.trust.signing import Jwks

KEPT = "*.jwt"
JWKS = "jwks.json"
"""The keys beside the heads: a person who can change the database can also change the keys in it."""
READ_HINT = "let the account that runs this command read it: owner and mode of the folder"
CHANGED_HINT = "it is a security incident; see docs/runbooks/AuditBroken.md"
KEEP_HINT = "set PORTABILITY_AUDIT_HEADS_DIR, or --head; see docs/audit.md#a-head-kept-elsewhere"


def audit_head(context: Context, head: Path | None = None) -> Seen:
    """Compare the log with each kept head: of the folder AUDIT_HEADS_DIR, and `head`.

    Raises: AuditDiffers if the chain cannot take a recorded event, if the log ends before a head, or has another event
    there; SignatureFault; BadInput.
    """
    try:
        with reading(context.engine) as connection:
            damaged = unchained.unchainable(connection)
    except DatabaseUnavailable:
        return NOT_READ
    if damaged:
        changed = f"{len(damaged)} recorded events were changed, so that the chain of the audit log cannot take them"
        raise AuditDiffers(f"{changed}, the first is {damaged[0]} in audit_unchained", hint=CHANGED_HINT)
    folder = context.settings.audit_heads_dir
    if not (folder or head):
        return Seen("not compared: no head is kept elsewhere", KEEP_HINT)
    files = [*_kept(folder), *([head] if head else [])]
    if not files:
        return Seen(f"not compared: no file {KEPT} in the folder of heads", KEEP_HINT)
    with reading(context.engine) as connection:
        newest = audit.head(connection)
        keys = {folder: _keys(folder) for folder in {path.parent for path in files}}
        for path in files:
            kept = audit_heads.read(connection, _text(path), jwks=keys[path.parent])
            if kept.event_id > newest.event_id:
                ends = f"the audit log ends at event {newest.event_id}"
                raise AuditDiffers(f"{ends}, but {path.name} is a head of event {kept.event_id}")
            if not audit.contains(connection, kept):
                raise AuditDiffers(f"event {kept.event_id} of the audit log is not the one of the head {path.name}")
    return Seen(f"ok: {len(files)} kept heads, the log ends at event {newest.event_id}")


def _kept(folder: Path | None) -> Iterator[Path]:
    if not folder:
        return
    if not folder.is_dir():
        raise BadInput("PORTABILITY_AUDIT_HEADS_DIR is not a folder", hint=KEEP_HINT)
    try:
        yield from sorted(path for path in folder.iterdir() if path.match(KEPT))  # glob passes over what it cannot read
    except OSError as error:
        raise BadInput(f"cannot read PORTABILITY_AUDIT_HEADS_DIR: {error.strerror}", hint=READ_HINT) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise BadInput(f"cannot read the head {path.name}: {error.strerror}") from None


def _keys(folder: Path) -> Jwks | None:
    path = folder / JWKS
    return read_jwks(path) if path.is_file() else None
