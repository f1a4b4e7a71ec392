"""`portability conform`: tests another provider's recipient or sender against the documents of transfers."""

from __future__ import annotations

import base64
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from rich.progress import MofNCompleteColumn, SpinnerColumn, TextColumn

from cli.context import Context, shared
from portability import strict_json
from portability.api.errors import BadInput
from portability.files import naming
from portability.inbox.senders import check_secret

if TYPE_CHECKING:
    from receiver.conformance.report import ConformanceReport, RuleResult

FILE = click.Path(path_type=Path, dir_okay=False)
SECRET_BYTES, FILE_BYTES = 32, 1 << 18
DEFAULT_PORT = 8099


@click.command("conform")
@click.option("--recipient", metavar="URL", help="Test a recipient: the URL of its webhook.")
@click.option("--sender", metavar="LINK", help="Test a sender: the link that it has offered.")
@click.option(
    "--secret", metavar="FILE", type=FILE, help="The webhook secret, whsec_...; made if a recipient is tested."
)
@click.option("--public-url", metavar="URL", help="Recipient: this kit's address and issuer; default: this machine.")
@click.option(
    "--listen", metavar="HOST:PORT", default=f"127.0.0.1:{DEFAULT_PORT}", help="Recipient: where the kit listens."
)
@click.option("--document", metavar="URL", help="Recipient: its document; default: that at its host.")
@click.option("--wait", type=click.FloatRange(min=1), default=60.0, help="Recipient: seconds for each transfer.")
@click.option(
    "--settle", type=click.FloatRange(min=0.1), default=5.0, help="Recipient: seconds in which nothing may follow."
)
@click.option("--only", metavar="PATTERNS", default="*", help="Recipient: names of rules, such as 'webhook-*,good-*'.")
@click.option("--identity", metavar="KEYFILE", type=FILE, help="Sender: private keys of age of its recipient.")
@click.option("--audience", metavar="ME", help="Sender: the domain of its recipient.")
@click.option("--receipt-key", metavar="FILE", type=FILE, help="Sender: private JWK, or <kid>.pem, of its recipient.")
@click.option("--issuer", metavar="URL", help="Sender: its issuer; default: the origin of the link.")
@click.option("--webhook", metavar="FILE", type=FILE, help="Sender: the webhook as JSON with `headers` and `body`.")
@click.option("--junit", metavar="FILE", type=FILE, help="Also write the report as JUnit XML.")
@shared
def conform(context: Context, *, junit: Path | None, **options: Any) -> None:  # noqa: ANN401  # checked by click
    """Test another provider: play a sender for its recipient, or a recipient for its sender.

    Exit code 0: all rules are kept, 1: a rule is broken, 2: invalid input.
    """
    recipient, sender = options["recipient"], options["sender"]
    if bool(recipient) == bool(sender):
        raise BadInput("name what to test", hint="use --recipient URL or --sender LINK")
    with _counted(context) as finished:
        report = _recipient(options, finished) if recipient else _sender(options, finished)
    if junit is not None:
        with naming(junit):
            junit.write_bytes(report.to_junit())
    context.result(report.to_json(), lambda: _print_report(context, report))
    if not report.ok:
        sys.exit(1)


def _recipient(options: dict[str, Any], finished: Callable[[RuleResult], object]) -> ConformanceReport:
    from portability.safe_http import SafeHttpClient  # noqa: PLC0415  # imports of the kit are slow
    from receiver.conformance.recipient import RecipientTest, examine_recipient  # noqa: PLC0415  # as above
    from receiver.fetch.sender import is_loopback  # noqa: PLC0415  # as above

    host, _, port = options["listen"].rpartition(":")
    if not host or not port.isdecimal():
        raise BadInput(f"--listen {options['listen']} is not HOST:PORT", hint=f"for example 127.0.0.1:{DEFAULT_PORT}")
    public_url = options["public_url"] or f"http://{host}:{port}"
    secret = _secret(options["secret"], public_url)
    is_here = is_loopback(urlsplit(options["recipient"]).hostname or "")
    wanted = RecipientTest(
        options["recipient"],
        secret,
        public_url.rstrip("/"),
        host,
        int(port),
        options["document"],
        options["wait"],
        options["settle"],
        options["only"],
    )
    try:
        return examine_recipient(SafeHttpClient(loopback=is_here), wanted, finished)
    except OSError as error:
        raise BadInput(f"cannot listen at {options['listen']}: {error.strerror}", hint="use another --listen") from None


