"""`portability`: the command line."""

from __future__ import annotations

import sys

import click
from click.exceptions import NoArgsIsHelpError

from cli.audit import audit_group
from cli.context import fail
from cli.db import db
from cli.deadlines import extend, pause, resume
from cli.decisions import approve, deny, mandates, recall, recalls_group
from cli.demo import demo, up
from cli.doctor import doctor
from cli.erase import erase, holds
from cli.exports import cancel, fetch, list_exports, retry, show
from cli.importing import import_command
from cli.instructions import instructions
from cli.keys import keys_group
from cli.links import link, list_links, revoke
from cli.metrics import metrics
from cli.plugins import plugins
from cli.processes import clock, worker
from cli.receive import receive_command
from cli.recipients import recipients
from cli.request_log import list_requests
from cli.requests import request
from cli.seed import seed
from cli.sweep import sweep_storage
from cli.transfers import authorisations, transfer, transfers
from cli.verify import verify
from cli.web import web
from portability.errors import BadInput


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="portability")
def main() -> None:
    """One subject's data, from many sources, as a signed archive."""


for command in (
    demo,
    up,
    seed,
    request,
    list_exports,
    show,
    cancel,
    extend,
    pause,
    resume,
    retry,
    fetch,
    approve,
    deny,
    link,
    list_links,
    revoke,
    recall,
    recalls_group,
    list_requests,
    instructions,
    mandates,
    erase,
    holds,
    recipients,
    authorisations,
    transfer,
    transfers,
    audit_group,
    verify,
    receive_command,
    import_command,
    keys_group,
    plugins,
    doctor,
    metrics,
    sweep_storage,
    db,
    web,
    worker,
    clock,
):
    main.add_command(command)


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
