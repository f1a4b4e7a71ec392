"""The manual page docs/man/portability.1, made of the commands' help; `make docs` writes it, and the wheel has it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click
from cli_reference import commands

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "man" / "portability.1"
END = r"""
.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
It failed, or an archive does not verify.
.TP
.B 2
Bad input; nothing was changed.
.SH ENVIRONMENT
Settings are environment variables whose names begin with
.BR PORTABILITY_ ;
docs/settings.md of the source lists them.
.SH FILES
.TP
.I portability\-data
State folder of the embedded stack; \-\-dir or PORTABILITY_DIR names another folder.
"""


def render() -> str:
    """The whole page in the macros of man(7); no date, so that the same commands make the same bytes."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first, *below = commands()
    lines = [
        f'.TH PORTABILITY 1 "" "portability {version}" "User Commands"',
        ".SH NAME",
        rf"portability \- {_escaped(_summary(first.command))}",
        ".SH SYNOPSIS",
        rf".B portability\fR {_escaped(' '.join(first.command.collect_usage_pieces(first)))}",
        ".SH DESCRIPTION",
        "Every command takes",
        r".B \-\-help",
        "and prints what is written here.",
        ".SH OPTIONS",
        *_options(first),
        ".SH COMMANDS",
        *(line for context in below for line in _command(context)),
    ]
    return "\n".join(lines) + END


def _command(context: click.Context) -> Iterator[str]:
    pieces = " ".join(context.command.collect_usage_pieces(context))
    yield rf'.SS "{_escaped(context.command_path.partition(" ")[2])}"'
    yield rf".B {_escaped(context.command_path)}\fR {_escaped(pieces)}"
    yield ".PP"
    yield _escaped(cleandoc(context.command.help or ""))
    yield from _options(context)


def _options(context: click.Context) -> Iterator[str]:
    for option in context.command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record:
            names, text = record
            yield from (".TP", f".B {_escaped(names)}", _escaped(text))


def _summary(command: click.Command) -> str:
    return (command.help or "").splitlines()[0].rstrip(".")


def _escaped(text: str) -> str:
    r"""Text that no macro processor takes for a macro or an escape: `\`, `-`, and `.` or `'` where a line begins."""
    plain = text.replace("\\", r"\e").replace("-", r"\-")
    guarded = re.sub(r"^(?=[.'])", r"\\&", plain, flags=re.MULTILINE)
    return re.sub(r"\n\s*\n", "\n.PP\n", guarded)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render())
