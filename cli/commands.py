"""Which commands there are: by topic, each imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name

import click
from click.exceptions import NoSuchCommand

TOPICS: Mapping[str, Mapping[str, str]] = {
    "Try it on one machine": {
        "demo": "cli.demo:demo",
        "up": "cli.demo:up",
        "seed": "cli.seed:seed",
    },
    "Requests and exports": {
        "request": "cli.requests:request",
        "requests": "cli.request_log:list_requests",
        "report": "cli.report:report",
        "feeds": "cli.feeds:feeds_group",
        "list": "cli.exports:list_exports",
        "show": "cli.exports:show",
        "retry": "cli.exports:retry",
        "cancel": "cli.exports:cancel",
        "deadlines": "cli.deadlines:deadlines",
        "extend": "cli.deadlines:extend",
        "pause": "cli.deadlines:pause",
        "resume": "cli.deadlines:resume",
    },
    "Decisions": {
        "approve": "cli.decisions:approve",
        "deny": "cli.decisions:deny",
        "identities": "cli.identities:identities",
        "reviews": "cli.reviews:reviews",
        "referrals": "cli.referrals:referrals",
        "instructions": "cli.instructions:instructions",
        "mandates": "cli.decisions:mandates",
    },
    "Delivery": {
        "link": "cli.links:link",
        "links": "cli.links:list_links",
        "revoke": "cli.links:revoke",
        "fetch": "cli.exports:fetch",
        "recall": "cli.decisions:recall",
        "recalls": "cli.decisions:recalls_group",
    },
    "Transfers to other providers": {
        "recipients": "cli.recipients:recipients",
        "authorisations": "cli.transfers:authorisations",
        "transfer": "cli.transfers:transfer",
        "transfers": "cli.transfers:transfers",
    },
    "Archives that you received": {
        "verify": "cli.verify:verify",
        "receive": "cli.receive:receive_command",
        "import": "cli.importing:import_command",
        "imports": "cli.imports:imports",
        "senders": "cli.senders:senders",
        "inbox": "cli.inbox:inbox",
        "conform": "cli.conform:conform",
    },
    "Retention": {
        "erase": "cli.erase:erase",
        "holds": "cli.erase:holds",
        "sweep": "cli.sweep:sweep_storage",
    },
    "Operation": {
        "doctor": "cli.doctor:doctor",
        "reconcile": "cli.reconcile:reconcile",
        "plugins": "cli.plugins:plugins",
        "plugin": "cli.plugin:plugin_group",
        "source": "cli.source:source_group",
        "keys": "cli.keys:keys_group",
        "audit": "cli.audit:audit_group",
        "metrics": "cli.metrics:metrics",
        "db": "cli.db:db",
    },
    "Processes": {
        "web": "cli.web:web",
        "worker": "cli.worker:worker",
        "clock": "cli.clock:clock",
    },
}
"""Where each command is, by topic and name, in the order of `--help`."""

COMMANDS: Mapping[str, str] = {name: place for topic in TOPICS.values() for name, place in topic.items()}


class TopicGroup(click.Group):
    """The commands of `TOPICS`; a command is imported when it is used: `verify` imports no pages and no database."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's interface
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = resolve_name(COMMANDS[cmd_name])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name raises NoSuchCommand with the nearest names, which click cannot know."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each topic; all columns begin at the same place."""
        width = max(map(len, COMMANDS))
        for topic, names in TOPICS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [
                (name.ljust(width), command.get_short_help_str(formatter.width - width - 6))
                for name, command in commands
                if command is not None and not command.hidden
            ]
            with formatter.section(topic):
                formatter.write_dl(rows)
