"""`portability receive`: receives a transfer of another provider; needs no deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import starmap
from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli.context import Context, shared
from cli.quantities import quantity
from cli.verify import load_jwks
from portability.api import JSON
from portability.trust.signing import Jwks
from receiver.fetch.decryption import load_identities
from receiver.fetch.download import Progress
from receiver.fetch.receipt import load_key
from receiver.receive import ARCHIVE, Began, Received, ReceivingParty, receive

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    DownloadColumn(),
    TransferSpeedColumn(),
    TimeRemainingColumn(),
)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("receive")
@click.argument("url")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path, file_okay=False), help="Target folder.")
@click.option("--identity", metavar="KEYFILE", type=FILE, help="Private keys of age, in the form of age-keygen.")
@click.option("--audience", metavar="ME", help="Our domain, as the sender has recorded it; default: any.")
@click.option("--issuer", metavar="URL", help="Required issuer of the transfer; default: the origin of the link.")
@click.option("--jwks", metavar="FILE|URL", help="The issuer's public keys; default: those published by the sender.")
@click.option(
    "--receipt-key", metavar="FILE", type=FILE, help="Private JWK, or <kid>.pem, to sign a receipt; default: none."
)
@click.option(
    "--most-bytes", type=click.IntRange(min=1), help="Limit of the unpacked size; default: 100 times the packed."
)
@shared
def receive_command(
    context: Context,
    url: str,
    *,
    target: Path,
    identity: Path | None,
    audience: str | None,
    issuer: str | None,
    jwks: str | None,
    receipt_key: Path | None,
    most_bytes: int | None,
) -> None:
    """Fetch what a link offers, decrypt it, verify it, unpack it, and send the receipt. Run it again to continue.

    Exit code 0: everything is received, 1: it was refused, or the sender does not answer, 2: invalid input.
    """
    recipient = ReceivingParty(
        identities=() if identity is None else load_identities(identity),
        audience=audience,
        issuer=issuer,
        jwks=None if jwks is None else Jwks.parse(load_jwks(jwks)),
        receipt_key=None if receipt_key is None else load_key(receipt_key),
        most_bytes=most_bytes,
    )
    with bars(context) as began:
        received = receive(url, target, recipient, began=began)
    context.result(document_of(target, received), lambda: print_report(context, target, received))


@contextmanager
def bars(context: Context) -> Iterator[Began]:
    """Show the progress of each step at a terminal."""
    with context.bars(*COLUMNS) as bar:

        def began(step: str, total_bytes: int) -> Progress:
            task = bar.add_task(step, total=total_bytes)
            return lambda size: bar.advance(task, size)

        yield began


def document_of(target: Path, received: Received) -> dict[str, JSON]:
    """Return what was received, for machines."""
    said = received.statement
    return {
        "transfer": said.transfer if said else None,
        "issuer": said.issuer if said else None,
        "audience": said.audience if said else None,
        "consent": said.consent if said else None,
        "receipted": received.receipted,
        "volumes": [str(path) for path in received.volumes],
        "archive": str(target / ARCHIVE),
        "folders": [str(folder) for folder in received.unpacked.folders],
        "files": received.unpacked.files,
        "bytes": received.unpacked.bytes,
    }


def print_report(context: Context, target: Path, received: Received) -> None:
    """Print what was received, for people."""
    unpacked, said = received.unpacked, received.statement
    say = context.console.print
    counts = (len(received.volumes), "volume"), (unpacked.files, "file"), (unpacked.bytes, "byte")
    context.say(("received", "bold green"), f": {', '.join(starmap(quantity, counts))}")
    if said is not None:
        say(f"transfer {said.transfer} of {said.issuer} for {said.audience}", soft_wrap=True)
        say("the sender has accepted the receipt" if received.receipted else "no receipt was sent: add --receipt-key")
    say(
        f"next: portability import {target} --into URL --as-user ID --files URL (or --as-tenant ID)",
        soft_wrap=True,
    )
