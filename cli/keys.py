"""`portability keys new | list | retire | revoke | jwks`: keys that sign archives."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy import RowMapping

from cli.context import Context, beginning, shared
from cli.harmless import emit_json
from portability.database.engine import reading, writing
from portability.errors import NoSigningKey
from portability.requests import actors
from portability.trust import keys


@click.group("keys")
def keys_group() -> None:
    """Keys that sign archives."""


@keys_group.command("new")
@click.option("--purpose", default="archive", show_default=True, help="archive, link, transfer, receipt or audit.")
@click.option("--external", metavar="URI", help="Use a key of a key store: pkcs11:... or aws-kms:ARN.")
@beginning
def new(context: Context, purpose: str, external: str | None) -> None:
    """Make a key that signs from now on; its predecessor retires."""
    folder, actor = context.settings.keys, _actor(context)
    with writing(context.engine) as connection:
        if external is None:
            kid = keys.new(connection, folder, purpose=purpose, actor=actor)
        else:
            kid = keys.register(connection, folder, external, purpose=purpose, actor=actor)
    context.result({"kid": kid}, lambda: context.console.print(kid))


@keys_group.command("list")
@shared
def list_keys(context: Context) -> None:
    """List keys, retired and revoked keys too, and whether this machine has their files."""
    with reading(context.engine) as connection:
        rows = [{**row, "file": _file(context, row)} for row in keys.listed(connection)]
    context.listing("Keys", rows, ("kid", "purpose", "file"), ("created_at", "retired_at", "revoked_at"))


@keys_group.command("retire")
@click.argument("kid")
@shared
def retire(context: Context, kid: str) -> None:
    """Retire a key: it signs no more; its signatures stay valid."""
    with writing(context.engine) as connection:
        keys.retire(connection, kid, actor=_actor(context))
    context.result({"kid": kid}, lambda: context.console.print(f"{kid} is retired"))


@keys_group.command("revoke")
@click.argument("kid")
@shared
def revoke(context: Context, kid: str) -> None:
    """Revoke a compromised key: all its signatures become invalid."""
    with writing(context.engine) as connection:
        keys.revoke(connection, kid, actor=_actor(context))
    context.result({"kid": kid}, lambda: context.console.print(f"{kid} is revoked"))


@keys_group.command("jwks")
@shared
def jwks(context: Context) -> None:
    """Print the JWK Set (RFC 7517) that verifies archives."""
    with reading(context.engine) as connection:
        document = keys.jwks(connection)
    emit_json(document)


def _file(context: Context, row: RowMapping) -> str:
    """Return `ok`, `missing`, or `unusable`: it cannot be read, is damaged, or has another key than the database."""
    folder = context.settings.keys
    try:
        keys.check_file(folder, row)
    except NoSigningKey:
        is_missing = all(_is_missing(folder / f"{row['kid']}{suffix}") for suffix in keys.SUFFIXES)
        return "missing" if is_missing else "unusable"
    return "ok"


def _is_missing(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return not isinstance(error, PermissionError)  # whether it is in a folder that cannot be read is not known
    return False


def _actor(context: Context) -> str:
    return str(actors.acting(context.settings, None))
