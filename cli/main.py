"""`portability`: the command line."""

from __future__ import annotations

import sys

import click
from click.exceptions import NoArgsIsHelpError

from cli.commands import TopicGroup
from cli.context import fail
from portability.api.errors import BadInput


@click.group(cls=TopicGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="vlint-portability", prog_name="portability")
def main() -> None:
    """Export one subject's data, from many sources, as a signed archive."""


def run() -> None:
    """Run the program like click, but report usage errors like all others, as one line or JSON."""
    try:
        sys.exit(main.main(standalone_mode=False) or 0)
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        hint = f"{error.ctx.command_path} --help" if error.ctx else "portability --help"
        fail(BadInput(error.format_message().rstrip("."), hint=hint), as_json="--json" in sys.argv)
    except click.Abort:
        sys.exit(130)


if __name__ == "__main__":
    run()