def _secret(path: Path | None, public_url: str) -> str:
    """Return the secret of a file. Raises BadInput after a new secret was written: the recipient must record it."""
    if not path:
        raise BadInput("the secret of the webhooks is missing", hint="add --secret FILE: it is made there")
    if not path.exists():
        made = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with naming(path), os.fdopen(handle, "w") as file:
            file.write(f"{made}\n")
        hint = f"record the issuer {public_url} with this secret at the recipient, then run it again"
        raise BadInput(f"a new secret was written to {path}", hint=hint)
    secret = _line(path)
    check_secret(secret)
    return secret


def _sender(options: dict[str, Any], finished: Callable[[RuleResult], object]) -> ConformanceReport:
    import httpx  # noqa: PLC0415  # as above

    from portability.certificates import trusted_certificates  # noqa: PLC0415  # as above
    from receiver.conformance.patience import PatientTransport  # noqa: PLC0415  # as above
    from receiver.conformance.sender_run import SenderTest, examine_sender  # noqa: PLC0415  # as above
    from receiver.conformance.signers import LoadedKey  # noqa: PLC0415  # as above
    from receiver.fetch.decryption import load_identities  # noqa: PLC0415  # as above
    from receiver.fetch.receipt import load_key  # noqa: PLC0415  # as above
    from receiver.fetch.sender import check_url, open_client  # noqa: PLC0415  # as above

    needed = ("identity", "audience", "receipt_key")
    if missing := [f"--{name.replace('_', '-')}" for name in needed if not options[name]]:
        raise BadInput(
            f"a test of a sender needs {', '.join(missing)}", hint="the kit is its recipient: see docs/conformance.md"
        )
    webhook, secret = options["webhook"], options["secret"]
    wanted = SenderTest(
        check_url(options["sender"]),
        options["audience"],
        load_identities(options["identity"]),
        LoadedKey.of(load_key(options["receipt_key"])),
        options["issuer"],
        _webhook(webhook) if webhook else None,
        _line(secret) if secret else None,
    )
    with open_client(PatientTransport(httpx.HTTPTransport(verify=trusted_certificates()))) as client:
        return examine_sender(client, wanted, finished)


def _line(path: Path) -> str:
    return _head(path).decode("ascii", "replace").strip()


def _webhook(path: Path) -> dict[str, Any]:
    try:
        document = strict_json.parse(_head(path))
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("headers"), dict) or "body" not in document:
        raise BadInput(
            f"{path} is not a webhook", hint='it has the form {"headers": {"webhook-id": "..."}, "body": "..."}'
        )
    return document


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None


@contextmanager
def _counted(context: Context) -> Iterator[Callable[[RuleResult], object]]:
    """Show the number of tested rules."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TextColumn("rules"))
    lock = threading.Lock()
    with context.bars(*columns) as bar:
        task = bar.add_task("testing", total=None)

        def finished(result: RuleResult) -> None:
            with lock:
                bar.update(task, advance=1, description=result.name)

        yield finished


def _print_report(context: Context, report: ConformanceReport) -> None:
    rows = [(one.name, one.rule, one.expected, one.seen, one.section) for one in report.failed]
    if rows:
        context.table("Broken rules", ("name", "rule", "expected", "seen", "section"), rows)
    verdict = ("conforms", "bold green") if report.ok else ("does not conform", "bold red")
    context.say(f"the {report.role} ", verdict, f": {len(report.results)} rules, {len(report.failed)} broken")
