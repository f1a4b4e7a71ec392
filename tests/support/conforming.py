"""Runs of the conformance kit in tests: against our own inbox with an officer who accepts all, and against others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from inboxes import HERE, Inbox
from servers.process import free_ports

from portability.database.engine import writing
from portability.inbox import senders
from portability.inbox.senders import SenderEntry
from portability.safe_http import SafeHttpClient
from receiver.conformance.recipient import RecipientTest, examine_recipient
from receiver.conformance.report import ConformanceReport, RuleResult
from receiver.inbox import service

SECRET = "whsec_" + "cG9ydGFiaWxpdHkgY29uZm9ybWFuY2Uga2l0IQ=="
LOOPBACK = SafeHttpClient(loopback=True)


def kit_address() -> tuple[str, int]:
    """An address for the kit."""
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}", port


def conformed(webhook: str, url: str, port: int, *, only: str = "*", settle_seconds: float = 0.3) -> ConformanceReport:
    """The report about a recipient on this machine."""
    wanted = RecipientTest(webhook, SECRET, url, "127.0.0.1", port, None, 20.0, settle_seconds, only)
    return examine_recipient(LOOPBACK, wanted, lambda _result: None)


def failures(results: Sequence[RuleResult]) -> dict[str, str]:
    """What was seen of rules that are not kept, by name."""
    return {result.name: result.seen for result in results if not result.ok}


def record_kit(inbox: Inbox, url: str) -> None:
    """Record the kit as a sender."""
    entry = SenderEntry("Conformance kit", url, f"{url}/.well-known/jwks.json")
    with writing(inbox.receiver.world.engine) as connection:
        senders.add(connection, inbox.receiver.world.place.settings.keys, entry, SECRET, actor="operator:test")


@contextmanager
def accepting(inbox: Inbox) -> Iterator[None]:
    """The receiving service, and an officer who imports whatever has arrived, while the block runs."""
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(inbox, stop)) for work in (_serve, _accept)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _serve(inbox: Inbox, stop: threading.Event) -> None:
    while not stop.is_set():
        if not service.advance(inbox.service):
            stop.wait(0.02)


def _accept(inbox: Inbox, stop: threading.Event) -> None:
    while not stop.wait(0.05):
        for row in inbox.listed():
            steps: dict[str, Callable[[str], object]] = {
                "fetched": lambda identifier: inbox.call("target", identifier, subject=f"user:{HERE}"),
                "compared": lambda identifier: inbox.call(
                    "import", identifier, comparison=inbox.shown(identifier)["comparison"]
                ),
            }
            if step := steps.get(row["state"]):
                step(str(row["id"]))
