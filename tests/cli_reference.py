"""The page docs/cli.md, made of what `--help` prints; `make docs` writes it, tests/test_docs.py compares it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from cli.main import main

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 100
HEAD = """\
# Command line

Generated from `--help` by `make docs`: do not edit.

Every command takes `--dir` (or `PORTABILITY_DIR`), the state folder of the embedded stack, and `--json`, which answers
in JSON for machines. Names of commands, options and JSON fields are relied upon: they are added to, never renamed.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it failed, or an archive does not verify |
| 2 | bad input; nothing was changed |

An error is one line on standard error, `error: what, on which thing [code]  hint: what to do`; with `--json` it is
`{"error": {"code", "message", "hint"}}` on standard output. [errors.md](errors.md) lists the codes.
"""


def commands(
    command: click.Command = main, name: str = "portability", parent: click.Context | None = None
) -> Iterator[click.Context]:
    """The command and all below it, in the order of `--help`, each in the context that its help is printed in."""
    context = click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    yield context
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None, word
            yield from commands(below, word, context)


def render() -> str:
    """The whole page."""
    sections = (f"## {context.command_path}\n\n```text\n{_help(context)}\n```\n" for context in commands())
    return "\n".join([HEAD, *sections])


def _help(context: click.Context) -> str:
    return "\n".join(line.rstrip() for line in context.get_help().splitlines()).rstrip()


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(render())
    else:
        PAGE.write_text(render())
