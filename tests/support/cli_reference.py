"""The page docs/cli.md, made of what `--help` prints; `make docs` writes it, tests/test_docs.py compares it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
WIDTH = 100
HEAD = """\
# Command line

Generated from `--help` by `make docs`: do not edit.

Every command takes `--dir` (or `PORTABILITY_DIR`), the state folder of the embedded stack, and `--json`, which answers
in JSON for machines. Names of commands, options and JSON fields are relied upon: they are added to, never renamed.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it failed, or an archive does not verify; `--wait`: the export failed, was cancelled, or waits for a person |
| 2 | bad input; nothing was changed |
| 3 | `--wait`: the archive is ready and not complete: it has gaps, or companies decide over some of the data |
| 4 | `--wait`: no source knows the subject |
| 5 | `--wait`: the archive is ready, and companies decide over all of the data |
| 130 | Ctrl-C ended the command, which printed no result, with `--json` too. What was requested goes on |

An error is one line on standard error, `error: what, on which thing [code]  hint: what to do`; with `--json` it is
`{"error": {"code", "message", "hint"}}` on standard output, also where an option or a command is unknown. Where that
cannot be written, the line is on standard error with `--json`, too. The exit code is the same. [errors.md](errors.md)
lists the codes.

`man portability` shows this page where the package is installed. For completion in the shell, add a line to the file
that your shell reads when it starts:

| shell | file | line |
|---|---|---|
| Bash 4.4 or newer | `~/.bashrc` | `eval "$(_PORTABILITY_COMPLETE=bash_source portability)"` |
| Zsh | `~/.zshrc` | `eval "$(_PORTABILITY_COMPLETE=zsh_source portability)"` |
| Fish | `~/.config/fish/completions/portability.fish` | `_PORTABILITY_COMPLETE=fish_source portability \\| source` |
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
    PAGE.write_text(render())
