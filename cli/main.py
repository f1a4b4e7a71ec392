"""`portability`: the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pkgutil import resolve_name

import click
from click.exceptions import NoArgsIsHelpError

from cli.context import fail
from portability.errors import BadInput

COMMANDS: Mapping[str, str] = {
    "demo": "cli.demo:demo",
    "up": "cli.demo:up",
    "seed": "cli.seed:seed",
    "request": "cli.requests:request",
    "list": "cli.exports:list_exports",
    "show": "cli.exports:show",
    "cancel": "cli.exports:cancel",
    "extend": "cli.deadlines:extend",
    "pause": "cli.deadlines:pause",
    "resume": "cli.deadlines:resume",
    "retry": "cli.exports:retry",
    "fetch": "cli.exports:fetch",
    "approve": "cli.decisions:approve",
    "deny": "cli.decisions:deny",
    "link": "cli.links:link",
    "links": "cli.links:list_links",
    "revoke": "cli.links:revoke",
    "recall": "cli.decisions:recall",
    "recalls": "cli.decisions:recalls_group",
    "requests": "cli.request_log:list_requests",
    "instructions": "cli.instructions:instructions",
    "mandates": "cli.decisions:mandates",
    "erase": "cli.erase:erase",
    "holds": "cli.erase:holds",
    "recipients": "cli.recipients:recipients",
    "authorisations": "cli.transfers:authorisations",
    "transfer": "cli.transfers:transfer",
    "transfers": "cli.transfers:transfers",
    "audit": "cli.audit:audit_group",
    "verify": "cli.verify:verify",
    "receive": "cli.receive:receive_command",
    "import": "cli.importing:import_command",
    "keys": "cli.keys:keys_group",
    "plugins": "cli.plugins:plugins",
    "doctor": "cli.doctor:doctor",
    "metrics": "cli.metrics:metrics",
    "sweep": "cli.sweep:sweep_storage",
    "db": "cli.db:db",
    "web": "cli.web:web",
    "worker": "cli.processes:worker",
    "clock": "cli.processes:clock",
}
"""Where each command is, by its name."""


class Commands(click.Group):
    """Imports a command when it is asked for: to check a file, nobody waits for web pages and databases."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's interface
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = resolve_name(COMMANDS[cmd_name])
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="portability")
def main() -> None:
    """One subject's data, from many sources, as a signed archive."""


def run() -> None:
    """The program: as click runs it, but a usage error looks like all others, one line or JSON."""
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
