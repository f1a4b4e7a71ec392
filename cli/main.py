"""`portability`: the command line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from types import TracebackType

import click
from click.exceptions import NoArgsIsHelpError

from cli.commands import TopicGroup
from cli.context import fail, of_system
from cli.harmless import tell
from portability.api.errors import BadInput


@click.group(cls=TopicGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="vlint-portability", prog_name="portability")
def main() -> None:
    """Export one subject's data, from many sources, as a signed archive."""


def run() -> None:
    """Run the program like click, but report usage errors like all others, as one line or JSON."""
    sys.excepthook = _show_fault
    _encode_output()
    _check_arguments(sys.argv[1:])
    try:
        sys.exit(main.main(standalone_mode=False) or 0)
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        hint = f"{error.ctx.command_path} --help" if error.ctx else "portability --help"
        # The message of click about a missing choice has a line for each word.
        fail(BadInput(" ".join(error.format_message().split()).rstrip("."), hint=hint), as_json="--json" in sys.argv)
    except OSError as error:
        # A help or a version, which no command writes.
        fail(of_system(error), as_json="--json" in sys.argv)
    except click.Abort:
        sys.exit(130)


def _show_fault(kind: type[BaseException], _error: BaseException, trace: TracebackType | None) -> None:
    """Show where an error that nothing catches was raised, without its message: that of a database quotes the row."""
    places = "".join(traceback.format_tb(trace)).splitlines()
    tell(*places, f"error: unexpected {kind.__name__}; its message may quote data and is left out")


def _encode_output() -> None:
    """Write UTF-8 into pipes and files, whatever the locale is, and signs for letters that a terminal lacks.

    JSON, TOML and CSV for programs are UTF-8, and a name for which the locale lacks letters ends no command.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="replace")


def _check_arguments(arguments: Sequence[str]) -> None:
    """End with an error if an argument is not UTF-8, such as a letter of a Latin-1 terminal: no database stores it."""
    for place, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            hint = "use a terminal with UTF-8; rename a file whose name has other bytes"
            fault = BadInput(f"argument {place} of the command has bytes that are not UTF-8", hint=hint)
            fail(fault, as_json="--json" in arguments)


if __name__ == "__main__":
    run()
