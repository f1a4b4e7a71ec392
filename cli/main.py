"""`portability`: the command line."""

from __future__ import annotations

import sys
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from cli.commands import TopicGroup


@click.group(cls=TopicGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="vlint-portability", prog_name="portability")
def main() -> None:
    """Export one subject's data, from many sources, as a signed archive."""


def run() -> None:
    """Run the program like click, but report usage errors like all others, as one line or JSON."""
    try:
        sys.exit(main.main(prog_name="portability", standalone_mode=False) or 0)
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        _fail(error)
    except click.Abort:
        sys.exit(130)


def _fail(error: click.UsageError) -> NoReturn:
    from cli.context import fail  # noqa: PLC0415  # help needs click alone
    from portability.api.errors import BadInput  # noqa: PLC0415  # as above

    hint = f"{error.ctx.command_path} --help" if error.ctx else "portability --help"
    fail(BadInput(error.format_message().rstrip("."), hint=hint), as_json="--json" in sys.argv)


if __name__ == "__main__":
    run()
