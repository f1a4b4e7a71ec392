"""Which commands there are: by topic, each imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name

import click
from click.exceptions import NoSuchCommand

TOPICS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Try it on one machine": {
        "demo": (
            "cli.demo:demo",
            (
                "Run a complete example with made-up data: two exports by a real worker, "
                "downloaded through links and verified."
            ),
        ),
        "up": ("cli.demo:up", "Run a stack for trials: pages, Valkey, workers and a clock, until Ctrl-C."),
        "seed": ("cli.seed:seed", "Make a platform's data."),
    },
    "Requests and exports": {
        "request": ("cli.requests:request", "Request an export of one subject's data."),
        "requests": (
            "cli.request_log:list_requests",
            "List all requests with their answers, the newest first (CCPA regulation 7101).",
        ),
        "report": (
            "cli.report:report",
            (
                "Report requests, times to answer, refusals, breach clocks, consents, mandates, "
                "recipients and failing sources."
            ),
        ),
        "feeds": (
            "cli.feeds:feeds_group",
            "Feeds: the first archive has everything, and each later archive what has changed since.",
        ),
        "list": ("cli.exports:list_exports", "List exports, the newest first, or by their due dates."),
        "show": ("cli.exports:show", "Show one export: its state, its ledger, its volumes."),
        "retry": ("cli.exports:retry", "Start a failed export again, or fetch what is missing in a ready one."),
        "cancel": ("cli.exports:cancel", "Cancel an open export; a running one ends at its next checkpoint."),
        "deadlines": (
            "cli.deadlines:deadlines",
            "List the laws with deadlines that apply to this deployment, and which figures are its policy.",
        ),
        "extend": (
            "cli.deadlines:extend",
            "Extend the deadline of a request, once and before it ends, if its law allows it.",
        ),
        "pause": (
            "cli.deadlines:pause",
            "Pause a deadline while a person has to answer; only laws that allow the reason stop their deadline.",
        ),
        "resume": ("cli.deadlines:resume", "Resume a paused deadline."),
    },
    "Decisions": {
        "approve": ("cli.decisions:approve", "Approve an export that awaits review (not your own)."),
        "deny": ("cli.decisions:deny", "Refuse a request that no worker has begun (not your own)."),
        "identities": (
            "cli.identities:identities",
            "List the identities of SUBJECT (user:ID, contact:ID ...) by source, how each was found, and conflicts.",
        ),
        "reviews": ("cli.reviews:reviews", "Reviews: records of which it is unclear whether they are the subject's."),
        "referrals": (
            "cli.referrals:referrals",
            "Referrals: requests for data over which a tenant decides, and its answers.",
        ),
        "instructions": (
            "cli.instructions:instructions",
            "Instructions: a tenant's orders to export what the platform processes for it.",
        ),
        "mandates": ("cli.decisions:mandates", "Mandates: who may ask on behalf of whom."),
    },
    "Delivery": {
        "link": ("cli.links:link", "Make a link to a ready export and print its URL, which is shown only once."),
        "links": ("cli.links:list_links", "List the links of an export, ended links too; never their tokens."),
        "revoke": ("cli.links:revoke", "End a link at once, by its id."),
        "fetch": ("cli.exports:fetch", "Fetch an operator's copy of an export's volumes; run it again to continue."),
        "recall": (
            "cli.decisions:recall",
            "Recall an export that went to the wrong person: end its links, delete its objects, open a breach record.",
        ),
        "recalls": ("cli.decisions:recalls_group", "Breach records of recalled exports."),
    },
    "Transfers to other providers": {
        "recipients": ("cli.recipients:recipients", "Other providers that data may be sent to."),
        "authorisations": (
            "cli.transfers:authorisations",
            "Authorisations: what subjects allow to be sent to which recipient.",
        ),
        "transfer": (
            "cli.transfers:transfer",
            "Send a finished export to a recipient that its subject has authorised.",
        ),
        "transfers": ("cli.transfers:transfers", "Exports on their way to other providers."),
    },
    "Archives that you received": {
        "verify": (
            "cli.verify:verify",
            "Verify volumes, or folders of them: every byte, every file, the signature, and that no volume is missing.",
        ),
        "receive": (
            "cli.receive:receive_command",
            "Fetch what a link offers, decrypt it, verify it, unpack it, and send the receipt.",
        ),
        "pull": (
            "cli.pull:pull_group",
            "Data of a person at another provider: ask for it, and fetch what the person allows.",
        ),
        "import": (
            "cli.importing:import_command",
            "Import an archive of profile switch or portability as the data of one company or person.",
        ),
        "imports": ("cli.imports:imports", "Imports that were made into a database, and how to undo them."),
        "senders": ("cli.senders:senders", "Other providers whose transfers this deployment receives."),
        "inbox": ("cli.inbox:inbox", "Transfers that other providers have sent to this deployment."),
        "conform": (
            "cli.conform:conform",
            "Test another provider: play a sender for its recipient, or a recipient for its sender.",
        ),
    },
    "Retention": {
        "erase": ("cli.erase:erase", "Erase all stored data of one subject: archives, requests, messages."),
        "holds": ("cli.erase:holds", "Legal holds: subjects that must not be erased, for a legal reason."),
        "sweep": (
            "cli.sweep:sweep_storage",
            "Remove objects that belong to no export, and fail exports whose volumes are gone.",
        ),
    },
    "Operation": {
        "doctor": (
            "cli.doctor:doctor",
            (
                "Check settings, databases, storage, queue, keys, plug-ins, sources, processes, mail, login; "
                "one line each."
            ),
        ),
        "reconcile": (
            "cli.reconcile:reconcile",
            "Compare the database with the journal in storage, restore what was lost, and let work continue.",
        ),
        "plugins": (
            "cli.plugins:plugins",
            "List all plug-ins by group, the dataset register, or the settings of exporters.",
        ),
        "plugin": ("cli.plugin:plugin_group", "Plug-ins of your own."),
        "source": ("cli.source:source_group", "Sources that a map declares."),
        "keys": ("cli.keys:keys_group", "Keys that sign archives."),
        "audit": ("cli.audit:audit_group", "The audit log."),
        "messages": ("cli.messages:messages", "Messages to people about their exports, by mail and SMS."),
        "metrics": ("cli.metrics:metrics", "Print the metrics of the deployment, in Prometheus' text format."),
        "db": ("cli.db:db", "The control database."),
    },
    "Processes": {
        "web": ("cli.web:web", "Serve pages and API until stopped."),
        "worker": ("cli.worker:worker", "Write exports until stopped; SIGTERM finishes the current volume."),
        "clock": (
            "cli.clock:clock",
            "Run regular tasks: wake workers, send mail, check sources, delete what has expired, sweep.",
        ),
    },
}
"""Where each command is, by topic and name, and the first sentence of its help, in the order of `--help`.

The sentences are here, too, so that `portability --help` imports no command.
"""

COMMANDS: Mapping[str, str] = {name: place for topic in TOPICS.values() for name, (place, _about) in topic.items()}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # as above
        """Write a section for each topic; all columns begin at the same place."""
        width = max(map(len, COMMANDS))
        for topic, names in TOPICS.items():
            room = formatter.width - width - 6
            rows = [
                (name.ljust(width), click.Command(name, help=about).get_short_help_str(room))
                for name, (_place, about) in names.items()
            ]
            with formatter.section(topic):
                formatter.write_dl(rows)
