"""`portability pull`: asks a person at another provider for their data, and fetches what they allow (docs/pull.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.context import Context, shared
from cli.harmless import tell
from cli.receive import FILE, bars, document_of, print_report
from cli.receiving_service import audience_of, receipt_key_of
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.requests.dates import end_of_day
from portability.safe_http import SafeHttpClient
from portability.transfers import key_sets
from receiver.fetch.decryption import load_identities
from receiver.fetch.receipt import load_key
from receiver.pulls import asking, consents, copies, metadata, records
from receiver.pulls.asking import PullingProvider, WantedData
from receiver.pulls.copies import PullAccess
from receiver.pulls.loopback import ReturnServer
from receiver.pulls.records import PullRecord
from receiver.receive import ReceivingParty

COLUMNS = ("id", "provider", "state", "allowed", "until", "fetched", "created_at")
ANSWER_SECONDS = 540
HOUR_SECONDS = 3600


def as_provider(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option for the key that proves who this side is."""
    about = "Private JWK, or <kid>.pem, of our key set; default: the deployment's receipt key."
    return click.option("--key", "key_file", metavar="FILE", type=FILE, help=about)(command)


@dataclass(frozen=True, slots=True)
class _Side:
    """This side of a pull."""

    context: Context
    key_file: Path | None

    @property
    def client(self) -> SafeHttpClient:
        return SafeHttpClient.of(self.context.settings)

    @property
    def folder(self) -> Path:
        return self.context.settings.dir.absolute() / "pulls"

    def provider(self, client_id: str) -> PullingProvider:
        key = load_key(self.key_file) if self.key_file else receipt_key_of(self.context)().key
        return PullingProvider(client_id, key)

    def consented(self, identifier: str, answer: Mapping[str, str]) -> PullRecord:
        return consents.take(self.folder, identifier, self.client, self.provider, answer)


@click.group("pull")
def pull_group() -> None:
    """Data of a person at another provider: ask for it, and fetch what the person allows."""


@pull_group.command("begin")
@click.option("--from", "domain", required=True, help="Domain of the provider that has the data.")
@click.option("--url", help="URL of its document; default: https://DOMAIN/.well-known/portability.")
@click.option("--client-id", help="Our domain, as the provider has recorded it; default: INBOX_AUDIENCE.")
@click.option("--redirect-uri", required=True, help="Where the person comes back to, as the provider has recorded it.")
@click.option("--dataset", "datasets", multiple=True, required=True, help="What is asked for; again for each.")
@click.option(
    "--until", metavar="TIME", help="Until when to fetch again: the last day, or an RFC 3339 time; default: one copy."
)
@click.option("--wait", is_flag=True, help="Wait for the person at a redirect URI on this machine.")
@as_provider
@shared
def begin(
    context: Context,
    domain: str,
    *,
    url: str | None,
    client_id: str | None,
    redirect_uri: str,
    datasets: tuple[str, ...],
    until: str | None,
    wait: bool,
    key_file: Path | None,
) -> None:
    """Ask for a person's data: prints the address that the person opens within nine minutes."""
    side = _Side(context, key_file)
    wanted = WantedData(datasets, redirect_uri, end_of_day(until, "until", context.settings.place))
    us = side.provider(client_id or audience_of(context.settings))
    with ReturnServer(redirect_uri) if wait else nullcontext() as server:
        record, address = asking.begin(side.client, metadata.found(side.client, domain.lower(), url), us, wanted)
        records.save(side.folder, record)
        if server:
            tell(f"{record.id}: the person opens {address}")
            _show(context, side.consented(record.id, server.answer(ANSWER_SECONDS, record.state)))
        else:
            _asked(context, record, address)


@pull_group.command("consent")
@click.argument("identifier", metavar="REQUEST")
@click.option("--address", help="The whole address that the person came back with.")
@click.option("--code", help="Its parameter `code`; without --address.")
@click.option("--state", help="Its parameter `state`.")
@click.option("--iss", help="Its parameter `iss`.")
@as_provider
@shared
def consent(context: Context, identifier: str, key_file: Path | None, address: str | None, **parts: str | None) -> None:
    """Take what the person came back with, within a minute; after it the data can be fetched.

    If it is killed or gets no answer, run it again without options: it sends the same once more.
    """
    given = {name: value for name, value in parts.items() if value}
    if address and given:
        raise BadInput(
            "give the address of the return, or its parts", hint="--address URL, or --code, --state and --iss"
        )
    answer = asking.returned(address) if address else given
    _show(context, _Side(context, key_file).consented(identifier, answer))


