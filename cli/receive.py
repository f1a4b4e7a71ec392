"""`portability receive`: the other provider's side of a transfer; needs no deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli.context import Context, shared
from cli.verify import load_jwks
from portability.api import JSON
from portability.signing import Jwks
from receiver.fetch import Progress
from receiver.receipt import load_key
from receiver.receiving import ARCHIVE, Began, Received, Recipient, receive
from receiver.unseal import load_identities

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
@click.option("--to", "target", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for it.")
@click.option("--identity", metavar="KEYFILE", type=FILE, help="Private keys of age, as age-keygen writes them.")
@click.option("--audience", metavar="ME", help="Our domain, as the sender has it; default: whoever it is for.")
@click.option("--issuer", metavar="URL", help="Whose transfer it has to be; default: the origin of the link.")
@click.option("--jwks", metavar="FILE|URL", help="The issuer's public keys; default: those behind the link.")
@click.option(
    "--receipt-key", metavar="FILE", type=FILE, help="Private JWK, or <kid>.pem, to sign a receipt; default: none."
)
@click.option("--most-bytes", type=click.IntRange(min=1), help="Refuse what unpacks to more; default: the free space.")
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
    """Fetch what a link offers, decrypt it, verify it, unpack it, and send the receipt. Interrupted, run it again.

    Exit code 0: all of it is there, 1: it was refused, or the sender does not answer, 2: bad input.
    """
    recipient = Recipient(
        identities=() if identity is None else load_identities(identity),
        audience=audience,
        issuer=issuer,
        jwks=None if jwks is None else Jwks.parse(load_jwks(jwks)),
        receipt_key=None if receipt_key is None else load_key(receipt_key),
        most_bytes=most_bytes,
    )
    with _bars(context) as began:
        received = receive(url, target, recipient, began=began)
    context.result(_document(target, received), lambda: _tell(context, target, received))


@contextmanager
def _bars(context: Context) -> Iterator[Began]:
    with context.bars(*COLUMNS) as bar:

        def began(step: str, total_bytes: int) -> Progress:
            task = bar.add_task(step, total=total_bytes)
            return lambda size: bar.advance(task, size)

        yield began


def _document(target: Path, received: Received) -> JSON:
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


def _tell(context: Context, target: Path, received: Received) -> None:
    unpacked, said = received.unpacked, received.statement
    say = context.console.print
    say(f"[bold green]received[/]: {len(received.volumes)} volumes, {unpacked.files} files, {unpacked.bytes} bytes")
    if said is not None:
        say(f"transfer {said.transfer} of {said.issuer} for {said.audience}", markup=False, soft_wrap=True)
        say("the sender has the receipt" if received.receipted else "no receipt was sent: name a --receipt-key")
    say(f"next: portability import {target} --into URL --files URL", markup=False, soft_wrap=True)
