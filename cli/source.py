"""`portability source schema`: what the maps of a kind of source may contain."""

from __future__ import annotations

import click

from cli.context import Context, shared
from cli.harmless import emit_json
from cli.source_checks import check, diff
from cli.source_propose import propose_command
from portability.api import MappedKind
from portability.api.errors import BadInput
from portability.plugins import SOURCE_KINDS, find


@click.group("source")
def source_group() -> None:
    """Sources that a map declares."""


for _command in (propose_command, check, diff):
    source_group.add_command(_command)


@source_group.command("schema")
@click.argument("kind")
@shared
def schema(context: Context, kind: str) -> None:  # noqa: ARG001  # the context is every command's
    """Print the JSON Schema of the maps of a KIND of source, such as sql."""
    emit_json(mapped_kind(kind).schema())


def mapped_kind(name: str) -> MappedKind:
    """Load a kind of source whose sources are declared by maps. Raises BadInput, DuplicatePlugin, BrokenPlugin."""
    kinds = {kind: plugin for kind, plugin in find(SOURCE_KINDS).items() if isinstance(plugin.load(), MappedKind)}
    if name not in kinds:
        raise BadInput(f"{name!r} is not a kind of source with maps; there are: {', '.join(kinds) or 'no such kinds'}")
    loaded: MappedKind = kinds[name].load()
    return loaded