@pull_group.command("fetch")
@click.argument("identifier", metavar="REQUEST")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path, file_okay=False), help="Target folder.")
@click.option("--identity", metavar="KEYFILE", type=FILE, help="Private keys of age; default: INBOX_IDENTITY.")
@click.option("--issuer", metavar="URL", help="Required issuer of the archive; default: the authorization server.")
@click.option("--changes", "only_changes", is_flag=True, help="Only what has changed since the last confirmed copy.")
@click.option(
    "--restart", is_flag=True, help="With --changes: begin again with everything, after a copy was lost here."
)
@click.option("--timeout", type=click.IntRange(min=0), default=HOUR_SECONDS, help="Seconds to wait for the copy.")
@click.option("--most-bytes", type=click.IntRange(min=1), help="Limit of the unpacked size; default as for `receive`.")
@as_provider
@shared
def fetch(
    context: Context,
    identifier: str,
    *,
    target: Path,
    identity: Path | None,
    issuer: str | None,
    only_changes: bool,
    restart: bool,
    timeout: int,
    most_bytes: int | None,
    key_file: Path | None,
) -> None:
    """Fetch a copy: start it, wait for it, download, decrypt, verify, unpack, and send the receipt.

    Run it again to continue. While a consent until a date stands, it fetches a new copy each time.
    """
    if restart and not only_changes:
        raise BadInput("--restart is for changes: a copy without --changes has everything", hint="remove --restart")
    side = _Side(context, key_file)
    asked: dict[str, Any] = {"only_changes": only_changes, "restart": restart}
    identities = identity or context.settings.inbox_identity
    with records.alone(side.folder, identifier) as record, bars(context) as began:
        us = side.provider(record.client_id)
        party = ReceivingParty(
            identities=load_identities(identities) if identities else (),
            audience=record.client_id,
            issuer=issuer or record.server.issuer,
            jwks=key_sets.fetch(side.client, record.server.jwks_url),
            receipt_key=us.key,
            most_bytes=most_bytes,
        )
        access = PullAccess(side.client, us, side.folder, record)
        received = copies.fetch(access, target, party, patience_seconds=timeout, began=began, **asked)
    found = {**access.record.view(), **document_of(target, received)}
    context.result(found, lambda: print_report(context, target, received))


@pull_group.command("list")
@shared
def list_pulls(context: Context) -> None:
    """List what was asked of other providers, the oldest first."""
    document: list[Any] = [*records.views(_Side(context, None).folder)]

    def human() -> None:
        context.table("Pulls", COLUMNS, [[row[n] for n in COLUMNS] for row in document])
        if any(row["state"] == "expired" for row in document):
            context.note("expired: ask the person again with `portability pull begin`")

    context.result(document, human)


@pull_group.command("end")
@click.argument("identifier", metavar="REQUEST")
@as_provider
@shared
def end(context: Context, identifier: str, key_file: Path | None) -> None:
    """End a consent at the other provider, and forget its keys and tokens."""
    side = _Side(context, key_file)
    with records.alone(side.folder, identifier) as record:
        asking.revoke(side.client, side.provider(record.client_id), record)
        gone = records.ended(record, rfc3339(datetime.now(UTC)) or "")
        records.save(side.folder, gone)
    _show(context, gone)


def _asked(context: Context, record: PullRecord, address: str) -> None:
    def human() -> None:
        context.console.print(address, soft_wrap=True)
        context.note(f"then: portability pull consent {record.id} --address URL")

    context.result({**record.view(), "address": address}, human)


def _show(context: Context, record: PullRecord) -> None:
    seen: dict[str, Any] = record.view()
    context.result(seen, lambda: context.table("Pulls", COLUMNS, [[seen[name] for name in COLUMNS]]))
